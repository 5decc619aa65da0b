"""Looks through the log for the last change, and notices a store that lost changes or never kept its word."""

from predictor.cluster.bucket import Unavailable
from predictor.cluster.local import LocalModels
from predictor.cluster.log import SERVING, Change, ChangeLog
from predictor.cluster.machine_status import OLDER_STORE, UNFIT_STORE, MachineStatus
from predictor.cluster.machines import Machines


class Survey:
    """Finds the last change of all machines.

    Args:
        changes: the log.
        machines: which there are.
        models: those of this machine.
        status: says whether it has joined the others.
    """

    def __init__(
        self, changes: ChangeLog, machines: Machines, models: LocalModels, status: MachineStatus
    ) -> None:
        self._log = changes
        self._machines = machines
        self._models = models
        self._status = status
        self._proved = False

    def last(self, position: Change | None) -> Change | int:
        """The last change, or what is wrong with the store: `OLDER_STORE` or `UNFIT_STORE`.

        Args:
            position: what this machine serves.

        Raises:
            Unavailable: the store does not answer.
            NotReady: another release wrote the change.
        """
        # The start has proved the store, unless it was silent then.
        self._proved = self._proved or self._log.fault() is None
        if not self._proved:
            return UNFIT_STORE
        serial = 0 if position is None else position.serial
        # Asked for first: what a machine serves was in the log before.
        served = self._log.served(max(0, serial - 1))
        latest = self._log.latest(max(0, serial - 1))
        if latest < serial and served < serial and not self._others_serve(latest):
            # Whoever adopts models or joins is to know of this change.
            self._log.acknowledge(serial, self._machines.name, SERVING)
        # Those that serve the last change go on, whatever a machine of another store says.
        lost = latest < served and not (self._status.caught_up or self._others_serve(latest))
        if latest < serial or lost:
            return OLDER_STORE
        found = self._log.outcome(latest) if latest else self._models.own()
        if found is None:
            raise Unavailable("A change disappeared from the store while it was read.")
        return found

    def _others_serve(self, serial: int) -> bool:
        """Whether another machine lives and serves a change, so that the store has lost none after it."""
        if self._status.store_time is None:
            self._status.set_clock(self._log.present())
        others = self._log.acknowledged(serial)[SERVING] - {self._machines.name}
        return any(map(self._machines.alive, others))
