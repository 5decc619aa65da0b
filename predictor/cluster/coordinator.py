"""The author's side of a change of all machines: announce it, wait for all, decide it, see it served.

An author that dies leaves a change that anybody may abort. An author that does not learn whether its decision
was written asks for a while; if the store stays silent, the change is open until it answers.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from predictor.cluster.bucket import Unavailable
from predictor.cluster.local import LocalModels
from predictor.cluster.log import READY, REFUSED, SERVING, Change, ChangeLog
from predictor.cluster.machine_status import FINE, MachineStatus
from predictor.cluster.machines import Machines
from predictor.errors import ModelConflict, NotReady, PredictorError, StorageFull
from predictor.store.stamp import Decide
from predictor.store.state import Name, State

# Both are generous: on a busy machine a worker waits long for a processor. The first runs for all machines at
# the same time, from the announcement: all of it is less than nginx gives an upload (`store.commit`).
_READY_SECONDS, _SERVING_SECONDS = 240.0, 120.0
# How long a store that falls silent is asked again: before the decision, and for its outcome.
_SILENT_SECONDS, _DOUBT_SECONDS = 10.0, 30.0
_ASK_SECONDS = 0.1
_BUSY = "Another machine is changing the models; try again."
_UNSETTLED = "The store was silent until a moment ago, and not every machine was heard since; try again."
_UNHEARD = (
    "The store of PREDICTOR_STORE takes no heartbeat of this machine; nothing was changed. Check that it may "
    "write there; the log has the reason."
)
_REPLACED = "Another store has taken the place of the one that this machine follows; try again in a minute."
_ABORTED = "Another machine aborted the change; nothing was changed. Try again."

log = logging.getLogger(__name__)


class Coordinator:
    """Makes changes of all machines for this one (`store.stamp.OtherMachines`).

    Args:
        changes: the log of all machines.
        machines: which there are.
        models: those of this machine.
        status: that of this machine.
    """

    def __init__(
        self, changes: ChangeLog, machines: Machines, models: LocalModels, status: MachineStatus
    ) -> None:
        self._log = changes
        self._machines = machines
        self._models = models
        self._status = status

    def turn(self, seconds: float) -> None:
        """Wait until no other machine makes a change, and this one has caught up with all of them.

        Raises:
            ModelConflict: that takes too long.
            StorageFull: this machine serves no change of the store, or the store takes no heartbeat of it.
            Unavailable: the store does not answer.
        """
        deadline = time.monotonic() + seconds
        while True:
            position = self._position()
            pending = self._log.pending(position.serial + 1)
            if pending is None and self._machines.settled():
                return
            if pending is not None:
                self.end_for_dead(pending, position)
            if time.monotonic() > deadline:
                if not self._machines.heard():
                    raise StorageFull(_UNHEARD)
                raise ModelConflict(_UNSETTLED if pending is None else _BUSY)
            time.sleep(_ASK_SECONDS)

    def current(self, state: State) -> State:  # noqa: ARG002 (read again: bringing it up to date may change it)
        """The state of this machine, once it is that of the last change of all machines."""
        position = self._position()
        found = self._log.outcome(position.serial) if position.serial else position
        if found is None:
            raise StorageFull(
                f"Change {position.serial} is missing in the store of PREDICTOR_STORE: it was restored or "
                "emptied. Nothing was changed; run image-prediction store adopt on the machine whose models "
                "are right."
            )
        if found.token != position.token:
            raise ModelConflict(_REPLACED)
        if self._log.pending(position.serial + 1) is not None:
            raise ModelConflict(_BUSY)
        return self._models.bring(position)

    def supply(self, name: str, version: int) -> None:
        """Download the files of a version that have not come here yet."""
        if (position := self._models.position()) is not None:
            self._models.supply(position, name, version)

    @contextmanager
    def announced(self, state: State, name: str, after: Name | None) -> Iterator[Decide]:
        """Announce a change to all machines, which serve it, as far as they live, at the end of the block."""
        before = self._position()
        change = self._models.change_to(state.replaced(name, after), before, self._machines.name, name)
        if not self._log.announce(change):
            raise ModelConflict(_BUSY)
        decided, deadline = False, time.monotonic() + _READY_SECONDS

        def decide() -> None:
            nonlocal decided
            self._wait_for_others(change, deadline)
            self._decide(change)
            decided = True

        served_here = True
        try:
            yield decide
        except BaseException as error:
            if not decided:
                self.abort(change, before)
            if not (decided and isinstance(error, PredictorError)):
                raise
            served_here = False
            log.error("Change %d was decided, and is not served here yet: %s", change.serial, error.detail)
        # What is decided is not denied any more, whatever happens here: the follower does what is left.
        with suppress(PredictorError):
            if served_here:
                self.settle(change)
            self._wait_until_served(change.serial, set() if served_here else {self._machines.name})

    def settle(self, change: Change) -> None:
        """Note, and say, that this machine serves a change.

        Raises:
            StorageFull: there is no room here, or the store does not answer.
        """
        self._models.move_to(change)
        self._status.set_serial(change.serial)
        self._status.set_fault(FINE)
        if change.serial:
            self._log.acknowledge(change.serial, self._machines.name, SERVING)

    def end_for_dead(self, pending: Change, before: Change) -> bool:
        """Abort a change whose author is gone, unless it was decided; whether its author is gone."""
        gone = not self._machines.alive(pending.author)
        if gone:
            self.abort(pending, before)
        return gone

    def _position(self) -> Change:
        """The last change that this machine serves.

        Raises:
            StorageFull: it serves none, or the store has fewer.
        """
        if fault := self._status.fault:
            raise StorageFull(fault)
        if (position := self._models.position()) is None:
            raise StorageFull("This machine has not yet the models of the store; nothing was changed.")
        return position

    def _wait_for_others(self, change: Change, deadline: float) -> None:
        """Wait until every machine that lives is ready, but not past a time.

        Raises:
            InvalidModel, NotReady: one refuses, or is not ready in time.
            Unavailable: the store does not answer.
        """

        def ready() -> bool:
            told = self._log.acknowledged(change.serial)
            for machine in sorted(told[REFUSED]):
                raise self._log.refusal(change.serial, machine)
            if self._machines.living() <= told[READY] | {self._machines.name}:
                return True
            if self._log.decided(change.serial):
                raise NotReady(_ABORTED)
            return False

        if not _until(ready, deadline):
            raise NotReady("Not every machine loaded the model in time; nothing was changed. Try again.")

    def _decide(self, change: Change) -> None:
        """Have the change take effect on all machines.

        Raises:
            NotReady: another machine aborted it, or the store does not say what came of it.
        """
        deadline = time.monotonic() + _DOUBT_SECONDS
        while True:
            try:
                outcome = self._log.decide(change)
                break
            except Unavailable as error:
                if time.monotonic() > deadline:
                    raise NotReady(
                        f"The store did not answer when change {change.serial} was decided: whether it takes "
                        "effect is open until it does."
                    ) from error
                time.sleep(_ASK_SECONDS)
        if outcome.token != change.token:
            raise NotReady(_ABORTED)

    def abort(self, change: Change, before: Change) -> None:
        """Abort a change, unless it was decided; with a store that is silent it stays open."""
        with suppress(PredictorError):
            if before.serial and not self._log.had(before):
                return  # The state before is that of another store; this machine will notice soon.
            outcome = self._log.decide(change.abort(self._machines.name, before))
            if outcome.aborted:
                log.warning("Change %d of %s was aborted", change.serial, change.name)

    def _wait_until_served(self, serial: int, late: set[str]) -> None:
        """Wait for the machines that live: they are ready, and serve it as soon as they see the decision.

        Args:
            serial: of the change.
            late: those that are not waited for.
        """

        def served() -> bool:
            living, serving = self._machines.living(), self._log.acknowledged(serial)[SERVING]
            self._status.set_machines(len(living & serving), len(living))
            return living <= serving | late

        if not _until(served, time.monotonic() + _SERVING_SECONDS):
            log.error("Not every machine serves change %d", serial)


def _until(condition: Callable[[], bool], deadline: float) -> bool:
    """Wait until a condition holds, which is asked once at least; whether it does in time.

    Raises:
        Unavailable: the store has been silent for long.
    """
    answered = time.monotonic()
    while True:
        try:
            if condition():
                return True
            answered = time.monotonic()
        except Unavailable:
            if time.monotonic() > answered + _SILENT_SECONDS:
                raise
        if time.monotonic() > deadline:
            return False
        time.sleep(_ASK_SECONDS)
