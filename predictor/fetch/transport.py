"""urllib3's connections over sockets from elsewhere, and one sentence for the caller about what went wrong.

A `dial` function connects, one TLS context verifies. `_new_conn`, the method that makes the socket, is where
urllib3's own SOCKS support enters as well.
"""

import functools
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import urllib3.exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from predictor.errors import FetchError, FetchFailed, FetchTimeout
from predictor.fetch.dial import LATE

MAX_INTERIM = 16
"""Most answers such as 103 (Early Hints) before the one that counts."""

Dial = Callable[[str, int], socket.socket]

UNTRUSTED = (
    "No secure connection to the server of the image URL: its certificate or TLS version is not accepted."
)
BROKEN = "The server of the image URL closed the connection early or sent an invalid HTTP response."
RESET = "The server of the image URL reset the connection before its answer was complete."

_STATUS = "The server of the image URL answered with status {}{}"
_HINTS = {
    204: ": it has no image.",
    206: ": it sent a part only.",
    401: ": it wants a login; give a signed URL or send the image itself.",
    403: ": the URL may have expired, or the server wants another User-Agent, see PREDICTOR_FETCH_AGENT.",
} | dict.fromkeys((408, 425, 429, 500, 502, 503, 504), "; try again later.")
_CERTIFICATE = "No secure connection to the server of the image URL: its certificate {}."
# OpenSSL's numbers of what is wrong with a certificate, `X509_V_ERR_...` in x509_vfy.h.
_WRONG = {9: "is not valid yet", 10: "has expired", 62: "is for another host", 64: "is for another host"}
_WRONG |= dict.fromkeys(
    (2, 18, 19, 20, 21), "is of an authority that is not trusted here; PREDICTOR_FETCH_CA can add it"
)
_TIMEOUTS = (urllib3.exceptions.TimeoutError, TimeoutError)


def connection_pool(
    scheme: str, host: str, port: int | None, dial: Dial, context: ssl.SSLContext
) -> HTTPConnectionPool:
    """A pool for one host whose connections are made by `dial` and, for https, verified by `context`."""
    # Without a port, http.client would look for one behind the last colon of an IPv6 address.
    port = port or (443 if scheme == "https" else 80)
    connect = functools.partial(dial, host, port)
    if scheme == "https":
        return _SecurePool(host, port, connect=connect, ssl_context=context)
    return _Pool(host, port, connect=connect)


class _Answer(http.client.HTTPResponse):
    def begin(self) -> None:
        """Read the head of the answer, and pass over those before it (RFC 9110 section 15.2).

        The library itself passes over 100 only. 101 is no such answer: the connection would change.
        """
        super().begin()
        for _ in range(MAX_INTERIM):
            if not 102 <= self.status < 200:
                return
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        raise http.client.HTTPException

    def _safe_read(self, amt: int) -> bytes:
        # A chunk size of -1 would read without bound until the connection ends.
        if amt < 0:
            raise http.client.HTTPException
        return super()._safe_read(amt)  # type: ignore[misc,no-any-return]


class _Connection(HTTPConnection):
    response_class = _Answer

    def __init__(self, *args: Any, connect: Callable[[], socket.socket], **options: Any) -> None:
        super().__init__(*args, **options)
        self._connect = connect

    def _new_conn(self) -> socket.socket:
        return self._connect()


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def check_status(status: int) -> None:
    """Go on with the body of an answer.

    Raises:
        FetchFailed: its status is not 200.
    """
    if status != 200:
        phrase = f" ({HTTPStatus(status).phrase})" if status in {*HTTPStatus} else ""
        raise FetchFailed(_STATUS.format(status, phrase) + _HINTS.get(status, "."))


def translation(error: Exception, *, late: bool) -> FetchError:
    """The error for the caller.

    Args:
        error: what a library raised, with what it was raised from.
        late: whether the time of the download is over.
    """
    causes = list(_causes(error))
    if late or any(isinstance(cause, _TIMEOUTS) for cause in causes):
        return FetchTimeout(LATE)
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            wrong = _WRONG.get(getattr(cause, "verify_code", 0))
            return FetchFailed(_CERTIFICATE.format(wrong) if wrong else UNTRUSTED)
    # The library's own error of a connection that ended is a kind of reset.
    reset = any(
        isinstance(cause, ConnectionResetError) and not isinstance(cause, http.client.RemoteDisconnected)
        for cause in causes
    )
    return FetchFailed(RESET if reset else BROKEN)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__context__
