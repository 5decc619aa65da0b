"""A store that fails is asked by one thread, less and less often, until it works."""

import logging
import threading
from collections.abc import Callable

import pytest

from predictor.inference.breaker import LONGEST_SECONDS, SHORTEST_SECONDS, CircuitBreaker
from tests.patience import PATIENCE


class Store:
    """A store that fails when it is told to, keeps how it was asked, and can hang.

    Attributes:
        works: for each time that it is asked, whether it works; the last one holds for ever.
        asked: for each time, whether it failed before.
    """

    def __init__(self, *works: bool) -> None:
        self.works = list(works)
        self.asked = list[bool]()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self, failing: bool) -> None:
        """What the breaker calls."""
        self.asked.append(failing)
        self.entered.set()
        assert self.gate.wait(PATIENCE)
        if not (self.works.pop(0) if len(self.works) > 1 else self.works[0]):
            raise ConnectionError("10.0.0.1:6379 is down")


class Clock:
    """Stands for the pauses: keeps how long they were, and ends the watching after some of them."""

    def __init__(self, times: int) -> None:
        self.pauses = list[float]()
        self.between: Callable[[int], object] = lambda _: None
        self._times = times

    def __call__(self, seconds: float) -> bool:
        """What the breaker calls; True ends it."""
        self.pauses.append(seconds)
        self.between(len(self.pauses))
        return len(self.pauses) == self._times


def watched(store: Store, clock: Clock) -> CircuitBreaker:
    """A breaker that has watched a store."""
    breaker = CircuitBreaker(store, (OSError,), clock)
    breaker.watch()
    return breaker


def test_works() -> None:
    """A store that works is asked now and then, and was not failing."""
    store, clock = Store(True), Clock(3)

    breaker = watched(store, clock)

    assert not breaker.failing
    assert store.asked == [False] * 3
    assert clock.pauses == [SHORTEST_SECONDS] * 3


def test_pauses_grow() -> None:
    """A store that goes on failing is asked after pauses that grow up to a bound."""
    clock = Clock(8)

    breaker = watched(Store(False), clock)

    assert breaker.failing
    assert clock.pauses[:3] == [2 * SHORTEST_SECONDS, 4 * SHORTEST_SECONDS, 8 * SHORTEST_SECONDS]
    assert clock.pauses[-3:] == [LONGEST_SECONDS] * 3


def test_back() -> None:
    """A store that works again is used at once, and soon asked as seldom as before."""
    store, clock = Store(False, False, True), Clock(6)

    breaker = watched(store, clock)

    assert not breaker.failing
    assert store.asked == [False, True, True, False, False, False]
    assert clock.pauses[-1] == SHORTEST_SECONDS


def test_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line says that it fails and one that it works again; neither repeats what the error says."""
    clock = Clock(6)
    store = Store(True, False, False, False, True)
    breaker = CircuitBreaker(store, (OSError,), clock)
    # Requests that were on their way meet the failure as well.
    clock.between = lambda number: breaker.failed(TimeoutError()) if number in {2, 3, 4} else None

    with caplog.at_level(logging.INFO):
        breaker.watch()

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "10.0.0.1" not in caplog.text


def test_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """A store that works for the thread and fails for requests is used, and logged, less and less often."""
    clock = Clock(6)
    breaker = CircuitBreaker(Store(True), (OSError,), clock)
    clock.between = lambda _: breaker.failed(TimeoutError())

    breaker.watch()

    assert clock.pauses == sorted(clock.pauses)
    assert clock.pauses[-1] == LONGEST_SECONDS


def test_silent_once_stopped(caplog: pytest.LogCaptureFixture) -> None:
    """A store that is closed while it is asked is no failure."""

    def closed(_: bool) -> None:
        breaker.stop()
        raise ConnectionError

    breaker = CircuitBreaker(closed, (OSError,))
    breaker.watch()

    assert not breaker.failing
    assert caplog.records == []


def test_a_failed_request_counts_once() -> None:
    """Many requests that fail at the same moment lengthen the pause once."""
    clock = Clock(2)
    breaker = CircuitBreaker(Store(True, False), (OSError,), clock)

    def twenty(number: int) -> None:
        for _ in range(20 * (number == 1)):
            breaker.failed(TimeoutError())

    clock.between = twenty
    breaker.watch()

    assert clock.pauses == [SHORTEST_SECONDS, 4 * SHORTEST_SECONDS]


@pytest.mark.promise("O7")
def test_one_thread_asks() -> None:
    """While the store hangs, one thread waits for it and everybody else sees at once that it fails."""
    store = Store(True)
    breaker = CircuitBreaker(store, (OSError,))
    breaker.failed(TimeoutError())
    store.gate.clear()

    breaker.start()
    assert store.entered.wait(PATIENCE)
    seen = [breaker.failing for _ in range(100)]
    store.gate.set()
    breaker.stop()

    assert seen == [True] * 100
    assert store.asked == [True]
