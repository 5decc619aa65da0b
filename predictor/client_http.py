"""The side of HTTP of the client: retries within a deadline, errors by codes, forms read as they are sent."""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connectionpool import ConnectionPool

from predictor import client_deadline
from predictor.client_images import size_of
from predictor.client_types import BY_CODE, DeadlineExceeded, ServiceError, Unavailable, Unreachable

# Seconds before a broken connection is tried again: the first time, and at most.
_PAUSE, _MOST_PAUSE = 0.2, 5.0
_BLOCK = 1 << 20
_ESCAPED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


def text_of(value: str) -> str:
    """A text with a question mark for each byte of a file's name or an argument that is no UTF-8."""
    return value.encode(errors="replace").decode()


def of_model(name: str) -> str:
    """The path of a model in the service's URL, whatever its name is."""
    # Without a name it would be the path of all models.
    return f"/models/{quote(text_of(name), safe='') or '%20'}"


@dataclass(frozen=True)
class Part:
    """A file of a form.

    Attributes:
        field: the form's field.
        path: where the file is.
        name: what it is called there.
    """

    field: str
    path: Path
    name: str


class Form:
    """A multipart form whose files are read as they are sent.

    Args:
        fields: texts.
        parts: files.

    Raises:
        OSError: a file cannot be found, or is no regular file.
    """

    def __init__(self, fields: Mapping[str, str], parts: Sequence[Part]) -> None:
        self._boundary = secrets.token_hex(16)
        heads = [(self._head(name) + text_of(value).encode(), None) for name, value in fields.items()]
        self._parts: list[tuple[bytes, Path | None]] = [
            *heads,
            *((self._head(part.field, part.name), part.path) for part in parts),
        ]
        sizes = (len(head) + (size_of(path) if path else 0) + 2 for head, path in self._parts)
        self._length = sum(sizes) + len(self._end)

    @property
    def content_type(self) -> str:
        """The media type, with the boundary."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def _end(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()

    def _head(self, field: str, name: str | None = None) -> bytes:
        file = "" if name is None else f'; filename="{name.translate(_ESCAPED)}"'
        kind = "" if name is None else "Content-Type: application/octet-stream\r\n"
        disposition = f'Content-Disposition: form-data; name="{field}"{file}'
        return text_of(f"--{self._boundary}\r\n{disposition}\r\n{kind}\r\n").encode()

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        for head, path in self._parts:
            yield head
            if path is not None:
                with path.open("rb") as file:
                    yield from iter(lambda: file.read(_BLOCK), b"")
            yield b"\r\n"
        yield self._end


class _Bearer(AuthBase):
    """Sends a bearer token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # As text the library would send it in Latin-1, or fail. Arguments may hold bytes that are no UTF-8.
        value = f"Bearer {self._token}".encode(errors="surrogateescape")
        request.headers["Authorization"] = value  # type: ignore[assignment]
        return request


class _Adapter(HTTPAdapter):
    """Keeps connections that heed the deadline of a call."""

    def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> ConnectionPool:
        """The pool for a request."""
        return client_deadline.bounded(super().get_connection_with_tls_context(*arguments, **named))


class Transport:
    """Calls of one service.

    Args:
        url: where it is.
        token: its bearer token, if it needs one.
        connections: most that are kept.
    """

    def __init__(self, url: str, token: str | None, connections: int) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(pool_connections=1, pool_maxsize=connections))
        if token is not None:
            # As an argument it would give way to a line for this host in a file .netrc.
            # A token that was read from a file may end with a line break, which no header holds.
            self._session.auth = _Bearer(token.strip())

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def call(
        self,
        method: str,
        path: str,
        seconds: float,
        *,
        again: bool = False,
        form: Form | None = None,
        **sent: Any,
    ) -> dict[str, Any]:
        """Send a request, again where that is right; the answer's JSON.

        A request that the service refused because it is busy is always sent again when the service says so.

        Args:
            method: of HTTP.
            path: from the service's URL.
            seconds: until when an answer is wanted.
            again: whether the request changes nothing, so that it may be sent again if the connection broke.
            form: the body.
            sent: more arguments of `requests`.

        Raises:
            ServiceError: there is no answer, or it is an error.
        """
        until = time.monotonic() + seconds
        pause = _PAUSE
        while True:
            try:
                return self._answer(method, path, until, form, sent)
            except (Unavailable, Unreachable) as error:
                # A malformed URL fails the same way at each try.
                once = not again or isinstance(error.__cause__, ValueError)
                wait = error.retry_after if isinstance(error, Unavailable) else None if once else pause
                if wait is None:
                    raise
                if time.monotonic() + wait >= until:
                    raise
                time.sleep(wait)
                pause = min(2 * pause, _MOST_PAUSE)

    def _answer(
        self, method: str, path: str, until: float, form: Form | None, sent: Mapping[str, Any]
    ) -> dict[str, Any]:
        left = max(until - time.monotonic(), 0.001)
        headers = {**sent.get("headers", {}), "X-Request-Deadline-Ms": str(max(1, int(1000 * left)))}
        body = {**sent, "headers": headers}
        if form is not None:
            headers["Content-Type"] = form.content_type
            body["data"] = form
        try:
            with client_deadline.ending(until) as deadline:
                response = self._session.request(method, self._url + path, timeout=left, **body)
        except requests.RequestException as error:
            # Within a body, requests calls it a broken connection.
            if deadline.missed or isinstance(error, requests.Timeout):
                raise DeadlineExceeded("The service did not answer in time.") from error
            if isinstance(error, ValueError):
                raise Unreachable("The URL of the service must begin with http:// or https://.") from error
            raise Unreachable(
                "The service cannot be reached, or the connection broke; check its URL."
            ) from error
        return _checked(response)


def _checked(response: requests.Response) -> dict[str, Any]:
    """The JSON of a good answer.

    Raises:
        ServiceError: it is an error, or of another server.
    """
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        answer = None
    if response.ok and isinstance(answer, dict):
        return answer
    if not isinstance(answer, dict) or "code" not in answer:
        raise Unreachable(
            "The server at this URL is not an image prediction service.", status=response.status_code
        )
    after = response.headers.get("Retry-After", "")
    raise BY_CODE.get(answer["code"], ServiceError)(
        str(answer.get("detail") or answer.get("title")),
        answer["code"],
        response.status_code,
        answer.get("request_id"),
        float(after) if after.isdecimal() else None,
    )
