"""Flask as this service uses it: compact JSON, no sessions, forms by another parser, safe headers, errors.

One handler answers all errors of the application; it chooses the form by path and Accept.
"""

import logging
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, current_app, jsonify, render_template, request
from flask.json.provider import DefaultJSONProvider
from flask.sessions import SessionInterface, SessionMixin
from pydantic_core import to_json
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from predictor.errors import (
    ClientClosedRequest,
    ImageTooLarge,
    IncompleteBody,
    Internal,
    InvalidRequest,
    NotReady,
    PredictorError,
)
from predictor.problem import SAFE_HEADERS, document
from predictor.web import body, urls
from predictor.web.forms import ADMIT, FormParser
from predictor.web.middleware import current_context, current_request, unless_left

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class JsonProvider(DefaultJSONProvider):
    """Compact JSON by pydantic's encoder; keys stay in the order they were given."""

    def dumps(self, obj: Any, **_options: Any) -> str:
        """A value as JSON."""
        return to_json(obj).decode()


class ReadyResponse(Response):
    """A 200 answer to a POST whose bytes are known, sent as it is.

    Werkzeug's general way looks for relative locations, streams and bodies that must not be sent, which costs
    a cached answer 2.5 % of its processor time.
    """

    def __call__(self, _environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer as WSGI (PEP 3333) wants it."""
        start_response(self.status, self.headers.to_wsgi_list())
        return [self.get_data()]


class JsonResponse(ReadyResponse):
    """A value as a 200 answer to a POST."""

    def __init__(self, value: object) -> None:
        super().__init__(to_json(value), content_type="application/json")


_SLASHES = re.compile("//+")


class NoSessions(SessionInterface):
    """Requests carry no state."""

    def open_session(self, _app: Flask, _request: Any) -> None:
        """Open nothing."""

    def make_null_session(self, _app: Flask) -> SessionMixin | None:  # type: ignore[override]
        """Not even an empty one."""
        return None

    def is_null_session(self, _session: object) -> bool:
        """Whatever there is, there is nothing to save."""
        return True


class ServiceRequest(Request):
    """A request whose forms the library `multipart` reads, and whose client may leave within the body."""

    form_data_parser_class = FormParser

    def __init__(self, environ: "WSGIEnvironment", *args: Any, **options: Any) -> None:
        # A redirect would name the host that the request names, and lose what a proxy removed.
        environ["PATH_INFO"] = _SLASHES.sub("/", environ["PATH_INFO"])
        body.watch(environ)
        super().__init__(environ, *args, **options)

    def make_form_data_parser(self) -> FormDataParser:
        """The reader of this request's form."""
        parser = super().make_form_data_parser()
        if isinstance(parser, FormParser):
            parser.admit = self.environ.get(ADMIT)
        return parser


class SafeHeaders:
    """WSGI middleware (PEP 3333) that gives every answer the headers that all have.

    Args:
        application: what answers.
    """

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            return start_response(status, [*headers, *SAFE_HEADERS], *error)

        return self._application(environ, start)


class ServiceFlask(Flask):
    """The application's class."""

    request_class = ServiceRequest
    json_provider_class = JsonProvider
    session_interface: SessionInterface = NoSessions()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.wsgi_app = SafeHeaders(self.wsgi_app)  # type: ignore[method-assign]

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """A view or hook as it is: none is a coroutine, and to ask each costs a cached answer 4 %."""
        return func

    def get_send_file_max_age(self, filename: str | None) -> int | None:
        """Seconds for which a browser uses a static file without asking: images only.

        A browser asks for scripts and styles each time, and gets 304: scripts of two releases do not suit.
        """
        return _IMAGE_SECONDS if (filename or "").endswith((".jpg", ".svg")) else None


def revalidate(response: Response) -> Response:
    """Have a browser ask for a page each time, and answer 304 if the page is the one that it has."""
    if response.mimetype != "text/html" or (asked := current_request()).method not in {"GET", "HEAD"}:
        return response
    response.cache_control.no_cache = True
    if response.status_code == HTTPStatus.OK:
        response.add_etag()
        response.make_conditional(asked)
    return response


_IMAGE_SECONDS = 86_400
log = logging.getLogger(__name__)

Page = Callable[[dict[str, Any]], str]
_PAGES = "problem_pages"
# Where clients read errors as an object with the field `error`: Open Inference Protocol, Hugging Face.
_PLAIN = re.compile(r"/(?:v2|hf)(?:/|$)")
# The protocol knows no statuses between "the request is wrong" and "there is no such thing".
_PROTOCOL_STATUS = {409: 400, 415: 400, 422: 400}
# Refusals of the HTTP layer itself, where the contract has no code: the standard's words.
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 415: "unsupported_image"}


def handle_errors(app: Flask) -> None:
    """Answer every error of the application from here."""
    app.register_error_handler(Exception, _handle)


def problem_json(error: PredictorError) -> dict[str, Any]:
    """An error as RFC 9457 describes it (`schemas.Problem`)."""
    return _problem(error.code, error.title, error.status, error.detail) | error.members


def _problem(code: str, title: str, status: int, detail: str) -> dict[str, Any]:
    return document(code, title, status, detail, current_context().request_id)


def show_on(app: Flask, blueprint: str, page: Page) -> None:
    """Have a blueprint's errors shown on a page of its own.

    Args:
        app: the application.
        blueprint: its name.
        page: renders the page for a problem.
    """
    app.extensions.setdefault(_PAGES, {})[blueprint] = page


def _handle(error: Exception) -> Response:
    error = unless_left(error)
    if isinstance(error, RequestEntityTooLarge):
        error = ImageTooLarge("The request is larger than allowed.")
    if isinstance(error, HTTPException):
        return _http_error(error)
    if isinstance(error, ClientClosedRequest | IncompleteBody):
        current_context().disconnected = True
    if not isinstance(error, PredictorError):
        log.error("A request failed", exc_info=error)
        error = Internal("The service failed; its log has the reason under the request id.")
    headers = error.headers
    if isinstance(error, NotReady) and error.elsewhere and request.headers.get("X-Predictor-Elsewhere"):
        # The proxy can find another machine for the request (`deploy/nginx.conf`).
        headers |= {"X-Accel-Redirect": "@image_prediction_elsewhere"}
    return _respond(problem_json(error.bare()), headers)


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Location"}}
    if 300 <= status < 400:
        return Response(status=status, headers=headers)
    default = InvalidRequest if status < 500 else Internal
    detail = "The request is invalid."
    if status == HTTPStatus.NOT_FOUND:
        detail = urls.not_found(current_app, current_request())
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = urls.wrong_method(error, current_request())
    problem = _problem(_HTTP_CODES.get(status, default.code), error.name.capitalize(), status, detail)
    return _respond(problem, headers)


def _respond(problem: dict[str, Any], headers: dict[str, str]) -> Response:
    own_page = current_app.extensions.get(_PAGES, {}).get(request.blueprint)
    status = problem["status"]
    if _PLAIN.match(request.path):
        response = jsonify(error=problem["detail"])
        status = _PROTOCOL_STATUS.get(status, status) if request.path.startswith("/v2") else status
    elif wants_page():
        page = own_page(problem) if own_page else render_template("error.html", problem=problem)
        response = Response(page, mimetype="text/html")
    else:
        response = jsonify(problem)
        response.mimetype = "application/problem+json"
    response.status_code = status
    response.headers.update(headers)
    return response


def wants_page() -> bool:
    """Whether a page is wanted, not JSON: by browsers (they name XHTML), or by who names HTML, not `*/*`."""
    # Java's default is text/html, then *; q=.2, */*; q=.2, and Werkzeug passes over numbers of this form.
    named = request.headers.get("Accept", "").lower()
    best = request.accept_mimetypes.best_match(["application/json", "application/problem+json", "text/html"])
    html = best == "text/html" and best in named
    return html and ("application/xhtml+xml" in named or "*/*" not in named)
