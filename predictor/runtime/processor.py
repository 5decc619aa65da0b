"""What computes in this worker: the cores alone, or the cores and a GPU."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from predictor import slots
from predictor.config import Settings, cores
from predictor.runtime.batch import Array, Line, Prepare, Run, Runner
from predictor.runtime.turns import Turns

_COURTESY_SECONDS = 0.003

Wanted = Callable[[], None]
"""Raises, right before a picture would be prepared or run, why it is wanted no more."""


class Processor(Protocol):
    """Prepares and runs pictures for many request threads.

    Attributes:
        threads: how many are to be at work on the pictures of one request.
    """

    threads: int

    def together(self, runner: Runner, pictures: int) -> int:
        """How many of so many pictures of one request a thread is to take at once."""

    def run(self, runner: Runner, prepare: Prepare, wanted: Wanted, most: int = 1) -> Run:
        """Wait for a turn, then prepare and run pictures, perhaps together with others that wait.

        Args:
            runner: the model.
            prepare: makes the pictures' tensors.
            wanted: raises if nobody waits for them.
            most: how many tensors there are at most.
        """


class Cpu:
    """Whoever has a turn has a core: its thread prepares pictures and runs them."""

    def __init__(self, settings: Settings) -> None:
        # One more would wait; and where a turn ends, two would want its core while others have nothing to do.
        self.threads = cores()
        workers = settings.workers or cores()
        turns = Turns(settings.slots, cores(), workers, shared=slots.computing)
        self._line = Line(turns, courtesy=_COURTESY_SECONDS)

    def together(self, runner: Runner, pictures: int) -> int:
        """As many as run together, so that no thread waits for another; but every core gets some."""
        return min(runner.largest, pictures if runner.fixed else math.ceil(pictures / self.threads))

    def run(self, runner: Runner, prepare: Prepare, wanted: Wanted, most: int = 1) -> Run:
        """Prepare and run pictures in their turn."""

        def begin() -> list[Array]:
            wanted()
            return prepare()

        return self._line.run(runner, begin, most)


class Gpu:
    """Request threads prepare pictures on the cores, while the GPU runs those that were ready before.

    One run at a time: whatever is ready when it ends goes next, together.
    """

    def __init__(self, settings: Settings) -> None:
        # All that may run together; those whose pictures are prepared only wait.
        self.threads = settings.max_batch
        self._cores = threading.Semaphore(settings.slots)
        self._line = Line(Turns(1))

    def together(self, runner: Runner, pictures: int) -> int:  # noqa: ARG002 (another processor asks)
        """One: pictures are prepared side by side, and run with whatever is ready."""
        return 1

    def run(self, runner: Runner, prepare: Prepare, wanted: Wanted, most: int = 1) -> Run:
        """Prepare pictures, then run them in their turn."""
        start = time.perf_counter()
        with self._cores:
            waited = time.perf_counter() - start
            wanted()
            tensors = prepare()

        def ready() -> list[Array]:
            wanted()
            return tensors

        run = self._line.run(runner, ready, most)
        return replace(run, queued=run.queued + waited)
