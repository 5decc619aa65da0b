"""How many threads of this worker may compute, in view of those of the others."""

import time

from predictor.shared import SharedCounters, worker_index

_QUIET_SECONDS = 1.0


class ComputeSlots:
    """How many threads of this worker may compute; not thread-safe by itself: the batcher holds its lock.

    More threads at work than there are cores only take turns, and spoil each other's caches. Each worker has
    its share of the cores for certain, and may use those of other workers while these are idle.

    Args:
        share: slots that this worker may take whatever others do.
        total: slots of all workers together.
        workers: how many workers there are.
        index: this worker's index.
        shared: where the workers tell each other how many slots they have taken.
    """

    def __init__(
        self,
        share: int,
        total: int = 0,
        workers: int = 1,
        index: int | None = None,
        shared: SharedCounters | None = None,
    ) -> None:
        self._share = share
        self._total = total
        self._workers = workers
        self._index = worker_index() if index is None else index
        self._shared = SharedCounters() if shared is None else shared
        self._needed = -_QUIET_SECONDS
        self._tell(0)

    def take(self) -> bool:
        """Take a slot if one is free; whether it was."""
        self._needed = time.monotonic()
        # Two workers may take the last idle core in the same moment; then they share it for one run.
        if self._mine >= self._share and sum(self._shared.of(self._workers)) >= self._total:
            return False
        self._tell(self._mine + 1)
        return True

    def take_spare(self) -> bool:
        """Take a slot for what can wait; whether one was free.

        While any worker predicts, and for a second after, one core stays free for the next image.
        """
        busy, now = sum(self._shared.of(self._workers)), time.monotonic()
        if busy > self._mine:
            self._needed = now
        most = max(self._share, self._total)
        if now - self._needed < _QUIET_SECONDS:
            most = max(1, most - 1)
        if busy >= most:
            return False
        self._tell(self._mine + 1)
        return True

    def others(self) -> bool:
        """Whether another worker computes."""
        return sum(self._shared.of(self._workers)) > self._mine

    def give_back(self) -> None:
        """Give a slot back."""
        self._tell(self._mine - 1)

    def _tell(self, mine: int) -> None:
        self._mine = mine
        self._shared.set(self._index, mine)
