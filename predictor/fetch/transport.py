"""urllib3's connections over sockets from elsewhere: a `dial` function connects, one TLS context verifies.

`_new_conn`, the method that makes the socket, is where urllib3's own SOCKS support enters as well.
"""

import functools
import http.client
import socket
import ssl
from collections.abc import Callable
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

MAX_INTERIM = 16
"""Most answers such as 103 (Early Hints) before the one that counts."""

Dial = Callable[[str, int], socket.socket]


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
