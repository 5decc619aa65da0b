"""Workers that die before they were of use are replaced ever more slowly, all others at once."""

from types import SimpleNamespace

import pytest

from predictor import shared
from predictor.server import lifetime
from predictor.server.lifetime import Starts


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


def live(starts: Starts, clock: Clock, answers: int, seconds: float = 0.1) -> float:
    """Have a worker start, answer and die; how long it had to wait."""
    worker = SimpleNamespace(slot=3, due=0.0)
    starts.prepare(worker)
    waited: float = worker.due - clock.now
    clock.now = worker.due + seconds
    for _ in range(answers):
        lifetime.answered(worker, None)
    starts.ended(worker)
    return waited


def test_one_death(clock: Clock) -> None:
    """Whoever died, three times in a minute at most, is replaced at once."""
    starts = Starts(clock)

    assert [live(starts, clock, answers=0) for _ in range(3)] == [0, 0, 0]


@pytest.mark.promise("G3")
def test_storm(clock: Clock) -> None:
    """Workers that die at once start five times in the first minute of a storm, and not more later."""
    starts = Starts(clock)
    for _ in range(3):
        live(starts, clock, answers=0)
    began = clock.now
    moments = list[float]()
    while clock.now < began + 600:
        live(starts, clock, answers=0)
        moments.append(clock.now - began)

    assert moments[0] < 5
    assert all(sum(start <= moment < start + 60 for moment in moments) <= 5 for start in range(540))


def test_storm_of_all_workers(clock: Clock) -> None:
    """The pause is between the starts of the whole service, however many workers are to be replaced."""
    starts = Starts(clock)
    for _ in range(3):
        live(starts, clock, answers=0)
    workers = [SimpleNamespace(slot=slot, due=0.0) for slot in range(8)]
    for worker in workers:
        starts.prepare(worker)

    waits = [worker.due - clock.now for worker in workers]

    assert waits == sorted(waits)
    assert sum(wait < 60 for wait in waits) <= 5


def test_useful_workers(clock: Clock) -> None:
    """Workers that answered requests before they died are replaced at once, however often."""
    starts = Starts(clock)

    assert [live(starts, clock, answers=5) for _ in range(20)] == [0] * 20


def test_workers_that_leave(clock: Clock) -> None:
    """Workers that came to their end as they should are replaced at once, without any answer."""
    starts = Starts(clock)

    for _ in range(20):
        worker = SimpleNamespace(slot=3, due=0.0)
        starts.prepare(worker)
        assert worker.due == clock.now
        lifetime.leave(worker)
        starts.ended(worker)


def test_answers_of_a_worker_that_leaves(clock: Clock) -> None:
    """The end of a worker does not change how many requests it answered, by which a pause is judged."""
    starts, worker = Starts(clock), SimpleNamespace(slot=3, due=0.0)
    starts.prepare(worker)
    for _ in range(2):
        lifetime.answered(worker, None)

    lifetime.leave(worker)

    assert shared.answers.at(3) == 2


def test_deaths_are_counted(clock: Clock) -> None:
    """Each death counts, also that of a worker that was of use; the end of one that leaves is none."""
    starts, before = Starts(clock), shared.deaths[0]
    live(starts, clock, answers=0)
    live(starts, clock, answers=9)
    worker = SimpleNamespace(slot=3, due=0.0)
    starts.prepare(worker)
    lifetime.leave(worker)

    starts.ended(worker)

    assert shared.deaths[0] - before == 2


def test_calm(clock: Clock) -> None:
    """A minute without such a death ends a storm."""
    starts = Starts(clock)
    for _ in range(6):
        live(starts, clock, answers=0)
    assert live(starts, clock, answers=9, seconds=61) > 0

    assert live(starts, clock, answers=0) == 0
