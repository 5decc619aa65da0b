"""Who waits for an answer, and for how long, is read from the request and from its connection."""

import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Request
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from predictor.config import Settings
from predictor.errors import InvalidRequest
from predictor.logs import FIELDS
from predictor.web.middleware import DEADLINE, deadline_of


def request(deadline: str | None = None, connection: socket.socket | None = None) -> Request:
    """A request that names a deadline and comes over a connection."""
    headers = {} if deadline is None else {DEADLINE: deadline}
    builder = EnvironBuilder(method="POST", path="/predict", headers=Headers(headers))
    environ: dict[str, Any] = builder.get_environ()
    if connection is not None:
        environ["gunicorn.socket"] = connection
    return Request(environ)


def test_default() -> None:
    """Without a header the setting counts."""
    assert deadline_of(request(), Settings(deadline_seconds=7)).timeout == 7


@pytest.mark.parametrize(
    ("given", "seconds"), [("1", 0.001), ("2500", 2.5), ("3600000", 3600), ("0010", 0.01)]
)
def test_header(given: str, seconds: float) -> None:
    """The header overrules the setting."""
    assert deadline_of(request(given), Settings()).timeout == seconds


@pytest.mark.parametrize("given", ["", "0", "-5", "1.5", "soon", "3600001", "9" * 5000, "٣", "1e3"])
def test_wrong_header(given: str) -> None:
    """What is no number of milliseconds is refused, by the header's name."""
    with pytest.raises(InvalidRequest, match=DEADLINE):
        deadline_of(request(given), Settings())


def test_connection() -> None:
    """A caller has left when the other end of its connection is closed, and not when it sends more."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        waiting = deadline_of(request(connection=ours), Settings())
        assert not waiting.disconnected()
        theirs.send(b"POST")
        assert not waiting.disconnected()
        assert ours.recv(10) == b"POST"

        theirs.close()

        assert waiting.disconnected()


def test_broken_connection() -> None:
    """A connection that cannot be read any more is one that nobody waits at."""
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()

        assert deadline_of(request(connection=ours), Settings()).disconnected()


def test_answered(client: FlaskClient, cat: Path) -> None:
    """A request whose deadline is far is answered; one whose deadline is none is refused by its name."""
    headers = {"Content-Type": "image/jpeg"}

    answers = [
        client.post("/predict", data=cat.read_bytes(), headers=headers | {DEADLINE: deadline})
        for deadline in ("60000", "never")
    ]

    assert [answer.status_code for answer in answers] == [200, 400]
    assert DEADLINE in answers[1].text


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/readyz/", "/v2/health/live", "/v2/health/ready"]
)
def test_probes_are_not_logged(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, path: str, method: str
) -> None:
    """A probe or a scrape that succeeds leaves a line at debug only."""
    caplog.set_level(logging.INFO)
    assert client.open(path, method=method).status_code == 200
    assert caplog.records == []

    caplog.set_level(logging.DEBUG, "predictor.request")
    client.open(path, method=method)
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


def test_failing_probes_are_logged(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A probe that fails is logged, as everything else is."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    client = make_app(device="cuda").test_client()
    caplog.clear()
    caplog.set_level(logging.INFO, "predictor.request")

    for path in ("/readyz", "/healthz", "/healthz/x", "/upload"):
        client.get(path)
    client.post("/healthz")

    assert [getattr(record, FIELDS)["status"] for record in caplog.records] == [503, 404, 200, 405]
