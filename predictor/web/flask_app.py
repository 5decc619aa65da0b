"""Flask without what this service does not use: sessions, coroutines, and json's slower encoder."""

from collections.abc import Callable
from typing import Any

from flask import Flask, Response
from flask.json.provider import DefaultJSONProvider
from flask.sessions import SessionInterface, SessionMixin
from pydantic_core import to_json


class JsonProvider(DefaultJSONProvider):
    """Compact JSON by pydantic's encoder; keys stay in the order they were given."""

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """The arguments of `jsonify` as an answer."""
        value = self._prepare_response_obj(args, kwargs)
        return Response(to_json(value), mimetype=self.mimetype)


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


class LeanFlask(Flask):
    """Flask, for plain functions without sessions."""

    json_provider_class = JsonProvider
    session_interface: SessionInterface = NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: there are no coroutines here to be looked for at each call."""
        return func
