"""Many things are done by a few threads, and come back in order."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from predictor.runtime.many import by_threads


@pytest.mark.parametrize(("threads", "things"), [(1, 5), (3, 40), (8, 3), (4, 0)])
def test_order(threads: int, things: int) -> None:
    """Results stand in the order of the things, whoever did them."""
    with ThreadPoolExecutor(8) as pool:
        assert by_threads(pool, threads, lambda number: 2 * number, range(things)) == list(
            range(0, 2 * things, 2)
        )


def test_threads() -> None:
    """As many things are under way at a time as threads were asked for."""
    together = threading.Barrier(3)

    def meet(number: int) -> int:
        together.wait(10)
        return number

    with ThreadPoolExecutor(8) as pool:
        assert by_threads(pool, 3, meet, range(9)) == list(range(9))


def test_failure() -> None:
    """What one thing raises is raised."""

    def fail(number: int) -> int:
        if number == 2:
            raise ValueError(number)
        return number

    with ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match="2"):
        by_threads(pool, 2, fail, range(5))
