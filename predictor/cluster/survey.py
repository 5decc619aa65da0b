"""Looks through the log for the last change, and notices a store that lost changes or never kept its word."""

from predictor.cluster.bucket import Unavailable
from predictor.cluster.local import LocalModels
from predictor.cluster.log import SERVING, Change, ChangeLog
from predictor.cluster.standing import OLDER_STORE, UNFIT_STORE, Standing


class Survey:
    """Finds the last change of all machines.

    Args:
        changes: the log.
        name: this machine's.
        models: those of this machine.
        standing: says whether it has joined the others.
    """

    def __init__(self, changes: ChangeLog, name: str, models: LocalModels, standing: Standing) -> None:
        self._log = changes
        self._name = name
        self._models = models
        self._standing = standing
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
        if latest < serial and served < serial:
            # Whoever adopts models or joins is to know of this change.
            self._log.acknowledge(serial, self._name, SERVING)
        # One that has joined goes on, whatever a machine says that returns to a store with other models.
        if latest < serial or (latest < served and not self._standing.caught_up):
            return OLDER_STORE
        found = self._log.outcome(latest) if latest else self._models.own()
        if found is None:
            raise Unavailable("A change disappeared from the store while it was read.")
        return found
