"""Workers are killed, recycled, reloaded and stopped under load: directly, and behind nginx."""

import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
import pytest

from tests.live.proxy import Proxy
from tests.live.raw import call
from tests.live.service import Service
from tests.live.steady import steady
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
REFUSED = -1
LOST = 0


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds; fail if it does not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not become true"
        time.sleep(0.02)


def booted(service: Service) -> int:
    """How many workers have loaded their model so far."""
    return service.log.count("Ready: model")


@contextmanager
def callers(port: int, picture: bytes, threads: int = 6) -> Iterator[Counter[int]]:
    """Ask on connections that are opened for each request, as long as the block lasts.

    Yields:
        How often each status came; LOST where there was a connection and then no answer, REFUSED where there
        was no connection.
    """
    found, ended = Counter[int](), threading.Event()

    def ask() -> None:
        while not ended.wait(0.05):
            try:
                status = call(port, "POST", "/predict", picture, Content_Type="image/jpeg")[0]
            except ConnectionRefusedError:
                status = REFUSED
            except OSError:
                status = LOST
            found[status] += 1

    asking = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in asking:
        thread.start()
    try:
        yield found
    finally:
        ended.set()
        for thread in asking:
            thread.join(PATIENCE)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Service]:
    """A service of the test's own, without a cache."""
    with Service(tmp_path / "data", cache="off") as service:
        yield service


@pytest.fixture
def front(running: Service, tmp_path: Path) -> Iterator[Proxy]:
    """An nginx in front of it."""
    with Proxy(tmp_path / "nginx", running.port) as proxy:
        yield proxy


@pytest.mark.promise("G4")
def test_killed_workers(running: Service, front: Proxy, cat: Path) -> None:
    """A worker that is killed costs at most the requests it was answering, and behind nginx none."""
    kills = 4
    with steady(front, cat, rate=15) as sent, callers(running.port, cat.read_bytes(), threads=1) as direct:
        for number in range(kills):
            time.sleep(0.5)
            victim = running.workers()[0]
            # Held for a moment, so that requests are surely under way in it.
            os.kill(victim, signal.SIGSTOP)
            time.sleep(0.5)
            os.kill(victim, signal.SIGKILL)
            eventually(lambda number=number: booted(running) == 3 + number)  # type: ignore[misc]

    assert len(sent) > 50
    assert [request for request in sent if request.status != 200] == []
    assert direct[LOST] <= kills
    assert direct.keys() <= {200, LOST}


@pytest.mark.promise("G5")
def test_reload(running: Service, front: Proxy, cat: Path) -> None:
    """A reload under load loses nothing."""
    with steady(front, cat, rate=15) as sent, callers(running.port, cat.read_bytes(), threads=3) as direct:
        for number in range(2):
            time.sleep(1)
            os.kill(running.master, signal.SIGHUP)
            eventually(lambda number=number: booted(running) == 4 + 2 * number)  # type: ignore[misc]
        time.sleep(3)

    assert len(sent) > 50
    assert [request for request in sent if request.status != 200] == []
    assert direct.keys() == {200}


@pytest.mark.promise("G5")
def test_reload_without_a_file(tmp_path: Path, cat: Path) -> None:
    """A file of the settings that is gone by the time of a reload ends no service; it goes on without it."""
    authorities = tmp_path / "authorities.pem"
    shutil.copy(certifi.where(), authorities)
    with Service(tmp_path / "data", cache="off", fetch_ca=authorities) as running:
        authorities.unlink()

        os.kill(running.master, signal.SIGHUP)

        eventually(lambda: booted(running) == 4)
        assert call(running.port, "POST", "/predict", cat.read_bytes(), Content_Type="image/jpeg")[0] == 200


@pytest.mark.promise("G5")
def test_recycled_workers(tmp_path: Path, cat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that are replaced after so many requests lose none of them."""
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--max-requests 40 --max-requests-jitter 20")
    with (
        Service(tmp_path / "data", cache="off") as running,
        Proxy(tmp_path / "nginx", running.port) as front,
        steady(front, cat, rate=15) as sent,
        callers(running.port, cat.read_bytes(), threads=3) as direct,
    ):
        eventually(lambda: booted(running) >= 8)

    assert len(sent) > 50
    assert [request for request in sent if request.status != 200] == []
    assert direct.keys() == {200}


@pytest.mark.promise("G5")
@pytest.mark.parametrize("again", range(2))
def test_stop(tmp_path: Path, cat: Path, again: int) -> None:
    """Whoever has connected when the service is told to stop is answered; whoever comes later is refused."""
    picture = cat.read_bytes()
    with (
        Service(tmp_path / "data", cache="off") as running,
        Proxy(tmp_path / "nginx", running.port) as front,
        callers(running.port, picture, threads=24) as direct,
        callers(front.port, picture, threads=4) as behind,
    ):
        eventually(lambda: direct[200] >= 100 and behind[200] >= 10)
        running.stop()
        eventually(lambda: direct[REFUSED] > 0)
        status, headers, body = call(front.port, "POST", "/predict", picture)

    assert direct.keys() == {200, REFUSED}
    assert behind.keys() <= {200, 503, 429}
    assert (status, json.loads(body)["code"], headers["retry-after"]) == (503, "not_ready", "2")
