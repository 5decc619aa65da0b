"""Say on the standard error how far a run is, how fast, and for how long; end it if it stands still."""

import os
import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import TextIO

_ON_A_TERMINAL, _IN_A_LOG = 0.5, 30.0  # seconds between two lines
_LATELY = 60.0  # seconds over which the speed is measured, so that a slow start does not count for ever


def _end() -> None:
    # What hangs inside a library cannot be interrupted; whole shards are on the disk.
    os._exit(1)


class Progress:
    """Says how far a run is, and ends this process if nothing is done for too long. A context manager.

    Args:
        total: the inputs of the run.
        done: those that were done before.
        patience: seconds without an image after which it ends.
        stuck: the sentence that is said then.
        out: where it is said; by default the standard error.
        end: what ends the process.
    """

    def __init__(
        self,
        total: int,
        done: int,
        patience: float,
        stuck: str,
        *,
        out: TextIO | None = None,
        end: Callable[[], None] = _end,
    ) -> None:
        self._total, self._before, self._done = total, done, done
        self._patience, self._stuck, self._end = patience, stuck, end
        self._out = out or sys.stderr
        self._start = self._moved = time.monotonic()
        self._seen = [(self._start, done)]
        self._stop = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def add(self, images: int) -> None:
        """Count images that are done."""
        self._done += images
        self._moved = time.monotonic()

    @property
    def rate(self) -> float:
        """Images per second of this run, from its start."""
        return (self._done - self._before) / max(time.monotonic() - self._start, 1e-9)

    def _watch(self) -> None:
        pause = _ON_A_TERMINAL if self._out.isatty() else _IN_A_LOG
        said = self._start
        while not self._stop.wait(min(pause, self._patience / 10, 1.0)):
            now = time.monotonic()
            if now - self._moved > self._patience:
                self.say(self._stuck)
                self._end()
                return
            if now - said >= pause:
                said = now
                self._say(self._line(now))

    def say(self, text: str) -> None:
        """Say a sentence, in the place of the line that stands there on a terminal."""
        self._say(text)
        if self._out.isatty():
            self._out.write("\n")
            self._out.flush()

    def _say(self, text: str) -> None:
        # A terminal keeps one line, which the next one replaces.
        self._out.write(f"\r\x1b[K{text}" if self._out.isatty() else f"{text}\n")
        self._out.flush()

    def _line(self, now: float) -> str:
        self._seen = [(then, done) for then, done in self._seen if now - then < _LATELY] or self._seen[-1:]
        then, before = self._seen[0]
        self._seen.append((now, self._done))
        rate = (self._done - before) / max(now - then, 1e-9)
        left = f"{in_words((self._total - self._done) / rate)} left" if rate else "time left unknown"
        return f"Images: {self._done} of {self._total}, {rate:.1f} images/s, {left}"


def in_words(seconds: float) -> str:
    """A time in hours and minutes, or in minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
