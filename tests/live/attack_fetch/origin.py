"""What the outside of the namespace looks like: servers on every address, kind ones and hostile ones."""

import datetime as dt
import gzip
import socket
import ssl
import time
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import trustme

from tests.fetch.hostile import (
    CHUNKED,
    OK,
    PATIENCE,
    SLOW,
    OutlastedError,
    Script,
    Server,
    answer,
    drips,
    path_of,
    says,
)
from tests.live.attack_fetch.places import DRIPPING_TLS, FULL, OLD_TLS, OTHER_PORTS, OWN, SILENT_TLS

CAT = (Path(__file__).parent.parent.parent / "data" / "cat.jpg").read_bytes()
MEGA = 1_000_000


class Origin:
    """Servers on the web's ports and some others, of all addresses there are.

    Args:
        authority: whom the service trusts.
        service: the port of the service itself, which gets a public address as well.
    """

    def __init__(self, authority: trustme.CA, service: int) -> None:
        self.asked_names: list[str] = []
        self._service = service
        context = _tls(authority, self.asked_names)
        old = _context(authority, "old-tls.test")
        old.set_ciphers("DEFAULT@SECLEVEL=0")
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        servers = [
            (self._relay, OWN, None, 80),
            (SLOW["silence"], SILENT_TLS, None, 443),
            (drips(b"\x16\x03\x03\x40\x00", b"\x02"), DRIPPING_TLS, None, 443),
            (says(answer(CAT)), OLD_TLS, old, 443),
        ]
        for anywhere in ("0.0.0.0", "::"):
            servers += [(_script, anywhere, None, 80), (_script, anywhere, context, 443)]
            servers += [(_script, anywhere, None, port) for port in OTHER_PORTS]
        self._servers = [Server(*server) for server in servers]
        self._full = _full_listener(FULL)

    def taken(self) -> dict[str, Any]:
        """What came since the last call: where connections arrived, what was asked, by which TLS names."""
        reached = [[address, server.port] for server in self._servers for address in server.reached]
        heads = [[server.port, head.decode("latin-1")] for server in self._servers for head in server.heads]
        names = list(self.asked_names)
        for server in self._servers:
            server.reached, server.heads = [], []
        self.asked_names.clear()
        return {"reached": reached, "heads": heads, "tls_names": names}

    def _relay(self, connection: socket.socket, head: bytes) -> None:
        """Pass a request without a body on to the service, as a proxy in front of it does."""
        with socket.create_connection(("127.0.0.1", self._service), PATIENCE) as service:
            service.sendall(head)
            while data := service.recv(65536):
                connection.sendall(data)


def _full_listener(address: str) -> list[socket.socket]:
    """An address that never answers: its queue of connections is full."""
    listener = socket.create_server((address, 80), backlog=0, reuse_port=True)
    waiting = [socket.socket() for _ in range(4)]
    for connection in waiting:
        connection.setblocking(False)
        connection.connect_ex((address, 80))
    return [listener, *waiting]


def _context(authority: trustme.CA, name: str, **validity: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **validity).configure_cert(context)
    return context


def _tls(authority: trustme.CA, asked: list[str]) -> ssl.SSLContext:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    contexts = {
        "right.test": _context(authority, "right.test"),
        "unknown.test": _context(trustme.CA(), "unknown.test"),
        "expired.test": _context(
            authority, "expired.test", not_before=yesterday - dt.timedelta(days=9), not_after=yesterday
        ),
    }

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        asked.append(name or "")
        if name in contexts:
            connection.context = contexts[name]

    default = _context(authority, "other.test")
    default.sni_callback = choose
    return default


def _script(connection: socket.socket, head: bytes) -> None:
    """Answer by the path; what stands behind its question mark is where a redirect leads."""
    path, _, query = path_of(head).partition("?")
    if path == "/redirect":
        connection.sendall(answer(b"", "302 Found", f"Location: {unquote(query)}"))
    elif path.startswith("/hop/"):
        left = int(path.removeprefix("/hop/"))
        location = f"/hop/{left - 1}" if left else "/cat.jpg"
        connection.sendall(answer(b"", "302 Found", f"Location: {location}"))
    else:
        SCRIPTS.get(path, says(answer(b"", "404 Not Found")))(connection, head)


def _flood(start: bytes, piece: bytes, pieces: int) -> Script:
    """Send a beginning, and then the same piece many times, as fast as it is taken."""

    def script(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(start)
        end = time.monotonic() + PATIENCE
        for _ in range(pieces):
            if time.monotonic() > end:
                raise OutlastedError
            connection.sendall(piece)

    return script


def _answered(*headers: str) -> bytes:
    return b"\r\n".join([OK.rstrip(), *(header.encode() for header in headers), b"", b""])


_KILOBYTES_64 = bytes(65536)
_CHUNK_64 = b"10000\r\n" + _KILOBYTES_64 + b"\r\n"
_BOMB = gzip.compress(bytes(MEGA), 9) * 256  # members one after the other: 256 MB of zeros
_NESTED = "Content-Encoding: " + ", ".join(["gzip"] * 10)
_AWAY = b"HTTP/1.1 302 Found\r\nLocation: /cat.jpg\r\n"
_TO_FLOOD = b"HTTP/1.1 302 Found\r\nLocation: /slow/continue-flood\r\nX: "

SCRIPTS: dict[str, Script] = {
    "/cat.jpg": says(answer(CAT)),
    "/loop": says(answer(b"", "302 Found", "Location: /loop")),
    "/huge": _flood(_answered("Content-Length: 10000000000000"), _KILOBYTES_64, 10_000),
    "/endless": _flood(_answered(), _KILOBYTES_64, 10_000),
    "/endless-chunks": _flood(CHUNKED, _CHUNK_64, 10_000),
    "/gzip": says(answer(_BOMB, "200 OK", "Content-Encoding: gzip")),
    "/deflate": says(answer(zlib.compress(bytes(64 * MEGA), 9), "200 OK", "Content-Encoding: deflate")),
    "/empty-streams": says(answer(gzip.compress(b"") * 500_000, "200 OK", "Content-Encoding: gzip")),
    "/nested": says(answer(_BOMB, "200 OK", _NESTED)),
    "/brotli": says(answer(_BOMB, "200 OK", "Content-Encoding: br, zstd")),
    "/transfer": says(_answered("Transfer-Encoding: gzip, chunked") + b"3\r\nabc\r\n0\r\n\r\n"),
    "/away-endless": _flood(_AWAY + b"Transfer-Encoding: chunked\r\n\r\n", _CHUNK_64, 10_000),
    "/away-gzip": says(_AWAY + answer(_BOMB, "", "Content-Encoding: gzip").partition(b"\r\n")[2]),
    "/headers": says(answer(CAT, "200 OK", *(f"X-{number}: x" for number in range(2000)))),
    "/chunk-line": says(CHUNKED + b"1;" + b"x" * 200_000 + b"\r\nx\r\n0\r\n\r\n"),
    "/slow/redirect-to-flood": drips(_TO_FLOOD, b"x"),
    "/tiny-chunks": _flood(CHUNKED, b"1\r\nx\r\n" * 1000, 1000),
} | {f"/slow/{name.replace(' ', '-')}": script for name, script in SLOW.items()}
