"""Connections are spread over the workers; what is not HTTP is refused in the form of all errors."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.http import errors

from predictor.problem import SAFE_HEADERS
from predictor.server.worker import BalancedThreadWorker, refusal
from predictor.shared import release


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    """No worker has told its connections before or after a test."""
    yield
    for slot in range(4):
        release(slot)


def worker(slot: int, connections: int) -> BalancedThreadWorker:
    """A worker that has told how many connections it has, without a process of its own."""
    made = BalancedThreadWorker.__new__(BalancedThreadWorker)
    made.alive = True
    made.slot, made.nr_conns, made.cfg = slot, connections, SimpleNamespace(workers=2, threads=4)
    made.tell_connections()
    return made


def test_fewest() -> None:
    """Every worker sees who has the fewest connections."""
    first, second = worker(0, 5), worker(1, 2)

    assert first.fewest_connections() == 2
    assert second.fewest_connections() == 2


@pytest.mark.parametrize(
    ("own", "takes", "left"),
    [(3, True, True), (3, False, False), (2, True, False), (1, True, False)],
)
def test_leaves_new_ones(own: int, takes: bool, left: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has more connections than another one leaves a new one to it, if it takes it soon."""
    accepted, others = list[Any](), list[socket.socket]()
    first, _ = worker(0, own), worker(1, 2)
    monkeypatch.setattr(first, "enqueue_req", accepted.append)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        listener.setblocking(False)

        def sleep(_: float) -> None:
            if takes:
                others.append(listener.accept()[0])

        monkeypatch.setattr("predictor.server.worker.time.sleep", sleep)
        first.accept(listener)
    for one in [*others, *(connection.sock for connection in accepted)]:
        one.close()

    assert (len(others), len(accepted)) == (int(left), int(not left))
    assert first.nr_conns == own + len(accepted)


def test_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody wants a connection any more, a worker with more than another one does not wait."""
    pauses = list[float]()
    monkeypatch.setattr("predictor.server.worker.time.sleep", pauses.append)
    first, _ = worker(0, 3), worker(1, 2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        first.accept(listener)

    assert not pauses


def test_alone() -> None:
    """A worker that is alone has the fewest itself, and never waits for others."""
    assert worker(0, 5).fewest_connections() == 5


def test_released() -> None:
    """The connections of a worker that is gone no longer count."""
    first, _ = worker(0, 5), worker(1, 2)
    release(1)

    assert first.fewest_connections() == 5


def test_stopping() -> None:
    """A worker that accepts no more is not one to which others leave new connections."""
    first, second = worker(0, 5), worker(1, 1)
    second.alive = False
    second.tell_connections()

    assert first.fewest_connections() == 5


def test_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with more than its share lets connections go one by one, and keeps what is its share."""
    first, second = worker(0, 6), worker(1, 2)

    let_go = [first.lets_go() for _ in range(3)]
    later = time.monotonic() + 1
    monkeypatch.setattr("predictor.server.worker.time.monotonic", lambda: later)

    assert let_go == [True, False, False]
    assert first.lets_go()
    assert not second.lets_go()


def test_keeps_its_share() -> None:
    """One connection more than another worker has is nothing that could be spread better."""
    first, _ = worker(0, 3), worker(1, 2)

    assert not first.lets_go()


def answered(raw: bytes) -> http.client.HTTPResponse:
    """What a client reads of an answer."""
    here, there = socket.socketpair()
    with here, there:
        there.sendall(raw)
        there.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(here, method="GET")
        response.begin()
        return response


@pytest.mark.parametrize(
    ("cause", "status", "code"),
    [
        (errors.InvalidRequestLine("secret"), 400, "invalid_request"),
        (errors.InvalidHeader("secret"), 400, "invalid_request"),
        (errors.InvalidChunkSize(b"secret"), 400, "invalid_request"),
        (errors.LimitRequestLine(9, 8), 414, "invalid_request"),
        (errors.LimitRequestHeaders("secret"), 431, "invalid_request"),
        (errors.ExpectationFailed("secret"), 417, "invalid_request"),
        (errors.UnsupportedTransferCoding("secret"), 501, "invalid_request"),
        (RuntimeError("secret"), 500, "internal"),
    ],
)
def test_refusal(cause: Exception, status: int, code: str) -> None:
    """It is a problem document with an id, the safe headers and the end of the connection."""
    found, raw = refusal(cause, "an-id")
    response = answered(raw)
    problem = json.loads(response.read())

    assert found == response.status == problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"/docs#{code}"
    assert "secret" not in str(problem)
    # What clients of the Open Inference Protocol and of Hugging Face read.
    assert problem["error"] == problem["detail"]
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-ID"] == problem["request_id"] == "an-id"
    assert response.headers["Connection"] == "close"
    assert dict(SAFE_HEADERS).items() <= dict(response.headers).items()
