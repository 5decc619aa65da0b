"""Before and after each request: id, time, deadline, log line and metrics; whether its client is there."""

import logging
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Flask, Request, Response, g, request
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.http import parse_date

from predictor import logs
from predictor.config import Settings
from predictor.errors import ClientClosedRequest, CompressedRequest, InvalidRequest, TooLate
from predictor.inference.admission import Deadline
from predictor.inference.prediction import Outcome
from predictor.metrics import Metrics

# Ids as proxies and tracers write them, such as Root=1-67891233-abcdef012345678912345678;Sampled=1.
_ID = re.compile(r"[A-Za-z0-9._:;=+/@~-]{1,128}")
# The trace id of W3C's `traceparent`, version 00 and whatever later versions append.
_TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
# Codings that compress (RFC 9110 section 8.4.1); other names, such as aws-chunked or utf-8, change no bytes.
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"})
# Conditions of a request that may be dates.
_DATES = ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_RANGE")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_PROBES = frozenset({"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"})
log = logging.getLogger("predictor.request")


@dataclass
class RequestContext:
    """The context of a request: what the hooks know of it, and what a view tells them.

    Attributes:
        request_id: the caller's id, or that of the caller's trace, or a new one.
        outcome: what came of a prediction.
        start: when the request began, by the performance counter.
        disconnected: whether the client is known to have left before its request ended or was answered.
    """

    request_id: str
    outcome: Outcome | None = None
    start: float = field(default_factory=time.perf_counter)
    disconnected: bool = False

    @property
    def phases(self) -> dict[str, float]:
        """Seconds of each phase of a prediction."""
        return self.outcome.phases.seconds if self.outcome else {}


def init_app(app: Flask, metrics: Metrics) -> None:
    """Surround every request of the application."""

    @app.before_request
    def begin() -> None:
        asked = current_request()
        # A header is found in the environment in a tenth of the time.
        given = asked.environ.get("HTTP_X_REQUEST_ID", "")
        state = RequestContext(given if _ID.fullmatch(given) else _new_id(asked.environ))
        g.request_context = state
        _drop_impossible_dates(asked.environ)
        # The Open Inference Protocol has compression; its routes read such bodies themselves.
        if (coding := asked.environ.get("HTTP_CONTENT_ENCODING")) and not asked.path.startswith("/v2/"):
            _check_coding(coding)

    @app.after_request
    def end(response: Response) -> Response:
        asked = current_request()
        state = current_context()
        seconds = time.perf_counter() - state.start
        headers = response.headers
        headers["X-Request-ID"] = state.request_id
        if state.phases:
            headers["Server-Timing"] = server_timing(state.phases)
        _count(metrics, asked, response.status_code, seconds)
        if state.disconnected:
            metrics.disconnects.inc()
        level = logging.DEBUG if is_routine(asked, response.status_code) else logging.INFO
        if log.isEnabledFor(level):
            logs.write(log, "request", _fields(asked, response.status_code, seconds, state), level)
        return response


def _new_id(environment: Mapping[str, Any]) -> str:
    """The id of the trace that a request belongs to (W3C Trace Context), or a new one of the same form."""
    given = environment.get("HTTP_TRACEPARENT")
    found = _TRACE.fullmatch(given) if given else None
    return found[1] if found else os.urandom(16).hex()


def _drop_impossible_dates(environment: dict[str, Any]) -> None:
    """Ignore a condition with a number that no date can have, as RFC 9110 section 13.1.3 asks, and the range.

    Werkzeug ignores other texts that are no dates, and fails on these.
    """
    for name in _DATES:
        try:
            parse_date(environment.get(name))
        except OverflowError:
            del environment[name]
            environment.pop("HTTP_RANGE", None)


def _check_coding(codings: str) -> None:
    if compressions(codings):
        raise CompressedRequest("The body is compressed: send it without Content-Encoding.")


def compressions(codings: str) -> list[str]:
    """Those of a Content-Encoding that compress, in lower case."""
    return [name for coding in codings.split(",") if (name := coding.strip().lower()) in _COMPRESSED]


def is_probe(asked: Request) -> bool:
    """Whether probes and Prometheus ask for this path; a path may have a slash at its end."""
    return asked.path.removesuffix("/") in _PROBES


def is_routine(asked: Request, status: int) -> bool:
    """Whether a request is a probe or a scrape with nothing to report; thousands come each day."""
    return status == HTTPStatus.OK and is_probe(asked)


def current_request() -> Request:
    """The current request itself: each attribute of Flask's `request` is a look at the context."""
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 (documented)
    return asked


def current_context() -> RequestContext:
    """The context of the current request; a request refused before its first hook gets an id here."""
    state: RequestContext | None = g.get("request_context")
    if state is None:
        state = g.request_context = RequestContext(os.urandom(16).hex())
    return state


def server_timing(phases: dict[str, float]) -> str:
    """The header's value: each phase with its milliseconds, as the Server Timing standard writes it."""
    return ", ".join(f"{phase};dur={1000 * seconds:.2f}" for phase, seconds in phases.items())


def _count(metrics: Metrics, asked: Request, status: int, seconds: float) -> None:
    # Only names that the service itself gave become labels: a client may send any method and path.
    method = asked.method if asked.method in _METHODS else "other"
    metrics.count_request((method, asked.endpoint or "none", status), seconds)


def _fields(asked: Request, status: int, seconds: float, state: RequestContext) -> dict[str, Any]:
    fields = {
        "request_id": state.request_id,
        "method": asked.method[:20],
        "path": asked.path[:200],
        "status": status,
        "milliseconds": round(1000 * seconds, 2),
        "remote": asked.remote_addr,
    }
    for phase, spent in state.phases.items():
        fields[f"{phase}_ms"] = round(1000 * spent, 2)
    return fields


DEADLINE = "X-Request-Deadline-Ms"
MAX_MILLISECONDS = 3_600_000


class Headers(BaseModel):
    """Headers that a prediction heeds."""

    model_config = ConfigDict(populate_by_name=True)

    deadline: int | None = Field(
        None,
        alias="X-Request-Deadline-Ms",
        ge=1,
        le=MAX_MILLISECONDS,
        description="Deadline in milliseconds: an image that cannot begin to run by "
        "then is refused with 503.",
    )


def deadline_of(request: Request, settings: Settings) -> Deadline:
    """The deadline of a request.

    Raises:
        InvalidRequest: it names a deadline that is none.
    """
    timeout = settings.deadline_seconds
    if (given := request.headers.get(DEADLINE)) is not None:
        timeout = _milliseconds(given) / 1000
    connection = _connection(request)
    if connection is None:
        return Deadline(timeout)
    return Deadline(timeout, partial(_disconnected, connection))


def check_connected(request: Request) -> None:
    """Check that the client still waits for the answer to a request whose body has been read.

    Raises:
        ClientClosedRequest: the other end has closed the connection.
    """
    connection = _connection(request)
    if connection is not None and _disconnected(connection):
        raise ClientClosedRequest("The request was cancelled because the client closed the connection.")


def unless_left(error: Exception) -> Exception:
    """An error, or that the client has left: what is not done as nobody waits for it is not too much load."""
    if isinstance(error, TooLate):
        try:
            check_connected(current_request())
        except ClientClosedRequest as left:
            return left
    return error


def _connection(request: Request) -> socket.socket | None:
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    return connection


def _milliseconds(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_MILLISECONDS and len(text) < 9):
        raise InvalidRequest(f"{DEADLINE} must be a whole number from 1 to {MAX_MILLISECONDS}.")
    return int(text)


def _disconnected(connection: socket.socket) -> bool:
    """Whether the other end has closed the connection."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ValueError:  # an encrypted connection cannot be looked into like that
        return False
    except OSError:
        return True
