"""A machine is ready for a change as long as the worker is there that loaded it, and no longer."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from predictor.cluster.log import READY
from tests.cluster.conftest import Machine, until
from tests.store.conftest import Follower as Worker

Make = Callable[[str], Machine]


@pytest.mark.promise("C1")
def test_worker_stops_that_was_ready(machine: Make) -> None:
    """A worker that stops before the decision takes back what it said; the next one says it again."""
    a, b, busy = (machine(name).start() for name in ("a", "b", "busy"))
    with ThreadPoolExecutor(1) as pool:
        with busy.store.transactions.exclusive(0):
            upload = pool.submit(a.store.upload, b"new")
            until(lambda: a.log.acknowledged(1)[READY] == {"b"})

            b.follower.stop()

            assert a.log.acknowledged(1)[READY] == set()
            again = machine("b")
            again.follower.start()
            until(lambda: a.log.acknowledged(1)[READY] == {"b"})
        upload.result()
    assert [one.content() for one in (a, again, busy)] == [b"new"] * 3


@pytest.mark.promise("C1")
def test_worker_was_killed_that_was_ready(machine: Make) -> None:
    """What a worker said that was killed counts until the next one leads, not until that one has loaded."""
    a, b = machine("a").start(), machine("b").start()
    loading = Worker(b.store, stuck=True)
    a.log.acknowledge(1, "b", READY)

    with ThreadPoolExecutor(1) as pool:
        # The author waits for its own workers, too.
        slow = Worker(a.store, stuck=True)
        upload = pool.submit(a.store.upload, b"new")
        until(lambda: a.log.acknowledged(1)[READY] == set())
        for worker in (slow, loading):
            worker.record.deregister()
        upload.result()
    assert [one.content() for one in (a, b)] == [b"new"] * 2


@pytest.mark.promise("C1")
def test_decided_while_a_worker_stops(machine: Make) -> None:
    """A worker that stops when the decision was just made has its machine serve it."""
    a, b = machine("a").start(), machine("b").start()

    def before(key: str) -> None:
        if key.startswith("changes/"):
            a.bucket.before = lambda _: None
            change = a.log.pending(1)
            assert change is not None
            a.log.decide(change)
            b.follower.stop()

    a.bucket.before = before
    a.store.upload(b"new")

    assert [one.content() for one in (a, b)] == [b"new"] * 2
