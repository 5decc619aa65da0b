"""Connections that wait for their clients without a thread.

A connection gets a thread once the header of its request is there, and gives it back with its last answer: a
client that sends nothing, or does not close, holds none. Where clients are slow in a body or an answer, the
thread waits (`clients`), and where no thread is left, the slowest of them are given up.
"""

import select
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf
from typing import Any

from predictor.server import clients
from predictor.server.clients import ClientSocket, ClientTooSlow, Waits, header_is_here, is_over, is_silent
from predictor.server.lifetime import DrainingWorker

# How long a connection stays open for a client that has its last answer and sends more, or does not close.
_LEAVE_SECONDS = 2.0
_MOST_LEAVING = 500
# A refusal fits into the buffers of a connection that has sent nothing else.
_REFUSAL_SECONDS = 0.001
# So many connections below the limit, those that have waited longest for a header are closed for new ones.
_SPARE_CONNECTIONS = 50
# How often threads and places are looked for while there are none.
_CROWDED_SECONDS = 0.1
# How often it is looked for connections that have waited too long.
_LOOK_SECONDS = 0.25
_CLOSED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


@dataclass(frozen=True)
class _IdleConnection:
    client: socket.socket
    since: float
    ready: Callable[[socket.socket], bool]
    leave: Callable[[bool], None]


class IdleConnections:
    """Connections that wait for bytes; its `fileno` is readable when some have come.

    Args:
        seconds: how long each may wait.
        fresh: how long each may wait in any case.
    """

    def __init__(self, seconds: float, fresh: float = 0.5) -> None:
        self._seconds = seconds
        self._fresh_seconds = fresh
        self._epoll = select.epoll()
        self._connections = dict[int, _IdleConnection]()
        self._lock = threading.Lock()
        self._next_look = 0.0

    def __len__(self) -> int:
        return len(self._connections)

    def fileno(self) -> int:
        """What a selector watches."""
        return self._epoll.fileno()

    def add(
        self,
        client: socket.socket,
        ready: Callable[[socket.socket], bool],
        leave: Callable[[bool], None],
        *,
        watch: bool = True,
    ) -> None:
        """Let a connection wait. For any thread.

        Args:
            client: the connection.
            ready: whether it need not wait any longer; asked when bytes came.
            leave: called once, by the thread that calls `dispatch` or `expire`: with True when it is ready or
                its client has closed, with False when it has waited too long or its place is needed.
            watch: whether bytes are of interest at all; else it stays until its time is over.
        """
        with self._lock:
            self._connections[client.fileno()] = _IdleConnection(client, time.monotonic(), ready, leave)
        if watch:
            # An event for each arrival: bytes that do not suffice are left in the kernel.
            self._epoll.register(client, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)

    def dispatch(self, _watched: object = None) -> None:
        """Let those go that are ready."""
        for number, events in self._epoll.poll(0):
            connection = self._connections.get(number)
            if connection is not None and (events & _CLOSED or connection.ready(connection.client)):
                self._release(number, ready=True)

    def expire(self, seconds: float | None = None, excess: int = 0) -> None:
        """Let those go that have waited too long.

        Args:
            seconds: how long they may wait, if that is less than usual.
            excess: so many have to go, those that have waited longest, except those that have just come.
        """
        now = time.monotonic()
        if now < self._next_look and excess <= 0:
            return
        self._next_look = now + _LOOK_SECONDS
        latest = now - (self._seconds if seconds is None else seconds)
        settled = max(latest, now - self._fresh_seconds)
        with self._lock:
            connections = list(self._connections.items())
        for place, (number, connection) in enumerate(connections):
            if connection.since > (settled if place < excess else latest):
                break
            self._release(number, ready=False)

    def _release(self, number: int, *, ready: bool) -> None:
        with self._lock:
            connection = self._connections.pop(number)
        with suppress(OSError, ValueError):
            self._epoll.unregister(number)
        connection.leave(ready)


class IdleConnectionsWorker(DrainingWorker):
    """A threaded worker in which clients that do nothing hold no thread, and slow ones not the last."""

    _relief_next = 0.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waits = Waits()
        self._running = 0
        self._lock = threading.Lock()

    @cached_property
    def _entering(self) -> IdleConnections:
        """The connections whose next header is not there."""
        return self._watched(IdleConnections(clients.WAIT_SECONDS))

    @cached_property
    def _leaving(self) -> IdleConnections:
        """The connections that have their last answer and were not closed by their clients."""
        return self._watched(IdleConnections(_LEAVE_SECONDS, fresh=0.0))

    def _watched(self, idle: IdleConnections) -> IdleConnections:
        self.poller.register(idle, selectors.EVENT_READ, idle.dispatch)
        return idle

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for connections and requests, and end those that have waited too long."""
        # They are made here, not by the thread that needs the first of them.
        entering, leaving = self._entering, self._leaving
        excess = self.nr_conns + _SPARE_CONNECTIONS - self.cfg.worker_connections
        crowded = self._running > self.cfg.threads or excess > 0
        super().wait_for_and_dispatch_events(_CROWDED_SECONDS if crowded else timeout)
        self._relieve()
        entering.expire(None if self.alive else _LEAVE_SECONDS, excess)
        leaving.expire(excess=len(leaving) - _MOST_LEAVING)

    def enqueue_req(self, conn: Any) -> None:
        """Give a connection a thread once its next header is there."""
        if not isinstance(conn.sock, ClientSocket):
            conn.sock = ClientSocket(conn.sock)
        if has_read_ahead(conn) or header_is_here(conn.sock):
            self._start(conn)
        else:
            self._entering.add(conn.sock, header_is_here, partial(self._enter, conn))

    def handle(self, conn: Any) -> Any:
        """Answer a connection's requests, in a thread."""
        client = conn.sock
        self._waits.begin(client)
        try:
            outcome = self.answer(conn)
            if not outcome:
                self._let_leave(client)
            return outcome
        finally:
            self._waits.end(client)
            with self._lock:
                self._running -= 1

    def answer(self, conn: Any) -> Any:
        """Answer one request; whether there may be another one."""
        conn.sock.allow(inf)
        return super().handle(conn)

    def _enter(self, conn: Any, ready: bool) -> None:
        if ready:
            self._start(conn)
            return
        # It gets hardly any time to read the refusal: this is the thread that accepts connections.
        conn.sock.settimeout(_REFUSAL_SECONDS)
        with suppress(OSError):
            if conn.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                self.handle_error(None, conn.sock, conn.client, ClientTooSlow())
        self._close(conn)

    def _start(self, conn: Any) -> None:
        with self._lock:
            self._running += 1
        try:
            super().enqueue_req(conn)
        except RuntimeError:
            self.log.warning("A connection was closed because no thread can be started")
            self._close(conn)
        self._relieve()

    def _close(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.sock.close()

    def _relieve(self) -> None:
        """While requests wait for a thread, give up the clients that cost most time."""
        missing, now = self._running - self.cfg.threads, time.monotonic()
        if missing <= 0 or now < self._relief_next:
            return
        self._relief_next = now + _CROWDED_SECONDS
        for _ in range(missing):
            if client := self._waits.slowest():
                client.give_up()

    def _let_leave(self, client: ClientSocket) -> None:
        """Close a connection once its client has read the last answer; what it still sends is nobody's.

        Gunicorn would wait for that in the thread that accepts connections.
        """
        if client.fileno() < 0:
            return
        leaving = socket.socket(client.family, client.type, client.proto, client.detach())
        with suppress(OSError):
            leaving.shutdown(socket.SHUT_WR)
            silent = is_silent(leaving)
            if silent or not is_over(leaving):
                # To be told that a client which sends nothing has closed would cost more than an open file.
                self._leaving.add(leaving, is_over, lambda _: leaving.close(), watch=not silent)
                return
        leaving.close()


def has_read_ahead(conn: Any) -> bool:
    """Whether bytes of a connection's next request came with those of the last one."""
    return conn.parser is not None and bool(conn.parser.unreader.buf.getvalue())
