"""A machine's part in a change that another one announced: prepare, say so, wait for the decision, serve."""

import logging
import threading
import time
from contextlib import suppress

from predictor.cluster.bucket import Unavailable
from predictor.cluster.coordinator import Coordinator
from predictor.cluster.local import LocalModels
from predictor.cluster.log import READY, REFUSED, Change, ChangeLog
from predictor.cluster.machines import Machines
from predictor.errors import NotReady, PredictorError

# Between announcement and decision each moment counts, and there are few of them.
_DECISION_SECONDS, _AUTHOR_SECONDS = 0.1, 1.0
# A store that is silent for so long after an announcement must not keep this machine from its own changes.
_HELD_SECONDS = 60.0

log = logging.getLogger(__name__)


class Undone(Exception):
    """A change that this machine was ready for was aborted, or is not decided for long."""


class Participant:
    """Takes part in the changes of other machines.

    Args:
        changes: the log.
        machines: which there are.
        models: those of this machine.
        coordinator: ends the changes of machines that are gone.
    """

    def __init__(
        self, changes: ChangeLog, machines: Machines, models: LocalModels, coordinator: Coordinator
    ) -> None:
        self._log = changes
        self._machines = machines
        self._models = models
        self._coordinator = coordinator
        self._refused = ""
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Wait for no decision any more."""
        self._stopped.set()

    def announced(self, serial: int) -> Change | None:
        """The change that was announced under a number; what cannot be read is refused.

        Raises:
            NotReady: another release wrote it.
        """
        try:
            return self._log.pending(serial)
        except NotReady as error:
            self._log.acknowledge(serial, self._machines.name, REFUSED, error)
            raise

    def take_part(self, pending: Change, position: Change) -> None:
        """Prepare what is announced, say so, and serve it once it is decided.

        Raises:
            Unavailable: the store does not answer.
            ModelConflict: another worker of this machine changes the models; it is to be tried again.
        """
        if pending.token == self._refused:
            self._coordinator.end_for_dead(pending, position)
            return
        with self._models.unmoved(position):
            if pending.author == self._machines.name:
                # Its author would hold the lock if it lived.
                self._coordinator.abort(pending, position)
            elif not self._coordinator.end_for_dead(pending, position):
                self._prepare(pending, position)

    def _prepare(self, pending: Change, position: Change) -> None:
        # A worker that led before this one may have been ready.
        self._log.withdraw(pending.serial, self._machines.name)
        try:
            self._models.keep_own(pending, self._log.had)
            self._models.bring(position)
            self._models.bring(pending, lambda: self._wait_for_decision(pending, position))
            self._coordinator.settle(pending)
        except Undone:
            log.warning("Change %d of %s was not made", pending.serial, pending.name)
        except Unavailable:
            raise
        except PredictorError as error:
            log.warning("Change %d of %s is refused: %s", pending.serial, pending.name, error.detail)
            self._refused = pending.token
            self._log.acknowledge(pending.serial, self._machines.name, REFUSED, error)

    def _wait_for_decision(self, pending: Change, position: Change) -> None:
        """Say that this machine is ready, and wait for the decision.

        Raises:
            Undone: the change is aborted, or the store is silent for long.
        """
        self._log.acknowledge(pending.serial, self._machines.name, READY)
        pauses = self._machines.pauses(_DECISION_SECONDS)
        answered = asked = time.monotonic()
        while time.monotonic() < answered + _HELD_SECONDS and not self._stopped.wait(next(pauses)):
            with suppress(Unavailable):
                outcome, answered = self._log.outcome(pending.serial), time.monotonic()
                if outcome is not None:
                    break
                self._machines.in_step()
                if answered > asked + _AUTHOR_SECONDS:
                    asked = answered
                    self._coordinator.end_for_dead(pending, position)
        else:
            self._log.withdraw(pending.serial, self._machines.name)
            # What was decided until then counted on this machine.
            outcome = self._log.outcome(pending.serial)
        if outcome is None or outcome.aborted:
            raise Undone
