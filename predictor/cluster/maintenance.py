"""What a machine does while nothing is announced: fetch old versions, propose news, tidy the bucket."""

import logging
import time
from collections.abc import Callable

from predictor.cluster.bucket import Unavailable
from predictor.cluster.coordinator import Coordinator
from predictor.cluster.local import LocalModels
from predictor.cluster.log import Change, ChangeLog
from predictor.cluster.machine_status import MachineStatus
from predictor.errors import ModelConflict, NotReady, StorageFull
from predictor.store.commit import ModelTransactions
from predictor.store.state import State

# What cannot be fetched, as the store has lost it, is tried again after so long.
_LOOK_SECONDS = 300.0
_PROPOSE_SECONDS = 60.0
_TIDY = 10

log = logging.getLogger(__name__)


class Maintenance:
    """The things that may wait, of which each round does one.

    Args:
        changes: the log of all machines.
        models: those of this machine.
        coordinator: how this machine makes changes of its own.
        transactions: changes of this machine.
        status: knows the time by the store's clock.
        stopped: whether this worker ends.
    """

    def __init__(
        self,
        changes: ChangeLog,
        models: LocalModels,
        coordinator: Coordinator,
        transactions: ModelTransactions,
        status: MachineStatus,
        stopped: Callable[[], bool],
    ) -> None:
        self._log = changes
        self._models = models
        self._coordinator = coordinator
        self._transactions = transactions
        self._status = status
        self._stopped = stopped
        self._looked_at: tuple[str, State] | None = None
        self._look_at = self._propose_at = 0.0
        self._lost = set[tuple[str, int]]()
        self._tidied = 0

    def step(self, position: Change, author: str) -> None:
        """Do one of them.

        Args:
            position: the change that this machine serves.
            author: this machine.

        Raises:
            ModelConflict: another change comes first.
            PredictorError: it failed, and is to be tried again.
        """
        found = position.token, self._transactions.registry.read()
        if self._looked_at != found or time.monotonic() >= self._look_at:
            self._complete(position)
        elif time.monotonic() >= self._propose_at and (name := self._models.news(position)):
            # Each attempt that fails takes a number of the log.
            self._propose_at = time.monotonic() + _PROPOSE_SECONDS
            self._propose(name)
            self._propose_at = 0.0
        elif position.serial % _TIDY == 0 and position.author == author:
            self._tidy(position)

    def _complete(self, position: Change) -> None:
        """Have what a change says that is not here yet, or find that nothing is missing."""
        absent = [one for one in self._models.absent(position) if one not in self._lost]
        if not self._models.serves(position):
            with self._models.unmoved(position):
                self._models.bring(position)
        elif absent:
            self._fetch(position, *absent[0])
        else:
            self._lost.clear()
            self._looked_at = position.token, self._transactions.registry.read()
            self._look_at = time.monotonic() + _LOOK_SECONDS

    def _fetch(self, position: Change, name: str, version: int) -> None:
        try:
            self._models.supply(position, name, version, lambda: self._give_way(position))
        except Unavailable:
            raise
        except (NotReady, StorageFull) as error:
            self._lost.add((name, version))
            log.error("The files of version %d of %s cannot be had: %s", version, name, error.detail)

    def _give_way(self, position: Change) -> None:
        """Let a change that is announced come first: its author waits for this machine."""
        if self._stopped() or self._log.pending(position.serial + 1) is not None:
            raise ModelConflict("A change of all machines is announced.")

    def _tidy(self, position: Change) -> None:
        """Remove from the bucket what nobody needs; the author of every tenth change does it."""
        if position.serial == self._tidied or (present := self._status.store_time) is None:
            return
        self._tidied = position.serial
        self._log.trim(position.serial, present)
        self._models.sweep(position, present)

    def _propose(self, name: str) -> None:
        """Make what this machine did for itself a change of all machines."""
        with self._transactions.exclusive(0) as found:
            state = self._coordinator.current(found)
            with self._coordinator.announced(state, name, state.names.get(name)) as decide:
                decide()
