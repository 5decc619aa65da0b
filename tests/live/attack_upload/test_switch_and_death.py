"""Workers are killed or stopped at any moment of an upload: one model serves everywhere, old or new."""

import contextlib
import http.client
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from predictor.checking.report import Limits
from tests.live.models import FIRST, JPEG, SECOND, checks, eventually, label, labels, upload
from tests.live.service import Service
from tests.patience import PATIENCE
from tools import bad_models

pytestmark = pytest.mark.live


@pytest.mark.promise("U2")
def test_killed_workers(fresh: Service, cat: Path) -> None:
    """Whichever worker is killed at whatever moment of an upload, one model serves everywhere, old or new."""
    chance = random.Random(7)
    serving = "tiger cat"
    for number in range(12):
        model, name = ((FIRST, "first"), (SECOND, "second"))[number % 2]
        answers = list[int]()

        def send(model: bytes = model, answers: list[int] = answers) -> None:
            try:
                answers.append(upload(fresh, model).status_code)
            except requests.ConnectionError:
                answers.append(0)

        sender = threading.Thread(target=send)
        sender.start()
        time.sleep(chance.uniform(0, 0.8))
        os.kill(chance.choice(fresh.workers()), signal.SIGKILL)
        sender.join(PATIENCE)
        eventually(lambda: len(fresh.workers()) == 2)
        eventually(lambda: fresh.get("/readyz").status_code == 200)

        found = labels(fresh, cat)

        assert len(found) == 1, f"{answers}: {found}"
        assert found <= {serving, name}
        assert answers != [200] or found == {name}
        serving = found.pop()

    eventually(lambda: not list((fresh.data / "incoming").iterdir()))
    shown = fresh.get("/models/default").json()
    kept = {str(version["version"]) for version in shown["versions"]}
    assert {path.name for path in (fresh.data / "models" / "default").iterdir()} == kept
    assert all(version["quarantined"] is None for version in shown["versions"])


@pytest.mark.promise("U2")
def test_killed_while_it_starts(fresh: Service, cat: Path) -> None:
    """A worker that starts during an upload serves the new model from its first answer."""
    os.kill(fresh.workers()[0], signal.SIGKILL)

    assert upload(fresh, FIRST).status_code == 200

    for _ in range(20):
        assert labels(fresh, cat, times=4) == {"first"}
    eventually(lambda: len(fresh.workers()) == 2)


@pytest.mark.promise("U6")
def test_killed_during_a_check(fresh: Service, cat: Path) -> None:
    """The check of a killed worker ends with it, and the next upload finds no lock held."""
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(upload, fresh, bad_models.troubled("kernel"))
        eventually(lambda: checks(fresh))
        (check,) = checks(fresh)
        worker = int(Path(f"/proc/{check}/stat").read_text().rpartition(")")[2].split()[1])
        assert worker in fresh.workers()

        os.kill(worker, signal.SIGKILL)

        # Less than the processor time after which it ends by itself.
        eventually(lambda: not checks(fresh), seconds=0.8 * Limits().cpu_seconds)
        assert isinstance(lost.exception(PATIENCE), requests.ConnectionError)
    assert upload(fresh, FIRST).status_code == 200
    assert labels(fresh, cat) == {"first"}
    eventually(lambda: not list((fresh.data / "incoming").iterdir()))


class Kept:
    """A connection that is kept open with the worker that answers it."""

    def __init__(self, service: Service, cat: Path) -> None:
        self._picture = cat.read_bytes()
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
        assert self.label()
        # A worker with more than its share of connections lets go of some.
        while self._connection.sock is None:
            assert self.label()
        self.worker = _owner(service, self._connection.sock.getsockname()[1])

    def label(self) -> str:
        """What the worker says of the cat."""
        self._connection.request("POST", "/predict", self._picture, JPEG)
        return str(json.loads(self._connection.getresponse().read())["predicted_label"])

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def _owner(service: Service, port: int) -> int:
    """The worker that holds the other end of a connection from a port."""
    ends = f":{service.port:04X}", f":{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    (inode,) = (row[9] for row in rows if row[1].endswith(ends[0]) and row[2].endswith(ends[1]))
    for worker in service.workers():
        for link in Path(f"/proc/{worker}/fd").iterdir():
            # The worker closes files meanwhile.
            with contextlib.suppress(FileNotFoundError):
                if str(link.readlink()) == f"socket:[{inode}]":
                    return worker
    raise AssertionError("no worker holds the connection")


@pytest.mark.promise("U10")
@pytest.mark.parametrize("change", ["upload", "rollback"])
def test_stopped_worker(fresh: Service, cat: Path, change: str) -> None:
    """A change waits for a stopped worker while others answer; after it all serve the new model."""
    assert upload(fresh, FIRST).status_code == 200
    changes: dict[str, Callable[[], requests.Response]] = {
        "upload": lambda: upload(fresh, SECOND),
        "rollback": lambda: fresh.post("/models/default/rollback"),
    }
    new = {"upload": "second", "rollback": "tiger cat"}[change]
    kept = [Kept(fresh, cat)]
    while len({one.worker for one in kept}) < 2:
        kept.append(Kept(fresh, cat))
    stopped = kept[-1].worker
    running = next(one for one in kept if one.worker != stopped)

    os.kill(stopped, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as pool:
            changing = pool.submit(changes[change])
            until = time.monotonic() + 2
            while time.monotonic() < until:
                assert running.label() == "first"
            assert not changing.done()
            os.kill(stopped, signal.SIGCONT)
            answer = changing.result(PATIENCE)
    finally:
        os.kill(stopped, signal.SIGCONT)

    assert answer.status_code == 200, answer.text
    assert [one.label() for one in kept] == [new] * len(kept)
    assert stopped in fresh.workers()
    for one in kept:
        one.close()
    assert label(fresh, cat) == new
