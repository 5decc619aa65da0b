"""Native work stands back for those who let others go first, but not for ever."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from predictor import shared
from predictor.config import cores
from predictor.inference.gently import gently, let_pictures_pass
from tests.patience import PATIENCE


def nicely(call: Callable[[], Any]) -> Any:
    """Do something gently, in a thread that lets others go first."""
    done: Future[Any] = Future()

    def work() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        try:
            done.set_result(gently(call))
        except Exception as error:  # noqa: BLE001 (raised in the thread that waits)
            done.set_exception(error)

    threading.Thread(target=work).start()
    return done.result(PATIENCE)


def test_class() -> None:
    """The call has a thread of its own, in the idle class."""
    assert nicely(lambda: os.sched_getscheduler(0)) == os.SCHED_IDLE


def test_others() -> None:
    """For a thread that others do not go before, it is a call like any other."""
    inside, thread = gently(lambda: (os.sched_getscheduler(0), threading.get_ident()))

    assert inside == os.SCHED_OTHER
    assert thread == threading.get_ident()


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("no")])
def test_failure(error: Exception) -> None:
    """What the call raises is raised."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error), match="no"):
        nicely(fail)


def test_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine all of whose cores are taken, the call is made once more, with a share of its own."""
    monkeypatch.setattr("predictor.inference.gently._PATIENCE_SECONDS", 0.3)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * cores())]
    classes = list[int]()

    def work() -> bytes:
        classes.append(os.sched_getscheduler(0))
        # Native, and without the interpreter's lock.
        return hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 500_000)

    try:
        assert len(nicely(work)) == 32
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert os.SCHED_OTHER in classes


@pytest.mark.parametrize(("computing", "waits"), [([0, 0], 0), ([1, 0], 3), ([1, 0, 0], 1)])
def test_pictures_first(computing: list[int], waits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pieces of long work, pictures that are computed get a moment, but not for ever."""
    numbers = shared.SharedCounters()
    monkeypatch.setattr(shared, "computing", numbers)
    waited = list[float]()
    numbers.set(0, computing.pop(0))

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(computing) > 1:
            numbers.set(0, computing.pop(0))

    let_pictures_pass(2, sleep)

    assert len(waited) == waits
