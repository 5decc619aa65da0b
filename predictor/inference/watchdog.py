"""A native call that never returns ends this worker, not the service.

A run that takes too long is asked to stop first, which it heeds between two of its operators. One that does
not is inside a single operator: its thread cannot be ended, only the process, which gunicorn replaces.

The time for which a run waits for a processor of a busy machine does not count.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from predictor.model.stopwatch import Stopwatch, of_this_thread
from predictor.store.members import WorkerRecord

EXIT_CODE = 70
"""Of a worker that ended itself; gunicorn stops for 3 and 4."""
_GRACE_SECONDS = 2.0
_POLL_SECONDS = 0.1

log = logging.getLogger(__name__)


@dataclass
class _Call:
    """A native call at work."""

    model: str
    stop: Callable[[], None]
    seconds: Callable[[], float]
    stopped: bool = False


class Watchdog:
    """Watches this worker's native calls.

    Args:
        record: this worker's heartbeat record, where what runs is seen from outside.
        seconds: how long a call may take.
        end: ends the process.
        stopwatch: gives what measures the calling thread.
    """

    def __init__(
        self,
        record: WorkerRecord,
        seconds: float,
        end: Callable[[int], object] = os._exit,
        stopwatch: Callable[[], Stopwatch] = of_this_thread,
    ) -> None:
        self._record = record
        self._seconds = seconds
        self._end = end
        self._stopwatch = stopwatch
        self._known: dict[int, _Call] = {}
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextmanager
    def watching(self, model: str, stop: Callable[[], None]) -> Iterator[None]:
        """Watch a run.

        Args:
            model: what runs, as `name/version`.
            stop: asks the run to stop.
        """
        call = _Call(model, stop, self._stopwatch().seconds)
        self._known[id(call)] = call
        try:
            with self._record.running(model):
                yield
        finally:
            del self._known[id(call)]

    def loading(self, model: str) -> AbstractContextManager[None]:
        """Let it be seen from outside that a model is loaded; a load takes as long as it takes."""
        return self._record.running(model)

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(_POLL_SECONDS):
            for call in list(self._known.values()):
                self._check(call, call.seconds())

    def _check(self, call: _Call, seconds: float) -> None:
        if seconds > self._seconds + _GRACE_SECONDS:
            reason = f"A run of the model took longer than {self._seconds:g} s and did not stop."
            log.error("This worker exits: %s (%s)", reason, call.model)
            self._record.report_crash(reason)
            self._end(EXIT_CODE)
        elif seconds > self._seconds and not call.stopped:
            log.error("A run of %s takes longer than %g s and is being stopped", call.model, self._seconds)
            call.stopped = True
            call.stop()
