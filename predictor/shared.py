"""Numbers that the workers of one server share: one for each worker, under its index.

The index of a worker is the smallest number that no other living worker has. The memory is made when this
module is imported, which gunicorn's master does before it starts a worker, so that all of them see the same
numbers.
"""

import mmap
import os
from collections.abc import Iterator

SLOT_VARIABLE = "WORKER_SLOT"
"""The environment variable that tells a worker its index."""
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which prometheus_client finds the folder of this server's metrics."""
DUE_VARIABLE = "WORKER_DUE"
"""The environment variable that tells a worker when to load the application, by the monotonic clock."""
_MAX_WORKERS = 1024
_UNSET = -1


class SharedCounters:
    """A whole number of each worker; reading them costs no system call."""

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, 4 * _MAX_WORKERS)).cast("i")
        for index in range(_MAX_WORKERS):
            self._numbers[index] = _UNSET

    def set(self, index: int, number: int) -> None:
        """Tell the others a worker's number; `release` takes it back."""
        self._numbers[index % _MAX_WORKERS] = number

    def at(self, index: int) -> int:
        """A worker's number, also after its end until it is released; negative if it has told none."""
        return self._numbers[index % _MAX_WORKERS]

    def of(self, workers: int) -> Iterator[int]:
        """The numbers of all living workers that have told one, of a server with so many workers."""
        # While workers are replaced there may be twice as many of them.
        return (number for number in self._numbers[: 2 * workers] if number != _UNSET)

    def release(self, index: int) -> None:
        """Forget the number of a worker that is gone."""
        self.set(index, _UNSET)


loaded = memoryview(mmap.mmap(-1, 1))
"""1 once any worker has loaded the application."""
connections = SharedCounters()
"""Connections that each worker has."""
computing = SharedCounters()
"""Cores that each worker computes on."""
waiting = SharedCounters()
"""Images that each worker has accepted and not yet answered."""
answers = SharedCounters()
"""Requests that each worker has answered; gunicorn's master reads them when it is dead."""

machine_status = memoryview(mmap.mmap(-1, 4096)).cast("q")
"""What the workers of this server know of other machines: `predictor/cluster/machine_status` says what."""

deaths = memoryview(mmap.mmap(-1, 4096)).cast("q")
"""First the workers of this server that ended otherwise than they should; gunicorn's master counts them."""

endings = SharedCounters()
"""1 of each worker that has come to its end as it should; gunicorn's master reads them when it is dead."""


def release(index: int) -> None:
    """Forget all numbers of a worker that is gone; for gunicorn's master."""
    for numbers in (connections, computing, waiting, answers, endings):
        numbers.release(index)


def worker_index() -> int:
    """The index of this process; 0 where no server gave one."""
    return int(os.environ.get(SLOT_VARIABLE, "0"))
