"""The path under which a proxy publishes the service.

Links in the pages are relative, so a proxy that removes its own path prefix needs no setting. For one that
passes the prefix on, `PREDICTOR_PREFIX` names it: each URL works with the prefix and without it.
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Request, request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class PrefixRemoved:
    """WSGI middleware (PEP 3333) that removes a prefix from the paths that begin with it.

    Args:
        application: what answers.
        prefix: as `/ml`.
    """

    def __init__(self, application: "WSGIApplication", prefix: str) -> None:
        self._application = application
        self._prefix = prefix

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer a request."""
        path = environ["PATH_INFO"]
        if f"{path}/".startswith(f"{self._prefix}/"):
            environ["SCRIPT_NAME"] = self._prefix
            environ["PATH_INFO"] = path.removeprefix(self._prefix) or "/"
        return self._application(environ, start_response)


def init_app(app: Flask, prefix: str) -> None:
    """Let an application answer under a prefix as well, and give its pages relative links.

    Templates get `root`, the relative path from the page to the service's first page, without a slash at its
    end, and `service_url`, the URL of the service as its clients write it.

    Args:
        app: the application.
        prefix: as `/ml`; empty for none.
    """
    if prefix:
        app.wsgi_app = PrefixRemoved(app.wsgi_app, prefix)  # type: ignore[method-assign]

    @app.context_processor
    def links() -> dict[str, str]:
        return {"root": root(request), "service_url": request.host_url.rstrip("/") + prefix}


def root(request: Request) -> str:
    """The relative path from the URL of a request to the service's first page: `.`, `..`, `../..`."""
    prefix = request.environ.get("SCRIPT_NAME", "")
    depth = _raw_path(request).count("/") - 1 - prefix.count("/")
    if depth < 0:  # the prefix itself, without a slash at its end
        return f"./{prefix.rpartition('/')[2]}"
    return "/".join([".."] * depth) or "."


def _raw_path(request: Request) -> str:
    """The path as it was sent, in which `%2F` is no slash, as it is none to a browser."""
    sent: str = request.environ.get("RAW_URI") or request.script_root + request.path
    return sent.partition("?")[0] if sent.startswith("/") else urlsplit(sent).path
