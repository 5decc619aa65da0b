"""A run that takes too long is asked to stop, and if it does not, the process ends."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from subprocess import PIPE

import pytest

from predictor.inference import watchdog
from predictor.inference.watchdog import EXIT_CODE, Watchdog
from predictor.model.stopwatch import Stopwatch
from predictor.store.members import WorkerRegistry
from tests.patience import PATIENCE

# Says that it has begun, and takes a processor for itself.
SPIN = "print(flush=True)\nwhile True: pass"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the pages lie; time goes faster."""
    monkeypatch.setattr(watchdog, "_POLL_SECONDS", 0.005)
    monkeypatch.setattr(watchdog, "_GRACE_SECONDS", 0.1)
    made = tmp_path / "workers"
    made.mkdir()
    return made


def words(folder: Path) -> str:
    """What the worker left behind."""
    return "".join(path.read_text() for path in folder.glob("*.words"))


def test_quick_run(folder: Path) -> None:
    """A run that ends in time is left alone, and is seen on the worker's record while it is at work."""
    stopped = threading.Event()
    guard = Watchdog(WorkerRegistry(folder).register(), seconds=30)

    with guard.watching("default/2", stopped.set):
        page = next(path for path in folder.iterdir() if not path.suffix)
        assert b"default/2\0" in page.read_bytes()

    guard.stop()
    assert not stopped.is_set()
    assert b"default/2\0" not in page.read_bytes()
    assert words(folder) == ""


def test_run_that_stops(folder: Path) -> None:
    """A run that heeds the request to stop costs nothing but itself."""
    stopped, ended = threading.Event(), list[int]()
    guard = Watchdog(WorkerRegistry(folder).register(), seconds=0.01, end=ended.append)

    with guard.watching("default/2", stopped.set):
        assert stopped.wait(PATIENCE)

    time.sleep(0.2)
    guard.stop()
    assert ended == []
    assert words(folder) == ""


@pytest.mark.promise("G1")
def test_run_that_never_stops(folder: Path) -> None:
    """A run that does not heed it ends the process, which says why."""
    stops, ended = list[int](), threading.Event()
    codes = list[int]()

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    guard = Watchdog(WorkerRegistry(folder).register(), seconds=0.01, end=end)
    with guard.watching("default/2", lambda: stops.append(1)):
        assert ended.wait(PATIENCE)
    guard.stop()

    assert set(codes) == {EXIT_CODE}
    assert stops == [1]
    assert "longer than 0.01 s" in words(folder)


class Still(Stopwatch):
    """A stopwatch that stands still, as that of a run that waits for a processor."""

    def __init__(self, looks: list[int], enough: threading.Event) -> None:
        super().__init__(Path(os.devnull))
        self._looks = looks
        self._enough = enough

    def seconds(self) -> float:
        """Nothing, however often it is asked."""
        self._looks.append(1)
        if len(self._looks) > 20:
            self._enough.set()
        return 0.0


def test_run_that_waits_for_a_processor(folder: Path) -> None:
    """A run that waits for a processor of a busy machine is left alone, however long that takes."""
    looks, enough = list[int](), threading.Event()
    stopped, ended = threading.Event(), list[int]()
    guard = Watchdog(
        WorkerRegistry(folder).register(),
        seconds=0.01,
        end=ended.append,
        stopwatch=lambda: Still(looks, enough),
    )

    with guard.watching("default/2", stopped.set):
        assert enough.wait(PATIENCE)
    guard.stop()

    assert not stopped.is_set()
    assert ended == []
    assert words(folder) == ""


@pytest.mark.promise("G1")
def test_starving_run(folder: Path) -> None:
    """So is a real run that has to leave its processor to another process."""
    core = min(os.sched_getaffinity(0))
    stopped, ended = threading.Event(), list[int]()
    guard = Watchdog(WorkerRegistry(folder).register(), seconds=0.5, end=ended.append)

    def run() -> None:
        with guard.watching("default/2", stopped.set):
            os.sched_setaffinity(0, {core})
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            # Native, and without the interpreter's lock.
            hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 200_000)

    with subprocess.Popen([sys.executable, "-c", SPIN], stdout=PIPE) as busy:
        os.sched_setaffinity(busy.pid, {core})
        assert busy.stdout is not None
        busy.stdout.read(1)
        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(1.5)
        busy.kill()
    thread.join(PATIENCE)
    guard.stop()

    assert not stopped.is_set()
    assert ended == []


def test_load(folder: Path) -> None:
    """A load is seen on the page, but takes as long as it takes."""
    ended = list[int]()
    guard = Watchdog(WorkerRegistry(folder).register(), seconds=0.01, end=ended.append)

    with guard.loading("default/3"):
        page = next(path for path in folder.iterdir() if not path.suffix)
        assert b"default/3\0" in page.read_bytes()
        time.sleep(0.2)
    guard.stop()

    assert ended == []
