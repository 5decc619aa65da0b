"""Servers of images that answer by a script: well-behaved ones, and those that no client should trust."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable

PATIENCE = 200.0  # how long a hostile server goes on; it knows then that its client had no deadline
PICTURE = bytes(range(256)) * 400

Script = Callable[[socket.socket, bytes], None]


class OutlastedError(Exception):
    """The client was still there when the server's patience ended."""


class Server:
    """Reads the head of each request, keeps it, and answers by a script; one thread for each connection.

    Attributes:
        reached: the address of this machine on which each connection came.
        heads: the request line and headers of each request.
        outlasted: whether a client was still there when the patience of a script ended.
    """

    def __init__(
        self,
        script: Script,
        host: str = "127.0.0.1",
        context: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # A port that was chosen may be shared: the server of one address comes before that of all.
        self._listener = socket.create_server((host, port), family=family, backlog=64, reuse_port=port > 0)
        self._script = script
        self._context = context
        self.port = int(self._listener.getsockname()[1])
        self.reached: list[str] = []
        self.heads: list[bytes] = []
        self.outlasted = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        """How many connections were accepted."""
        return len(self.reached)

    @property
    def url(self) -> str:
        """Where this server is reached."""
        return f"http://127.0.0.1:{self.port}/cat.jpg"

    def close(self) -> None:
        """Stop accepting."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                self.reached.append(connection.getsockname()[0])
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as open_sockets:
            open_sockets.callback(connection.close)
            connection.settimeout(PATIENCE)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                open_sockets.callback(connection.close)
            head = b""
            while b"\r\n\r\n" not in head and not head.startswith(b"\x16"):  # TLS where none is spoken
                if not (piece := connection.recv(65536)):
                    return
                head += piece
            self.heads.append(head)
            try:
                self._script(connection, head)
            except OutlastedError:
                self.outlasted = True


def answer(body: bytes = PICTURE, status: str = "200 OK", *headers: str) -> bytes:
    """A whole HTTP answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def says(data: bytes) -> Script:
    """Send this to everyone."""

    def script(connection: socket.socket, _: bytes) -> None:
        connection.sendall(data)

    return script


def drips(start: bytes, piece: bytes, pause: float = 0.02) -> Script:
    """Send a beginning, then small pieces until the client goes away or patience ends."""

    def script(connection: socket.socket, _: bytes) -> None:
        connection.sendall(start)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            connection.sendall(piece)
            time.sleep(pause)
        raise OutlastedError

    return script


def redirects(location: str, status: str = "302 Found", tail: Script | None = None) -> Script:
    """Send everyone on, save those who ask for /end."""

    def script(connection: socket.socket, head: bytes) -> None:
        if head.startswith(b"GET /end "):
            connection.sendall(answer())
        elif tail is not None:
            tail(connection, head)
        else:
            connection.sendall(answer(b"moved", status, f"Location: {location}"))

    return script


def path_of(head: bytes) -> str:
    """The path that a request asks for."""
    return head.split(b" ", 2)[1].decode()


def headers_of(head: bytes) -> dict[str, str]:
    """The headers of a request, names in lower case."""
    lines = head.decode().split("\r\n")[1:-2]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
SLOW = {
    "silence": drips(b"", b"", 1),
    "status": drips(b"HTTP/1.1 200 ", b"O"),
    "header": drips(OK + b"X: ", b"x"),
    "headers": drips(OK, b"X: x\r\n", 0.1),
    "continue": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "continue flood": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0),
    "body": drips(OK + b"Content-Length: 100000\r\n\r\n", b"x"),
    "body without length": drips(OK + b"\r\n", b"x"),
    "chunks": drips(CHUNKED, b"1\r\nx\r\n"),
    "chunk line": drips(CHUNKED + b"1;", b"x"),
    "trailers": drips(CHUNKED + b"1\r\nx\r\n0\r\n", b"X: x\r\n"),
    "redirect": redirects("", tail=drips(b"HTTP/1.1 302 Found\r\nLocation: /end\r\nX: ", b"x")),
}
