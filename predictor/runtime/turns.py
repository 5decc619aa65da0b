"""How many threads of this worker may compute at the same time.

More threads at work than there are cores only take turns, and spoil each other's caches. Each worker has its
share of the cores for certain, and may use those of others while these have nothing to do.
"""

from predictor import slots
from predictor.slots import SharedNumbers


class Turns:
    """Counts who computes; not safe in threads by itself: callers hold a lock of their own.

    Args:
        share: turns that this worker may take whatever others do.
        cores: turns of all workers together.
        workers: how many workers there are.
        slot: this worker's slot.
        shared: where the workers tell each other how many turns they have.
    """

    def __init__(
        self,
        share: int,
        cores: int = 0,
        workers: int = 1,
        slot: int | None = None,
        shared: SharedNumbers | None = None,
    ) -> None:
        self._share = share
        self._cores = cores
        self._workers = workers
        self._slot = slots.own() if slot is None else slot
        self._shared = SharedNumbers() if shared is None else shared
        self._tell(0)

    def take(self) -> bool:
        """Take a turn if one is to be had; whether it was."""
        # Two workers may take the last free core in the same moment; then they share it for one run.
        if self._mine >= self._share and sum(self._shared.of(self._workers)) >= self._cores:
            return False
        self._tell(self._mine + 1)
        return True

    def give_back(self) -> None:
        """End a turn."""
        self._tell(self._mine - 1)

    def _tell(self, mine: int) -> None:
        self._mine = mine
        self._shared.put(self._slot, mine)
