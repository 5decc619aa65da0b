"""Work on many things by a few threads of a pool, with the results in their order."""

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def by_threads(
    pool: Executor, threads: int, work: Callable[[Thing], Result], things: Sequence[Thing]
) -> list[Result]:
    """What comes of each thing; each thread takes one after the other.

    Args:
        pool: has the threads.
        threads: how many of them may be at work, at least 1.
        work: does one thing.
        things: what to do.
    """
    todo = queue.SimpleQueue[int]()
    for place in range(len(things)):
        todo.put(place)
    results = dict[int, Result]()

    def take() -> None:
        with suppress(queue.Empty):
            while True:
                place = todo.get_nowait()
                results[place] = work(things[place])

    for taken in [pool.submit(take) for _ in range(min(threads, len(things)))]:
        taken.result()
    return [results[place] for place in range(len(things))]
