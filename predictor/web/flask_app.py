"""Flask without what this service does not use: sessions, coroutines, and json's slower encoder."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response
from flask.json.provider import DefaultJSONProvider
from flask.sessions import SessionInterface, SessionMixin
from pydantic_core import to_json
from werkzeug.datastructures import Headers

from predictor.problem import SAFE_HEADERS
from predictor.web.forms import FormParser

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class JsonProvider(DefaultJSONProvider):
    """Compact JSON by pydantic's encoder; keys stay in the order they were given."""

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """The arguments of `jsonify` as an answer."""
        return as_json(self._prepare_response_obj(args, kwargs))


def as_json(value: object) -> "LeanResponse":
    """A value as an answer, where the application need not be asked how to write it."""
    return LeanResponse(to_json(value), content_type="application/json")


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


class LeanRequest(Request):
    """A request whose forms are read by a parser of our own."""

    form_data_parser_class = FormParser


class LeanResponse(Response):
    """An answer with the headers that all have; one whose body is there goes out as it is.

    Werkzeug's general way looks for what such an answer does not have: relative locations, pieces to be
    counted or closed, a body that must not be sent.
    """

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer as WSGI (PEP 3333) wants it."""
        body = self.response
        if self.status_code == 200 and isinstance(body, list) and self._whole(environ):
            start_response(self.status, [*self.headers, *SAFE_HEADERS])
            return body
        return super().__call__(environ, start_response)

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        """The headers of any other answer."""
        headers = super().get_wsgi_headers(environ)
        headers.extend(SAFE_HEADERS)
        return headers

    def _whole(self, environ: "WSGIEnvironment") -> bool:
        return "Content-Length" in self.headers and environ["REQUEST_METHOD"] != "HEAD"


class LeanFlask(Flask):
    """Flask, for plain functions without sessions."""

    request_class = LeanRequest
    response_class = LeanResponse
    json_provider_class = JsonProvider
    session_interface: SessionInterface = NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: there are no coroutines here to be looked for at each call."""
        return func
