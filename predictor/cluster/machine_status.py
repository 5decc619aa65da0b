"""How this machine stands to the others: numbers that its workers share.

The worker that follows the log writes them. They begin at zero with each start of the server.
"""

import logging
import time

from predictor import shared

FINE, OLDER_STORE, BEHIND, UNFIT_STORE, NAMESAKE, SHARED_DATA = range(6)
_FAULTS = {
    OLDER_STORE: "The store of PREDICTOR_STORE has fewer changes than its machines have made: it was "
    "restored or emptied. Run image-prediction store adopt on the machine whose models are right. Or this "
    "machine comes from another store: then start it with an empty PREDICTOR_DATA.",
    UNFIT_STORE: "The store of PREDICTOR_STORE overwrites objects that must not be overwritten: models "
    "cannot be changed. Choose another store, and restart the service.",
    NAMESAKE: "Another machine has the name of this one: models cannot be changed. Give each its own "
    "PREDICTOR_MACHINE, and a data folder that is no copy of another's.",
    SHARED_DATA: "Another service uses this PREDICTOR_DATA and follows the store with it. Stop that "
    "service, or give this one a PREDICTOR_DATA of its own.",
    BEHIND: "This machine cannot serve the models that the others serve; the log has the reason.",
}
_CONTACT, _CLOCK, _SERIAL, _LIVING, _SERVING, _CAUGHT_UP, _FAULT, _SILENCE, _LED = range(9)
_MILLION = 1_000_000

log = logging.getLogger(__name__)


class MachineStatus:
    """The status of this machine.

    Args:
        numbers: the memory behind them; by default what the workers of this server share.
    """

    def __init__(self, numbers: "memoryview[int]" = shared.machine_status) -> None:
        self._numbers = numbers
        self._made = time.monotonic()

    @property
    def serial(self) -> int:
        """The change that this machine serves."""
        return self._numbers[_SERIAL]

    @property
    def machines(self) -> tuple[int, int]:
        """How many machines serve that change, and how many there are."""
        return self._numbers[_SERVING], self._numbers[_LIVING]

    @property
    def caught_up(self) -> bool:
        """Whether this machine has served what the others serve since it was started."""
        return bool(self._numbers[_CAUGHT_UP])

    @property
    def led(self) -> bool:
        """Whether a worker of this server has followed the log since it was started."""
        return bool(self._numbers[_LED])

    @property
    def fault(self) -> str | None:
        """Why models cannot be changed here although the store answers."""
        return _FAULTS.get(self._numbers[_FAULT])

    @property
    def lag(self) -> float:
        """Seconds since it was last known that this machine serves the last change."""
        return time.monotonic() - (self._numbers[_CONTACT] / _MILLION or self._made)

    @property
    def since_silence(self) -> float:
        """Seconds since a silence of the store, or of this machine, ended; many if there was none."""
        return time.monotonic() - self._numbers[_SILENCE] / _MILLION

    @property
    def store_time(self) -> float | None:
        """The time by the store's clock, in seconds since 1970; None before the first heartbeat."""
        offset = self._numbers[_CLOCK]
        return time.monotonic() + offset / _MILLION if offset else None

    def in_step(self, at: float) -> None:
        """Note that this machine served the last change at a moment of the monotonic clock."""
        self._numbers[_CONTACT] = int(at * _MILLION)

    def after_silence(self) -> None:
        """Note that others may have looked dead until this moment, as this machine did."""
        self._numbers[_SILENCE] = int(time.monotonic() * _MILLION)

    def lead(self) -> None:
        """Note that a worker of this server follows the log."""
        self._numbers[_LED] = 1
        if self._numbers[_FAULT] == SHARED_DATA:
            self.set_fault(FINE)

    def join(self) -> None:
        """Note that this machine may be sent requests."""
        self._numbers[_CAUGHT_UP] = 1

    def set_serial(self, serial: int) -> None:
        """Note the change that this machine serves."""
        self._numbers[_SERIAL] = serial

    def set_machines(self, serving: int, living: int) -> None:
        """Note how many machines serve the last change, and how many there are."""
        self._numbers[_SERVING], self._numbers[_LIVING] = serving, living

    def set_clock(self, store_time: float) -> None:
        """Note the time by the store's clock at this moment."""
        self._numbers[_CLOCK] = int((store_time - time.monotonic()) * _MILLION)

    def set_fault(self, fault: int) -> None:
        """Note what keeps models from being changed: `FINE`, `OLDER_STORE` or another."""
        self._numbers[_FAULT] = fault


class Trouble:
    """What keeps this machine from following the store, for the log: each trouble once, and its end."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, trouble: str) -> None:
        """Say what is wrong; empty if nothing is."""
        if trouble and trouble != self._told:
            log.error("%s", trouble)
        elif self._told and not trouble:
            log.info("The store of PREDICTOR_STORE is followed again")
        self._told = trouble
