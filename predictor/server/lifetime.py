"""How workers begin and end: not in a storm of starts, and without leaving a client that has connected.

A worker that dies costs the start of another, and a start costs a core for seconds. Where each dies before it
was of use, as when the graphics driver is broken, the next ones wait longer and longer before they load the
application, which `predictor.wsgi` does. A worker that was of use is replaced at once, however it ended.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from predictor.shared import answers, deaths, endings

# So many deaths in so many seconds are a storm; after so many seconds without any it is over.
_DEATHS, _WINDOW_SECONDS = 3, 60.0
# Between the starts of workers in a storm: five in its first minute, then fewer.
_PAUSES = (2.0, 4.0, 8.0, 16.0)
# A worker that answered so many requests was of use.
_USEFUL = 5
_IN_PEACE = 1


class Starts:
    """Says when each worker may load the application; for gunicorn's master.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deaths: list[float] = []
        self._storm = 0
        self._latest = 0.0

    def prepare(self, worker: Any) -> None:
        """Tell a worker that is about to be forked when to load: `due`, by the clock."""
        now = worker.due = self._clock()
        answers.set(worker.slot, 0)
        endings.set(worker.slot, 0)
        self._forget(now)
        if self._storm or len(self._deaths) >= _DEATHS:
            worker.due = max(now, self._latest) + _PAUSES[min(self._storm, len(_PAUSES) - 1)]
            self._storm += 1
        self._latest = worker.due

    def ended(self, worker: Any) -> None:
        """Learn of a worker's end, before its slot is released."""
        if endings.at(worker.slot) != _IN_PEACE:
            deaths[0] += 1
            if answers.at(worker.slot) < _USEFUL:
                self._deaths.append(self._clock())

    def _forget(self, now: float) -> None:
        self._deaths = [death for death in self._deaths if now - death < _WINDOW_SECONDS]
        if not self._deaths:
            self._storm = 0


def answered(worker: Any, request: Any) -> None:  # noqa: ARG001 (gunicorn's hook)
    """Count an answer, after each request."""
    answers.set(worker.slot, answers.at(worker.slot) + 1)


def leave(worker: Any) -> None:
    """Let the master know that the end of a worker, which it is about to see, is nothing to worry about."""
    endings.set(worker.slot, _IN_PEACE)


class DrainingWorker(ThreadWorker):
    """A threaded worker that answers all who connected before it ends."""

    alive: bool
    slot: int = 0
    aborted = False

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept connections, or no more; at the end, those that the kernel has accepted for us first.

        A worker that stops would keep its listening socket open until its last request is answered, and the
        kernel would go on accepting connections that nobody answers.
        """
        super().set_accept_enabled(enabled)
        if not (enabled or self.alive):
            for listener in self.sockets:
                self._empty(listener)
                listener.close()

    def _empty(self, listener: Any) -> None:
        """Accept whoever waits, as far as there is room."""
        before = -1
        # A socket that is closed already has nobody who waits.
        with contextlib.suppress(OSError, AttributeError):
            listener.setblocking(False)
            while before < self.nr_conns < self.cfg.worker_connections:
                before = self.nr_conns
                self.accept(listener)
