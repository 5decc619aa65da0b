"""The deadline of a call of the client, also where a server sends or takes a byte now and then.

A socket's timeout begins anew with each byte. Here each wait for the socket ends with the call.
"""

import http.client
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool, HTTPSConnectionPool


@dataclass
class Deadline:
    """When a call ends.

    Attributes:
        until: the moment, by the monotonic clock.
        missed: whether the call waited for a connection until then.
    """

    until: float
    missed: bool = False

    def left(self) -> float:
        """Seconds that are left.

        Raises:
            TimeoutError: none.
        """
        seconds = self.until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("The time of the call is over.")
        return seconds


_deadline: ContextVar[Deadline] = ContextVar("deadline")


@contextmanager
def ending(until: float) -> Iterator[Deadline]:
    """Let what connections of a bounded pool do in the block end at a moment of the monotonic clock."""
    deadline = Deadline(until)
    token = _deadline.set(deadline)
    try:
        yield deadline
    finally:
        _deadline.reset(token)


def bounded(pool: ConnectionPool) -> ConnectionPool:
    """The pool, whose new connections heed the deadline."""
    if isinstance(pool, HTTPConnectionPool):
        pool.ConnectionCls = _SecureConnection if isinstance(pool, HTTPSConnectionPool) else _Connection
    return pool


@contextmanager
def _waiting(connection: Any) -> Iterator[None]:
    """Wait for a connection in the block, and no longer than the call lasts."""
    deadline = _deadline.get()
    try:
        connection.settimeout(deadline.left())
        yield
    except TimeoutError:
        deadline.missed = True
        raise


class _Input(io.RawIOBase):
    """What comes from a connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._source = connection.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _waiting(self._connection):
            count: int = self._source.readinto(buffer)
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class _Readable:
    """A connection for `http.client`, which only makes a file of it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Input(self._connection))


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(_Readable(sock), *arguments, **named)  # type: ignore[arg-type]


class _Connection(HTTPConnection):
    response_class = _Answer

    def send(self, data: Any) -> None:
        """Send a part of a request."""
        # Before the first part there may be no connection, which is made with a timeout of its own.
        with nullcontext() if self.sock is None else _waiting(self.sock):
            super().send(data)


class _SecureConnection(_Connection, HTTPSConnection):
    pass
