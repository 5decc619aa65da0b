"""A circuit breaker: while a store fails, one thread asks it and requests pass it by.

A store that hangs costs a time-out each time it is asked. So no request asks it after its first failure; a
thread does, after pauses that grow, until the store works. The same thread asks a store that works now and
then, so that `failing` is right without any request as well.
"""

import logging
import threading
from collections.abc import Callable

SHORTEST_SECONDS = 2.0
LONGEST_SECONDS = 30.0

log = logging.getLogger(__name__)


class CircuitBreaker:
    """Knows whether a store can be used.

    Args:
        probe: asks the store. It is told whether the store fails at the moment, and raises one of `failures`
            if the store cannot be used.
        failures: what the store raises when it cannot be used.
        wait: waits for some seconds, and says whether the breaker is to stop; by default `stop` decides.
        place: where the store is, for the log; empty if there is only one place where it can be.
    """

    def __init__(
        self,
        probe: Callable[[bool], object],
        failures: tuple[type[Exception], ...],
        wait: Callable[[float], bool] | None = None,
        *,
        place: str = "",
    ) -> None:
        self._probe = probe
        self._failures = failures
        self._where = f" ({place})" if place else ""
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._failing = False
        self._pause = SHORTEST_SECONDS
        self._lock = threading.Lock()

    @property
    def failing(self) -> bool:
        """Whether the store failed when it was last asked."""
        return self._failing

    def start(self) -> None:
        """Ask the store from now on, in a thread of its own."""
        threading.Thread(target=self.watch, name="cache probe", daemon=True).start()

    def stop(self) -> None:
        """Ask no longer."""
        self._stopped.set()

    def failed(self, error: Exception) -> None:
        """Take note of a failure that a request met."""
        with self._lock:
            if self._failing:
                return
            self._failing = True
            self._lengthen()
        # SQLite has one class for a locked, a missing and an unreadable file.
        kind = getattr(error, "sqlite_errorname", type(error).__name__)
        log.warning("The cache failed and is not used: %s%s", kind, self._where)

    def watch(self) -> None:
        """Ask the store again and again; the pauses double with each failure and shrink while it works."""
        while True:
            self._ask(failing=self._failing)
            if self._wait(self._pause):
                return

    def _ask(self, *, failing: bool) -> None:
        try:
            self._probe(failing)
        except self._failures as error:
            if failing:
                self._lengthen()
            elif not self._stopped.is_set():  # its owner may have closed the store meanwhile
                self.failed(error)
        else:
            self._worked(failed_before=failing)

    def _worked(self, *, failed_before: bool) -> None:
        if failed_before:
            # The pause stays: a store that fails again at once is asked, and logged, less and less often.
            self._failing = False
            log.info("The cache works again and is used")
        else:
            self._pause = max(SHORTEST_SECONDS, self._pause / 2)

    def _lengthen(self) -> None:
        self._pause = min(LONGEST_SECONDS, 2 * self._pause)
