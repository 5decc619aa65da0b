"""Connections to clients: nothing is waited for without an end, and the slowest can be given up.

A thread that reads a body or sends an answer may have to wait for the client. It waits as long as the client
keeps a minimum rate: each connection has a budget of seconds, which waiting uses up and bytes refill. So a
client that stalls or sends a byte now and then is ended soon, and a slow one may take hours for a large file.
"""

import errno
import select
import socket
import struct
import threading
import time
from contextlib import suppress
from math import inf
from typing import Any

WAIT_SECONDS = 10.0
"""How long a client may take for a header, and by how much it may fall behind the minimum rate otherwise."""
BYTES_PER_SECOND = 500
"""The minimum rate of bodies and answers; Apache httpd and Kestrel have about the same."""

SLOW_CLIENTS = 176
"""How many threads a worker has besides those for its own work; beyond, the slowest clients are given up."""

# How long a thread waits for a piece of a body that the answer did not need.
_REST_SECONDS = 0.5
# A client that cost less time than this is not given up, however few threads are left.
_NOTICED_SECONDS = 0.25
# So much of an answer waits in the kernel unsent, so that a client that reads slowly is seen to read.
_UNSENT_BYTES = 64 << 10
_RESET = struct.pack("ii", 1, 0)

_PEEK_BYTES = 8 << 10
# What is read at once of what nobody wants any more; who has sent more is cut off.
_DISCARD_BYTES, _DISCARDS = 64 << 10, 16


class ClientTooSlow(TimeoutError):
    """The client has sent or read too little; gunicorn takes it for a client that has left."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "The client is too slow.")


class Waits:
    """The connections that threads of a worker have, of which some wait for their clients."""

    def __init__(self) -> None:
        self._clients = set[ClientSocket]()
        self._lock = threading.Lock()

    def begin(self, client: "ClientSocket") -> None:
        """Note that a thread has a connection."""
        with self._lock:
            self._clients.add(client)

    def end(self, client: "ClientSocket") -> None:
        """Note that it has it no more."""
        with self._lock:
            self._clients.discard(client)

    def slowest(self) -> "ClientSocket | None":
        """The client that has cost most time; None if nobody has cost any worth mentioning."""
        with self._lock:
            client = min(self._clients, key=lambda one: one.left(), default=None)
            if client is None or client.left() > WAIT_SECONDS - _NOTICED_SECONDS:
                return None
            self._clients.discard(client)
            return client


class ClientSocket(socket.socket):
    """A connection that gunicorn's threads use like a blocking socket, with the limits of this module.

    Args:
        accepted: the connection, which this one takes over.
        seconds: how long may be waited.
    """

    def __init__(self, accepted: socket.socket, seconds: float = WAIT_SECONDS) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        super().setblocking(False)
        if self.family != socket.AF_UNIX:
            with suppress(OSError):
                self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        self._seconds = seconds
        self._given_up = False
        self._patience = inf
        self._waits_since: float | None = None
        self._header = b""
        self.allow(BYTES_PER_SECOND)

    def allow(self, rate: float) -> None:
        """Begin with a new budget.

        Args:
            rate: bytes a second that use nothing up; infinite where bytes bring no more time.
        """
        self._budget = self._seconds
        self._rate = rate

    def left(self) -> float:
        """How many seconds a thread that waits for the client goes on; infinite if none waits."""
        since = self._waits_since
        return inf if since is None else since + self._budget - time.monotonic()

    def setblocking(self, _flag: bool, /) -> None:
        """Do nothing: this socket never blocks in the kernel, and waits for itself."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Be less patient: gunicorn sets a limit only where it reads what nobody needs any more."""
        self._patience = min(seconds, _REST_SECONDS) if seconds else inf

    def gettimeout(self) -> float | None:
        """No timeout that a caller would have to restore."""
        return None

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive what is there, or comes in time.

        Raises:
            ClientTooSlow: nothing came.
        """
        try:
            data = _recv(self, size, flags)
        except BlockingIOError:
            if flags & socket.MSG_DONTWAIT:
                raise
            self._wait(select.POLLIN)
            data = _recv(self, size, flags)
        if self._budget < self._seconds:
            self._refill(len(data))
        return data

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send what there is room for, or will be in time.

        Raises:
            ClientTooSlow: the client reads nothing.
        """
        while True:
            try:
                return _send(self, data, flags)
            except BlockingIOError:
                self._wait(select.POLLOUT)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all, as long as the client reads fast enough; the header of an answer only with what follows.

        A proxy can ask another worker only as long as it has nothing of an answer, so a worker that is killed
        must not have sent the header alone.

        Raises:
            ClientTooSlow: it does not.
        """
        # That of an interim answer (100) is sent at once, for the client waits for it.
        if not self._header and data[:7] == b"HTTP/1." and data[9:10] != b"1" and data[-4:] == b"\r\n\r\n":
            self._header = data
            return
        if self._header:
            data, self._header = self._header + data, b""
        try:
            sent = _send(self, data, flags)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            left = memoryview(data)[sent:]
            while left:
                sent = self.send(left, flags)
                self._refill(sent)
                left = left[sent:]

    def flush(self) -> None:
        """Send the header of an answer that has no body."""
        if self._header:
            self.sendall(b"")

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a part of a file, after the header; else as `socket.sendfile`."""
        self.flush()
        return super().sendfile(file, offset, count)

    def give_up(self) -> None:
        """End the connection; a thread that waits for its client ends its wait. For any thread."""
        self._given_up = True
        with suppress(OSError):
            self._forget_unsent()
            self.shutdown(socket.SHUT_RDWR)

    def _wait(self, event: int) -> None:
        self._waits_since = began = time.monotonic()
        poll = select.poll()
        poll.register(self, event)
        came = poll.poll(max(0.0, 1000 * min(self._budget, self._patience)))
        self._budget += began - time.monotonic()
        self._waits_since = None
        if self._given_up or not came:
            if event == select.POLLOUT:
                self._forget_unsent()
            raise ClientTooSlow

    def _refill(self, count: int) -> None:
        self._budget = min(self._seconds, self._budget + count / self._rate)

    def _forget_unsent(self) -> None:
        """Keep nothing in the kernel, once this is closed, for a client that does not read."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


# Looked up once: each request calls them several times.
_recv, _send = socket.socket.recv, socket.socket.send


def header_is_here(client: socket.socket) -> bool:
    """Return whether the header of the next request has arrived, or the bytes are known to be no header."""
    try:
        head = client.recv(_PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return (
        len(head) in {0, _PEEK_BYTES}
        or b"\r\n\r\n" in head
        # No header has these, so the parser refuses it before its end.
        or head.count(b"\n") != head.count(b"\r\n")
    )


def is_over(leaving: socket.socket) -> bool:
    """Read what a client still sends after its last answer; whether it has closed, or sends too much."""
    try:
        for _ in range(_DISCARDS):
            if not leaving.recv(_DISCARD_BYTES, socket.MSG_DONTWAIT):
                break
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def is_silent(client: socket.socket) -> bool:
    """Whether a client has neither closed its connection nor sent anything that was not read."""
    try:
        client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    return False
