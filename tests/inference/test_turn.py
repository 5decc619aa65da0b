"""A thread that is told that it is its turn wakes on the core of the one that tells it, and is free then."""

import os
import threading
from concurrent.futures import Future

import pytest

from predictor.inference.turn import Turn, wake_here
from tests.patience import PATIENCE


@pytest.mark.parametrize("run", [True, False])
@pytest.mark.parametrize("here", [True, False])
def test_told(run: bool, here: bool) -> None:
    """A thread gets what it is told, and may run on all its cores again."""
    turns, told = Future[Turn](), Future[tuple[bool, set[int]]]()

    def wait() -> None:
        turn = Turn()
        turns.set_result(turn)
        told.set_result((turn.wait(), os.sched_getaffinity(0)))

    threading.Thread(target=wait, daemon=True).start()
    turns.result(PATIENCE).tell(run=run, here=here)

    assert told.result(PATIENCE) == (run, os.sched_getaffinity(0))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
@pytest.mark.parametrize("here", [True, False])
def test_cores_that_somebody_set(here: bool) -> None:
    """The cores that somebody gives to a thread while it waits are its own afterwards."""
    turns, told = Future[tuple[Turn, int]](), Future[set[int]]()

    def wait() -> None:
        turn = Turn()
        turns.set_result((turn, threading.get_native_id()))
        turn.wait()
        told.set_result(os.sched_getaffinity(0))

    threading.Thread(target=wait, daemon=True).start()
    turn, thread = turns.result(PATIENCE)
    set_to = {max(os.sched_getaffinity(0))}
    os.sched_setaffinity(thread, set_to)
    turn.tell(run=True, here=here)

    assert told.result(PATIENCE) == set_to


def test_told_before() -> None:
    """What is told to a thread that does not wait yet is not lost."""
    turn = Turn()
    turn.tell(run=True)

    assert turn.wait()


def test_wake_here() -> None:
    """A thread that waits is moved to one core, one of this thread's."""
    started, ended = Future[int](), threading.Event()

    def wait() -> None:
        started.set_result(threading.get_native_id())
        ended.wait(PATIENCE)

    threading.Thread(target=wait, daemon=True).start()
    thread = started.result(PATIENCE)

    assert wake_here(thread) == os.sched_getaffinity(0)
    (core,) = os.sched_getaffinity(thread)
    ended.set()
    assert core in os.sched_getaffinity(0)


def test_no_such_thread() -> None:
    """A thread that does not exist is not moved, and nothing fails."""
    beyond_all = 2**30

    assert wake_here(beyond_all) == set()
