"""HTTP as bytes: what no proper client would send, and what comes back."""

import http.client
import socket
from typing import Any

from tests.patience import PATIENCE

OUTSIDE = "127.0.0.2"
"""An address of this machine that `deploy/nginx.conf` does not trust."""


def call(
    port: int, method: str, path: str, body: bytes | None = None, *, source: str = OUTSIDE, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Send a request from an address of this machine, on a connection of its own.

    Returns:
        The status, the headers by their names in small letters, and the body.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(source, 0))
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        shown = {name.lower(): value for name, value in response.getheaders()}
        return response.status, shown, response.read()
    finally:
        connection.close()


def exchange(port: int, *pieces: bytes, first: float = 20.0, silence: float = 2.0) -> bytes:
    """Send pieces one after the other, and read until the server closes or is silent for a while.

    Args:
        port: of loopback.
        pieces: what to send.
        first: seconds without any byte that mean that none will come.
        silence: the same once one has come.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            connection.settimeout(first)
            while part := connection.recv(65536):
                received += part
                connection.settimeout(silence)
        except (TimeoutError, ConnectionError):
            pass
    return received


def statuses(received: bytes) -> list[int]:
    """The statuses of the answers that stand one after the other in what was received.

    Raises:
        AssertionError: there is anything between or after the answers.
    """
    found = list[int]()
    source: Any = _Bytes(received)
    while source.left():
        response = http.client.HTTPResponse(source)
        response.begin()
        if response.length is None and not response.chunked:
            raise AssertionError(f"an answer without a length: {received!r}")
        response.read()
        found.append(response.status)
    return found


class _Bytes:
    """Bytes in the place of a socket, read by one answer after the other."""

    def __init__(self, data: bytes) -> None:
        import io

        self._stream = io.BytesIO(data)
        self._stream.close = lambda: None  # type: ignore[method-assign]

    def makefile(self, *_: object) -> object:
        return self._stream

    def left(self) -> int:
        return len(self._stream.getbuffer()) - self._stream.tell()
