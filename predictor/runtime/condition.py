"""What of a worker does not work although predictions succeed; `/readyz` names it."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from predictor.inference.cache import Cache
from predictor.store.stamp import Stamp

PARTS = ("cache", "data", "store")
"""What the parts are called."""
_BYTES = 4096
# Probes of several load balancers come at any rate; the disk is asked at most so often.
_SECONDS = 2.0
_RESTART = (
    "The folder PREDICTOR_DATA could not be written when the service started: models cannot be changed. "
    "Restart the service."
)


class Condition:
    """The parts that a worker can do without for a while.

    Args:
        data: the folder of the service.
        cache: of answers.
        stamp: the store's version counter.
        clock: seconds.
        store: why models cannot be changed on all machines; None if they can, or if there is one machine.
    """

    def __init__(
        self,
        data: Path,
        cache: Cache,
        stamp: Stamp,
        clock: Callable[[], float] = time.monotonic,
        store: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._data = data
        self._cache = cache
        self._stamp = stamp
        self._clock = clock
        self._store = store
        self._checked = float("-inf")
        self._data_fault: str | None = None

    def degraded(self) -> dict[str, str]:
        """What is wrong, by the name of the part: `cache`, `data` or `store`; empty if all is well."""
        found = (self._of_cache(), self._of_data(), self._store())
        return {part: fault for part, fault in zip(PARTS, found, strict=True) if fault}

    def _of_cache(self) -> str | None:
        return "The cache does not answer: predictions go on without it." if self._cache.failing else None

    def _of_data(self) -> str | None:
        if (now := self._clock()) >= self._checked + _SECONDS:
            self._checked, self._data_fault = now, self._written()
        return self._data_fault

    def _written(self) -> str | None:
        """Write a file to the data folder; why that fails."""
        path = self._data / f".{os.getpid()}.probe"
        try:
            path.write_bytes(bytes(_BYTES))
        except OSError as error:
            return f"The folder PREDICTOR_DATA cannot be written: models cannot be changed. {error.strerror}."
        finally:
            with suppress(OSError):
                path.unlink()
        return None if self._stamp.shared else _RESTART
