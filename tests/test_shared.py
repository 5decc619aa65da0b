"""Workers tell each other numbers through memory that they share."""

import os

from predictor import shared
from predictor.shared import SharedCounters


def test_told() -> None:
    """The numbers of all who have told one are seen, in the order of their slots."""
    numbers = SharedCounters()
    numbers.set(2, 7)
    numbers.set(0, 5)

    assert list(numbers.of(2)) == [5, 7]


def test_released() -> None:
    """The number of a worker that is gone no longer counts."""
    numbers = SharedCounters()
    numbers.set(0, 5)
    numbers.set(1, 7)
    numbers.release(1)

    assert list(numbers.of(2)) == [5]


def test_after_the_end() -> None:
    """What a worker told is read by its slot until it is released, and then nothing."""
    numbers = SharedCounters()
    numbers.set(3, 41)

    assert numbers.at(3) == 41
    numbers.release(3)
    assert numbers.at(3) < 0


def test_beyond_the_table() -> None:
    """A slot beyond the table never fails a worker."""
    numbers = SharedCounters()
    numbers.set(1024, 3)

    assert list(numbers.of(1)) == [3]


def test_shared_after_a_fork() -> None:
    """What a child process tells, its parent sees."""
    numbers = SharedCounters()
    child = os.fork()
    if child == 0:
        numbers.set(1, 42)
        os._exit(0)
    os.waitpid(child, 0)

    assert list(numbers.of(1)) == [42]


def test_release_of_all() -> None:
    """A worker that is gone leaves none of its numbers."""
    everything = (shared.connections, shared.computing, shared.waiting, shared.answers, shared.endings)
    for numbers in everything:
        numbers.set(3, 41)
    assert all(41 in numbers.of(2) for numbers in everything)

    shared.release(3)

    assert not any(41 in numbers.of(2) for numbers in everything)
