"""Cross-origin resource sharing (Fetch standard, section 3.2): pages of other origins may read predictions.

Flask-CORS is not used, because it sends `Vary: Origin` only to the origins that it allows, so that a proxy's
cache could hand the refusal of one page to another, and takes an origin with an IPv6 address for a regular
expression. Credentials are never allowed: the service knows no cookies, and a token is a header that the page
sets itself, so that no page can use what it does not know.
"""

import re

from flask import Flask, Response, request

from predictor.web.inference_inputs import JSON_LENGTH
from predictor.web.middleware import DEADLINE

ANY = "*"
# What predicts and changes nothing. Further routes go here; none that changes a model or lists them may.
_ROUTES = re.compile(r"/(?:predict|explain)/?|/v2/models/.+/infer/?|/hf/.+")
_METHODS = "POST"
_REQUEST_HEADERS = ", ".join(
    (
        "Authorization",
        "Cache-Control",
        "Content-Encoding",
        "Content-Type",
        "Pragma",
        "X-Request-ID",
        DEADLINE,
        JSON_LENGTH,
    )
)
_RESPONSE_HEADERS = f"Retry-After, Server-Timing, X-Request-ID, {JSON_LENGTH}"
_PREFLIGHT_SECONDS = 7200  # Chromium keeps no preflight longer


def init_app(app: Flask, origins: tuple[str, ...]) -> None:
    """Let pages of these origins read the answers to predictions, errors included.

    Args:
        app: the application.
        origins: as a browser sends them, or `*` alone for any; if there are none, no header is sent.
    """
    if not origins:
        return

    @app.after_request
    def share(response: Response) -> Response:
        if _ROUTES.fullmatch(request.path):
            _share(response, frozenset(origins))
        return response


def _share(response: Response, origins: frozenset[str]) -> None:
    if ANY not in origins:
        # In each answer, for a cache must not take one for an answer to another origin.
        response.vary.add("Origin")
    allowed = ANY if ANY in origins else request.headers.get("Origin")
    if allowed not in origins:
        return
    response.headers["Access-Control-Allow-Origin"] = allowed
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        _allow(response, named=allowed != ANY)
    else:
        response.headers["Access-Control-Expose-Headers"] = _RESPONSE_HEADERS


def _allow(response: Response, *, named: bool) -> None:
    """Answer a preflight, which asks what a request may have; it carries no token, and needs none."""
    response.headers["Access-Control-Allow-Methods"] = _METHODS
    response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
    response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
    # A page of the internet may reach into a private network only if the operator named its origin.
    if named and request.headers.get("Access-Control-Request-Private-Network") == "true":
        response.headers["Access-Control-Allow-Private-Network"] = "true"
