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

Dial = Callable[[str, int], socket.socket]


def connection_pool(
    scheme: str, host: str, port: int | None, dial: Dial, context: ssl.SSLContext
) -> HTTPConnectionPool:
    """A pool for one host whose connections are made by `dial` and, for https, verified by `context`."""
    # Without a port, http.client would look for one behind the last colon of an IPv6 address.
    if scheme == "https":
        return _SecurePool(host, port or 443, dial=dial, ssl_context=context)
    return _Pool(host, port or 80, dial=dial)


@functools.lru_cache(maxsize=4)  # reading a hundred authorities takes tens of milliseconds
def tls_context(ca_file: str) -> ssl.SSLContext:
    """A context that requires a certificate for the host's name, signed by an authority in the PEM file."""
    context = _SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    ssl.SSLContext.set_alpn_protocols(context, ["http/1.1"])
    context.load_verify_locations(ca_file)
    return context


class _SharedContext(ssl.SSLContext):
    """A context that many threads use at once.

    urllib3 sets the ALPN protocols anew for each connection, and OpenSSL frees the old ones while another
    thread's handshake may be copying them.
    """

    def set_alpn_protocols(self, alpn_protocols: object) -> None:
        """Keep the protocols as they are."""


class _Answer(http.client.HTTPResponse):
    def _safe_read(self, amt: int) -> bytes:
        # A chunk size of -1 would read without bound until the connection ends.
        if amt < 0:
            raise http.client.HTTPException
        return super()._safe_read(amt)  # type: ignore[misc,no-any-return]


class _Connection(HTTPConnection):
    response_class = _Answer

    def __init__(self, *args: Any, dial: Dial, **options: Any) -> None:
        super().__init__(*args, **options)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        return self._dial(self._dns_host, self.port)


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
