"""The service says once, when it is ready, where to open it; how workers end, and what they may open."""

import gc
import logging
import os
import re
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from predictor import shared
from predictor.config import Settings
from predictor.server.hooks import Announcement, Hooks, bound, url
from predictor.server.start import read_settings


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged."""
    return [record.getMessage() for record in caplog.records]


def test_once_all_are_ready(caplog: pytest.LogCaptureFixture) -> None:
    """The last worker says it, none before it, and none that takes the place of another later."""
    caplog.set_level(logging.INFO)
    announcement = Announcement()

    announcement.ready(1, 2, "127.0.0.1:8080")
    announcement.ready(1, 2, "127.0.0.1:8080")
    assert said(caplog) == []
    announcement.ready(0, 2, "127.0.0.1:8080")
    announcement.ready(0, 2, "127.0.0.1:8080")

    assert said(caplog) == ["Ready: open http://127.0.0.1:8080/"]


def test_workers_share_it(caplog: pytest.LogCaptureFixture) -> None:
    """What a worker says after the fork is known to the others."""
    caplog.set_level(logging.INFO)
    announcement = Announcement()
    if (child := os.fork()) == 0:
        announcement.ready(0, 2, "127.0.0.1:8080")
        os._exit(0)
    os.waitpid(child, 0)

    announcement.ready(1, 2, "127.0.0.1:8080")

    assert said(caplog) == ["Ready: open http://127.0.0.1:8080/"]


@pytest.mark.parametrize(
    ("bind", "shown"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("0.0.0.0:80", "http://127.0.0.1:80/"),
        ("[::]:8080", "http://[::1]:8080/"),
        ("models.internal:9000", "http://models.internal:9000/"),
        ("unix:/run/predictor.sock", None),
    ],
)
def test_url(bind: str, shown: str | None) -> None:
    """A service on every address is opened by loopback; one on a Unix socket has no URL."""
    assert url(bind) == shown


def test_port_that_was_chosen() -> None:
    """With port 0 the service is opened at the port that the kernel chose."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        assert url(bound("127.0.0.1:0", listener)) == f"http://127.0.0.1:{port}/"
        assert bound("0.0.0.0:8080", listener) == "0.0.0.0:8080"
        assert bound("unix:/run/socket", listener) == "unix:/run/socket"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PREDICTOR_FETCH_ALLOW", "http://cdn.internal/", "has the invalid entry 'http://cdn.internal/'"),
        ("PREDICTOR_FETCH_ALLOW", "cdn.internal, 10.0.0.0/33", "has the invalid entry '10.0.0.0/33'"),
        ("PREDICTOR_FETCH_CA", "nowhere.pem", "cannot be read"),
        ("PREDICTOR_FETCH_CA", __file__, "must be a PEM file"),
    ],
)
def test_settings_of_downloads(monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    """What downloads need is checked before anything starts, and a wrong value ends it in one sentence."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"^Configuration: {name}.*{re.escape(sentence)}") as ended:
        read_settings()
    assert "\n" not in str(ended.value)


@pytest.mark.parametrize(
    ("alive", "aborted", "peace"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_end_in_peace(alive: bool, aborted: bool, peace: bool) -> None:
    """A worker that was told to stop ends in peace; one that failed or did not answer its master does not."""
    hooks = Hooks(Settings(), 1)
    worker = SimpleNamespace(alive=alive, aborted=False, slot=5, due=0.0)
    shared.endings.set(5, 0)
    if aborted:
        hooks.worker_abort(worker)

    hooks.worker_exit(None, worker)

    assert (shared.endings.at(5) == 1) is peace
    shared.release(5)


def test_code_that_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The master goes on without code that it cannot load, and says why: a worker may fail elsewhere."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setitem(sys.modules, "predictor.app", None)
    cfg = SimpleNamespace(certfile=None, keyfile=None, worker_connections=10_000, threads=1)
    hooks = Hooks(Settings(data=tmp_path), 1)

    hooks.on_starting(SimpleNamespace(cfg=cfg, log=logging.getLogger("gunicorn.error")))
    hooks.on_exit(None)
    gc.unfreeze()

    [told] = [record for record in caplog.records if record.exc_info]
    assert told.getMessage() == "The code could not be loaded; each worker tries again"
    assert "predictor.app" in str(told.exc_info)
