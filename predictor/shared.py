"""Numbers that the workers of one server share: one for each worker, under its slot.

A slot is the smallest number that no other living worker has. The memory is made when this module is
imported, which gunicorn's master does before it starts a worker, so that all of them see the same numbers.
"""

import mmap
import os
from collections.abc import Iterator

SLOT_VARIABLE = "WORKER_SLOT"
"""The environment variable that tells a worker its slot."""
DUE_VARIABLE = "WORKER_DUE"
"""The environment variable that tells a worker when to load the application, by the monotonic clock."""
_SLOTS = 1024
_NOBODY = -1


class SharedNumbers:
    """A whole number of each worker; reading them costs no system call."""

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, 4 * _SLOTS)).cast("i")
        for slot in range(_SLOTS):
            self._numbers[slot] = _NOBODY

    def put(self, slot: int, number: int) -> None:
        """Tell the others a worker's number; `release` takes it back."""
        self._numbers[slot % _SLOTS] = number

    def at(self, slot: int) -> int:
        """A worker's number, also after its end until it is released; negative if it has told none."""
        return self._numbers[slot % _SLOTS]

    def of(self, workers: int) -> Iterator[int]:
        """The numbers of all living workers that have told one, of a server with so many workers."""
        # While workers are replaced there may be twice as many of them.
        return (number for number in self._numbers[: 2 * workers] if number != _NOBODY)

    def release(self, slot: int) -> None:
        """Forget the number of a worker that is gone."""
        self.put(slot, _NOBODY)


loaded = memoryview(mmap.mmap(-1, 1))
"""1 once any worker has loaded the application."""
connections = SharedNumbers()
"""Connections that each worker has."""
computing = SharedNumbers()
"""Cores that each worker computes on."""
waiting = SharedNumbers()
"""Pictures that each worker has accepted and not yet answered."""
answers = SharedNumbers()
"""Requests that each worker has answered; gunicorn's master reads them when it is dead."""

endings = SharedNumbers()
"""1 of each worker that has come to its end as it should; gunicorn's master reads them when it is dead."""


def release(slot: int) -> None:
    """Forget all numbers of a worker that is gone; for gunicorn's master."""
    for numbers in (connections, computing, waiting, answers, endings):
        numbers.release(slot)


def own() -> int:
    """The slot of this process; 0 where no server gave one."""
    return int(os.environ.get(SLOT_VARIABLE, "0"))
