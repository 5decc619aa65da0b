"""How many threads of this worker may compute at the same time."""

from predictor.shared import SharedCounters, worker_index


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
        self._tell(0)

    def take(self) -> bool:
        """Take a slot if one is free; whether it was."""
        # Two workers may take the last idle core in the same moment; then they share it for one run.
        if self._mine >= self._share and sum(self._shared.of(self._workers)) >= self._total:
            return False
        self._tell(self._mine + 1)
        return True

    def give_back(self) -> None:
        """Give a slot back."""
        self._tell(self._mine - 1)

    def _tell(self, mine: int) -> None:
        self._mine = mine
        self._shared.set(self._index, mine)
