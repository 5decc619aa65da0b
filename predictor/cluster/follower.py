"""One worker of a machine follows the log: takes part in what others announce, and serves what was decided.

Which one, a file lock says; when that worker dies, another takes its place. Each round asks for one object,
the next announcement, which is usually not there.
"""

import logging
import os
import threading
import time
from contextlib import suppress

from predictor.cluster.bucket import Unavailable
from predictor.cluster.coordinator import Coordinator
from predictor.cluster.heartbeat import Heartbeat
from predictor.cluster.local import LocalModels
from predictor.cluster.log import Change, ChangeLog
from predictor.cluster.machine_status import (
    BEHIND,
    FINE,
    NAMESAKE,
    OLDER_STORE,
    SHARED_DATA,
    MachineStatus,
    Trouble,
)
from predictor.cluster.machines import Machines
from predictor.cluster.maintenance import Maintenance
from predictor.cluster.participant import Participant
from predictor.cluster.survey import Survey
from predictor.errors import ModelConflict, NotReady, PredictorError
from predictor.store.commit import ModelTransactions
from predictor.store.files import hold

LOCK = "cluster.lock"
"""The file in the data folder whose lock the worker holds that follows."""
_LEAD_SECONDS, _JOIN_SECONDS = 0.5, 10.0
# A service that is being replaced ends within this time, unless predictions take longer.
_LEFT_OUT_SECONDS = 30.0
# What fails is tried again after twice the time: each attempt may download the version and optimise it.
_AGAIN_SECONDS, _MOST_AGAIN_SECONDS = 1.0, 60.0

log = logging.getLogger(__name__)


class Follower:
    """Follows the log for this machine, in a thread.

    Args:
        changes: the log.
        machines: which there are.
        models: those of this machine.
        coordinator: how this machine makes changes of its own.
        transactions: its lock is held while the models of this machine change.
        status: where the other workers of this machine read how it stands.
    """

    def __init__(
        self,
        changes: ChangeLog,
        machines: Machines,
        models: LocalModels,
        coordinator: Coordinator,
        transactions: ModelTransactions,
        status: MachineStatus,
    ) -> None:
        self._log = changes
        self._machines = machines
        self._models = models
        self._coordinator = coordinator
        self._transactions = transactions
        self._status = status
        self._participant = Participant(changes, machines, models, coordinator)
        self._survey = Survey(changes, machines, models, status)
        self._heartbeat = Heartbeat(changes, machines, status, transactions.registry.data)
        self._lock_path = transactions.registry.data / LOCK
        self._lock: int | None = None
        self._started = time.monotonic()
        self._again_seconds = _AGAIN_SECONDS
        self._tell = Trouble()
        self._stopped = threading.Event()
        self._maintenance = Maintenance(
            changes, models, coordinator, transactions, status, self._stopped.is_set
        )
        self._thread = threading.Thread(target=self._run, name="cluster", daemon=True)

    def start(self) -> None:
        """Begin to follow, as soon as no other worker of this machine does."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what was begun, so that another worker can follow."""
        self._stopped.set()
        self._participant.stop()
        self._heartbeat.stop()
        if self._thread.is_alive():
            self._thread.join(_AGAIN_SECONDS)
        if self._lock is not None and not self._thread.is_alive():
            os.close(self._lock)
            self._lock = None

    def leads(self) -> bool:
        """Whether this worker is the one that follows; it tries to become it."""
        if self._lock is None:
            with suppress(OSError):
                self._lock_path.touch()
            if (lock := hold(self._lock_path)) is not None:
                self._status.lead()
                self._lock = lock
        return self._lock is not None

    def step(self) -> None:
        """Look at the log once, and do what it asks for.

        Raises:
            Unavailable: the store does not answer.
            ModelConflict: another worker of this machine changes the models; it is to be tried again.
            PredictorError: what was decided cannot be served.
        """
        position = self._models.position()
        if position is None or self._heartbeat.unsure or self._heartbeat.due:
            if (position := self._surveyed(position)) is None:
                return
            self._heartbeat.unsure = self._heartbeat.due = False
        pending = self._participant.announced(position.serial + 1)
        if pending is None:
            self._rest(position)
        elif (outcome := self._log.outcome(pending.serial)) is not None:
            self._apply(outcome, position)
        else:
            self._machines.in_step()
            self._participant.take_part(pending, position)

    def _surveyed(self, position: Change | None) -> Change | None:
        """Find the last change and serve it: at the start, after silence, and now and then.

        Returns:
            It; None if the store has lost changes, or does not keep its word.
        """
        try:
            found = self._survey.last(position)
        except NotReady:
            self._heartbeat.behind = True
            raise
        if isinstance(found, int):
            self._go_no_further(found)
            return None
        self._apply(found, position)
        return found

    def _go_no_further(self, fault: int) -> None:
        """Serve on what this machine has, and say what is wrong with the store."""
        self._status.set_fault(fault)
        self._heartbeat.pause()
        position = self._models.position()
        # One that served no change has nothing that the others serve.
        if position is not None and (position.serial or fault != OLDER_STORE):
            self._status.join()

    def _apply(self, outcome: Change, position: Change | None) -> None:
        """Serve what was decided."""
        self._heartbeat.behind = position is None or outcome.token != position.token
        # Other changes of this machine need not wait meanwhile; what has come stays if the rest fails.
        self._models.fetch(outcome)
        with self._models.unmoved(position):
            self._models.keep_own(outcome, self._log.had)
            self._models.bring(outcome)
            self._coordinator.settle(outcome)
        self._heartbeat.behind = False

    def _rest(self, position: Change) -> None:
        """Nothing is announced: be counted, be sent requests, and then do what is left over."""
        self._heartbeat.behind = False
        self._status.set_fault(NAMESAKE if self._machines.doubled else FINE)
        self._machines.in_step()
        self._status.set_serial(position.serial)
        if not self._heartbeat.counted:
            # From now on authors wait for this machine; the next round sees what was announced before.
            self._heartbeat.begin()
        elif not self._status.caught_up:
            self._status.join()
            log.info("Machine %s serves change %d of the store", self._machines.name, position.serial)
        else:
            self._maintenance.step(position, self._machines.name)

    def _run(self) -> None:
        for pause in self._machines.pauses(self._machines.poll_seconds):
            if self.leads():
                self._round()
            else:
                self._left_out()
            if self._stopped.wait(_LEAD_SECONDS if self._lock is None else pause):
                break

    def _left_out(self) -> None:
        """Say why this server does not follow, if no worker of it ever did, so that another server's does."""
        late = time.monotonic() > self._started + _LEFT_OUT_SECONDS and self._lock_path.exists()
        known = self._status.led or self._status.fault is not None
        if late and not known:
            self._status.set_fault(SHARED_DATA)
            self._tell(self._status.fault or "")

    def _round(self) -> None:
        try:
            self.step()
        except ModelConflict:
            return  # Another worker of this machine is at work.
        except Unavailable as error:
            self._silent(error)
        except PredictorError as error:
            self._heartbeat.unsure = True
            if self._heartbeat.behind:
                self._status.set_fault(BEHIND)
                self._heartbeat.pause()
            self._tell(f"This machine cannot do what the store says: {error.detail}")
            self._stopped.wait(self._again_seconds)
            self._again_seconds = min(2 * self._again_seconds, _MOST_AGAIN_SECONDS)
        except Exception:
            log.exception("The store cannot be followed")
            self._stopped.wait(_AGAIN_SECONDS)
        else:
            self._again_seconds = _AGAIN_SECONDS
            self._tell(self._status.fault or "")

    def _silent(self, error: Unavailable) -> None:
        """Serve what this machine has, if it ever had what the store says."""
        self._heartbeat.unsure = True
        goes_on = "predictions go on" if self._status.caught_up else "this machine does not serve yet"
        self._tell(f"Models cannot be changed, {goes_on}: {error.detail}")
        late = time.monotonic() > self._started + _JOIN_SECONDS
        if late and not self._status.caught_up and self._models.position() is not None:
            log.warning("The store is silent: this machine serves the models that it has")
            self._status.join()
