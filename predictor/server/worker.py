"""Gunicorn's threaded worker, with connections that stay with their thread and spread over the workers.

Gunicorn passes a kept-alive connection from thread to thread for every request, and whichever worker
wakes first accepts a burst of new connections alone and keeps them. Where each request keeps a core
busy, both cost throughput: the first a few wake-ups a request, the second the cores of idle workers.
"""

import os
import select
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.http.errors import ParseException
from pydantic_core import to_json

from predictor.errors import Internal, InvalidRequest
from predictor.problem import SAFE_HEADERS, document
from predictor.server.clients import BYTES_PER_SECOND, ClientTooSlow
from predictor.server.idle_connections import IdleConnectionsWorker, has_read_ahead
from predictor.shared import connections

# How long a thread waits for the next request of its connection before it gives the connection back.
_LINGER_MILLISECONDS = 20
# How long a worker with more connections than another one leaves a new one to it: the other's thread that
# accepts may have to wait for 5 ms until Python lets it run.
_YIELD_SECONDS = 0.01
_LOOK_SECONDS = 0.0005
# How long a connection that was let go may need until the workers' numbers show where it is now.
_MOVE_SECONDS = 0.1


class BalancedThreadWorker(IdleConnectionsWorker):
    """The worker class of `gunicorn.conf.py`; its `slot` is given before the fork."""

    _moves_next = 0.0

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for connections and requests, and tell the other workers how many there are here."""
        self.tell_connections()
        super().wait_for_and_dispatch_events(timeout)

    def accept(self, listener: Any) -> None:
        """Accept a connection, after a moment in which a worker that has fewer may take it."""
        deadline = time.monotonic() + _YIELD_SECONDS
        while (
            self.nr_conns > self.fewest_connections() and time.monotonic() < deadline and _has_more(listener)
        ):
            time.sleep(_LOOK_SECONDS)
        super().accept(listener)

    def answer(self, conn: Any) -> Any:
        """Answer a connection's requests, one after the other, as long as they follow closely."""
        while True:
            outcome = super().answer(conn)
            if outcome is not True or not self._follows(conn):
                return outcome

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request; a worker with more than its share lets the client connect anew."""
        conn.sock.allow(BYTES_PER_SECOND)
        if self.lets_go():
            req.force_close()
        goes_on = super().handle_request(req, conn)
        conn.sock.flush()
        return goes_on

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ARG002
        """Refuse what could not be read as a request."""
        request_id = os.urandom(16).hex()
        status, answer = refusal(exc, request_id)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("A request failed, request id %s", request_id, exc_info=exc)
        else:
            self.log.warning("Refused with %d, request id %s: %s", status, request_id, type(exc).__name__)
        # The client may have left.
        with suppress(OSError):
            client.sendall(answer)

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        """Whether a connection can take another request; the rest of a body that is no HTTP ends it.

        Its request is answered by then: a refusal would be taken for the answer to the next one.
        """
        try:
            return bool(super()._keepalive_after(conn, keepalive))
        except ParseException:
            return False

    def _follows(self, conn: Any) -> bool:
        """Whether the next request comes soon; waited for only while there is a thread for everybody."""
        if not self.alive or self.nr_conns > self.cfg.threads:
            return False
        return has_read_ahead(conn) or _has_more(conn.sock, _LINGER_MILLISECONDS)

    def lets_go(self) -> bool:
        """Whether a connection should go to another worker; one at a time, lest all of them go at once."""
        if self.nr_conns <= self.fewest_connections() + 1 or (now := time.monotonic()) < self._moves_next:
            return False
        self._moves_next = now + _MOVE_SECONDS
        return True

    def fewest_connections(self) -> int:
        """The connections of the worker that has the fewest."""
        return min(connections.of(self.cfg.workers), default=self.nr_conns)

    def tell_connections(self) -> None:
        """Tell the others; one that accepts no more is nobody to compare with."""
        if self.alive:
            connections.set(self.slot, self.nr_conns)
        else:
            connections.release(self.slot)


def _has_more(connection: Any, milliseconds: int = 0) -> bool:
    """Whether there is something to read or to accept, or will be within a time."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(milliseconds))


class ServerLogger(Logger):
    """Gunicorn's logger without its access log: the service writes a line of its own for each request."""

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Do nothing, at no cost."""


_REASONS: tuple[tuple[type[Exception], HTTPStatus, str], ...] = (
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG, "The URL is too long."),
    (
        errors.LimitRequestHeaders,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "There are too many headers, or they are too long.",
    ),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED, "This Expect header is not supported."),
    (
        errors.UnsupportedTransferCoding,
        HTTPStatus.NOT_IMPLEMENTED,
        "This Transfer-Encoding is not supported.",
    ),
    (errors.ParseException, HTTPStatus.BAD_REQUEST, "Malformed HTTP request."),
    (ClientTooSlow, HTTPStatus.REQUEST_TIMEOUT, "The header of the request did not come in time."),
)
_FAILED = (
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "The service failed; its log has the reason under the request id.",
)


def refusal(cause: BaseException, request_id: str) -> tuple[HTTPStatus, bytes]:
    """The status and the whole answer for a request that could not be read; it ends the connection."""
    status, detail = next(
        ((status, text) for kind, status, text in _REASONS if isinstance(cause, kind)), _FAILED
    )
    error = Internal if status == HTTPStatus.INTERNAL_SERVER_ERROR else InvalidRequest
    # The path may not be known, and clients of /v2 and /hf read the member `error`.
    body = to_json(document(error.code, error.title, status, detail, request_id) | {"error": detail})
    headers = [
        ("Connection", "close"),
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("X-Request-ID", request_id),
        *SAFE_HEADERS,
    ]
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(": ".join(header) for header in headers)]
    return status, "\r\n".join([*lines, "", ""]).encode() + body
