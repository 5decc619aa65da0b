"""Flask as this service uses it: compact JSON, no sessions, forms by another parser, safe headers."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response
from flask.json.provider import DefaultJSONProvider
from flask.sessions import SessionInterface, SessionMixin
from pydantic_core import to_json

from predictor.problem import SAFE_HEADERS
from predictor.web.forms import FormParser

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class JsonProvider(DefaultJSONProvider):
    """Compact JSON by pydantic's encoder; keys stay in the order they were given."""

    def dumps(self, obj: Any, **_options: Any) -> str:
        """A value as JSON."""
        return to_json(obj).decode()


class JsonResponse(Response):
    """A value as a 200 answer to a POST, sent as it is.

    Werkzeug's general way looks for relative locations, streams and bodies that must not be sent, which costs
    a cached answer 2.5 % of its processor time.
    """

    def __init__(self, value: object) -> None:
        super().__init__(to_json(value), content_type="application/json")

    def __call__(self, _environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer as WSGI (PEP 3333) wants it."""
        start_response(self.status, self.headers.to_wsgi_list())
        return [self.get_data()]


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
    """A request whose forms the library `multipart` reads."""

    form_data_parser_class = FormParser


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
