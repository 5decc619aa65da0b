"""Work is measured without the time in which it waits for a processor."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from predictor.model.stopwatch import Stopwatch, of_process, of_this_thread
from tests.patience import PATIENCE

TICKS = os.sysconf("SC_CLK_TCK")


class Thread:
    """A thread as the kernel describes it, and a clock."""

    def __init__(self, path: Path) -> None:
        self.now = 100.0
        self.had = 50.0
        self.path = path
        self.watch = Stopwatch(path, lambda: self.now)

    def passes(self, seconds: float, state: str, had: float = 0.0) -> float:
        """Let time pass, in which it had a processor for some seconds; what the stopwatch says then."""
        self.now += seconds
        self.had += had
        ticks = round(self.had * TICKS)
        rest = f"1 1 1 0 -1 4194304 0 0 0 0 {ticks // 2} {ticks - ticks // 2} 0 0 20 0 1 0"
        self.path.write_text(f"7 (a) b) {state} {rest}")
        return self.watch.seconds()


@pytest.fixture
def thread(tmp_path: Path) -> Thread:
    """A thread that was looked at once."""
    made = Thread(tmp_path / "stat")
    assert made.passes(0, "R") == 0
    return made


def test_waits_for_a_processor(thread: Thread) -> None:
    """Of a thread that wants a processor the time for which it had one counts."""
    for _ in range(1000):
        assert thread.passes(0.5, "R") == 0

    assert thread.passes(0.5, "R", 0.125) == pytest.approx(0.125, abs=0.02)
    assert thread.passes(0.5, "R", 0.5) == pytest.approx(0.625, abs=0.02)


@pytest.mark.parametrize("state", ["S", "D", "T"])
def test_sleeps(thread: Thread, state: str) -> None:
    """Of one that does not want a processor all of the time counts, so that one that sleeps for ever ends."""
    assert thread.passes(0.5, state) == 0.5
    assert thread.passes(0.25, state, 0.25) == 0.75


def test_nobody_looked(thread: Thread) -> None:
    """Where nobody could look for long, hardly anything of that time counts."""
    assert thread.passes(60, "S") == 1


def test_gone(thread: Thread) -> None:
    """What has ended can be looked at."""
    thread.path.unlink()
    thread.now += 0.5

    assert thread.watch.seconds() == 0.5


def until(watch: Stopwatch, seconds: float) -> bool:
    """Look until there are so many seconds, and not for ever."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if watch.seconds() >= seconds:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(600)"])
def test_process(code: str) -> None:
    """A process that computes is measured, and so is one that sleeps."""
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            assert until(of_process(process.pid), 0.3)
        finally:
            process.kill()


@pytest.mark.parametrize("computes", [True, False])
def test_thread(computes: bool) -> None:
    """A thread that computes is measured, and so is one that sleeps."""
    made, done = list[Stopwatch](), threading.Event()
    ready = threading.Event()

    def work() -> None:
        made.append(of_this_thread())
        ready.set()
        while not done.is_set():
            if computes:
                hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 10_000)
            else:
                done.wait(600)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert ready.wait(PATIENCE)
        assert until(made[0], 0.3)
    finally:
        done.set()
        worker.join()


def test_starves() -> None:
    """A process that shares a processor with a busier one is measured by what it gets of it."""
    spin = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(spin) as busy, subprocess.Popen(spin) as starved:
        try:
            for process in (busy, starved):
                os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
            os.sched_setscheduler(starved.pid, os.SCHED_IDLE, os.sched_param(0))
            assert until(of_process(busy.pid), 0.3)
            watch, start = of_process(starved.pid), time.monotonic()
            while time.monotonic() < start + 1:
                measured = watch.seconds()
                time.sleep(0.05)
        finally:
            busy.kill()
            starved.kill()

    assert measured < 0.5
