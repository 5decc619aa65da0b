"""The side of HTTP of a download: its connections, what went wrong with them, and for how long it is fresh.

urllib3's connections are made over sockets from elsewhere: a `dial` function connects, one TLS context
verifies. `_new_conn`, the method that makes the socket, is where urllib3's own SOCKS support enters as well.

How long an answer may be reused the headers of the server say that gave it (RFC 9111 section 4.2). An answer
for a URL goes to every caller, so the rules are those of a shared cache: `private` forbids it, and `s-maxage`
comes before `max-age`. What the headers leave open is for the caller to decide.
"""

import functools
import http.client
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import urllib3.exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from werkzeug.http import parse_date

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

_DIRECTIVE = re.compile(r'([a-z][a-z-]*)(?:\s*=\s*(?:"([^"]*)"|([^\s,;"]*)))?')
_NEVER = {"no-store", "no-cache", "private"}
_REVALIDATE = {"must-revalidate", "proxy-revalidate"}
_LONGEST = 2**31
"""Seconds that stand for more than a cache can count to (RFC 9111 section 1.2.2)."""


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


def check_status(status: int, what: str = "image URL", hints: Mapping[int, str] = _HINTS) -> None:
    """Go on with the body of an answer.

    Args:
        status: of HTTP.
        what: was asked for, in a sentence.
        hints: how a sentence ends, by the status.

    Raises:
        FetchFailed: its status is not 200.
    """
    if status != 200:
        phrase = f" ({HTTPStatus(status).phrase})" if status in {*HTTPStatus} else ""
        end = hints.get(status, ".")
        raise FetchFailed(f"The server of the {what} answered with status {status}{phrase}{end}")


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


def reusable_seconds(headers: Mapping[str, str]) -> int | None:
    """For how many seconds from now an answer may be reused; None if its headers do not say.

    `must-revalidate` without a time means 0: its server wants to be asked.

    Args:
        headers: of the answer, by name without regard to case; repeated ones joined by commas.
    """
    control = _directives(headers.get("Cache-Control", ""))
    if _NEVER & control.keys() or "*" in headers.get("Vary", ""):
        return 0
    if not control and "no-cache" in headers.get("Pragma", "").lower():
        return 0
    lifetime = _lifetime(control, headers)
    if lifetime is None:
        return 0 if _REVALIDATE & control.keys() else None
    return max(0, lifetime - _age(headers))


def _directives(text: str) -> dict[str, list[str]]:
    """The values of each directive; a text without a value has an empty one."""
    found: dict[str, list[str]] = {}
    for name, quoted, plain in _DIRECTIVE.findall(text.lower()):
        found.setdefault(name, []).append(quoted or plain)
    return found


def _lifetime(control: Mapping[str, list[str]], headers: Mapping[str, str]) -> int | None:
    for name in ("s-maxage", "max-age"):
        if name in control:
            return min(_seconds(value) for value in control[name])
    if "Expires" not in headers:
        return None
    # An invalid date, above all 0, is one in the past (RFC 9111 section 5.3).
    expires = _date(headers["Expires"])
    sent = _date(headers.get("Date")) or datetime.now(UTC)
    return int((expires - sent).total_seconds()) if expires else 0


def _date(text: str | None) -> datetime | None:
    """A date of HTTP; None for another text, or where a number is out of range."""
    try:
        return parse_date(text)
    except OverflowError:
        return None


def _seconds(text: str) -> int:
    """A number of seconds; 0 if the text is not a number (RFC 9111 section 4.2.1)."""
    text = text.strip()
    if not (text.isascii() and text.isdecimal()):
        return 0
    return min(int(text[:11]), _LONGEST) if len(text) < 12 else _LONGEST


def _age(headers: Mapping[str, str]) -> int:
    """Seconds that the answer had spent in other caches."""
    return _seconds(headers.get("Age", "").partition(",")[0])
