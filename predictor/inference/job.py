"""One image that is to be prepared and run, and how its model is run."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.errors import Internal, PredictorError, Stopped
from predictor.inference.pairs import Pairs
from predictor.inference.turn import Turn
from predictor.model.session import Stop

Array = npt.NDArray[Any]
Prepare = Callable[[], Array]
"""Makes an image's tensor, without a batch axis; or raises why there is none."""
Finish = Callable[[Array], Any]
"""Makes an answer of an image's scores, of shape [classes]."""
Check = Callable[[], None]
"""Raises, right before an image would be prepared or run, why its answer is not needed any more."""

# How much of the measured time is replaced by each new measurement.
_LEARN = 0.1

log = logging.getLogger(__name__)


def _needed() -> None:
    """Nobody has said that the answer is not needed."""


@dataclass(frozen=True)
class Run:
    """What came of one image.

    Attributes:
        value: what `finish` made of its scores.
        queued: seconds from its submission to its run, without the preparation.
        ran: seconds that its batch ran.
        began: when its batch began, by the performance counter.
    """

    value: Any
    queued: float
    ran: float
    began: float


class Runner:
    """How one model is run.

    Args:
        run: takes a batch [n, ...] and gives scores [n, classes]; also takes what stops it, if that is given.
        max_batch: most images in one run, or what finds that out.
        seconds: of a run of one image, as far as is known yet.
        observe: told the size of each batch.

    Attributes:
        seconds_per_image: to prepare and run an image, lately.
        seconds_per_run: to prepare and run the images of a run, lately. A graph of fixed batch size takes as
            long for one image as for all that it has room for.
    """

    def __init__(
        self,
        run: Callable[..., Array],
        *,
        max_batch: int | Pairs,
        seconds: float,
        observe: Callable[[int], None],
    ) -> None:
        self._run = run
        self._observe = observe
        self._max_batch = max_batch
        self.seconds_per_image = self.seconds_per_run = seconds

    @property
    def max_batch(self) -> int:
        """Most images in one run, at present."""
        return self._max_batch if isinstance(self._max_batch, int) else self._max_batch.max_batch

    def __call__(self, batch: Array, stop: Stop | None = None) -> Array:
        """Run a batch.

        Args:
            batch: shape [n, ...].
            stop: ends the run from another thread.

        Raises:
            Stopped: it was stopped.
            Internal: the run failed, or gave another number of scores than it was given images.
        """
        self._observe(len(batch))
        start = time.thread_time()
        scores = self._run(batch) if stop is None else self._run(batch, stop)
        if isinstance(self._max_batch, Pairs):
            self._max_batch.note(len(batch), time.thread_time() - start)
        if len(scores) != len(batch):
            raise Internal(f"The model returned {len(scores)} results for {len(batch)} images.")
        return scores

    def split(self) -> bool:
        """Whether the images of a run that failed are to be run again, each alone."""
        if isinstance(self._max_batch, Pairs):
            self._max_batch.refuse()
            return True
        return False

    def learn(self, seconds: float, images: int) -> None:
        """Take note of what a run of so many images took."""
        self.seconds_per_image += _LEARN * (seconds / images - self.seconds_per_image)
        self.seconds_per_run += _LEARN * (seconds - self.seconds_per_run)


@dataclass(eq=False)
class Job:
    """One image that is to be run.

    Attributes:
        runner: the model.
        prepare: makes the image's tensor, in another thread.
        finish: makes the answer of its scores, in another thread.
        check: raises if the answer is not needed any more.
        future: gets the image's run; or the error of `check` or `prepare`, or Internal where the run failed.
        tensor: what `prepare` made.
        stop: ends its run for others, after which it is run once more and to its end; None for an image that
            others wait for.
        turn: where a thread waits that can run the image itself: told to run images, or that this one has its
            run or its error. None where no thread waits, or where it was told.
    """

    runner: Runner
    prepare: Prepare
    finish: Finish
    check: Check = _needed
    future: "Future[Run]" = field(default_factory=Future)
    tensor: Array | None = None
    stop: Stop | None = None
    turn: Turn | None = None
    since: float = field(default_factory=time.perf_counter)
    prepared: float = 0.0

    def done(self, scores: Array, start: float, ran: float) -> None:
        """Give the answer to who waits.

        Args:
            scores: shape [classes].
            start: when the run began, by the performance counter.
            ran: seconds that it took.
        """
        try:
            run = Run(self.finish(scores), start - self.since - self.prepared, ran, start)
        except Exception as error:  # noqa: BLE001 (raised in the thread that waits for the image)
            self.fail(error)
        else:
            self.future.set_result(run)
            self._release()

    def make(self) -> bool:
        """Make the tensor if there is none; whether the image can be run now."""
        try:
            self.check()
            if self.tensor is None:
                start = time.perf_counter()
                self.tensor = self.prepare()
                self.prepared = time.perf_counter() - start
        except Exception as error:  # noqa: BLE001 (raised in the thread that waits for the image)
            self.fail(error)
            return False
        return True

    def drop(self) -> bool:
        """Fail if the answer is not needed any more; whether it is not."""
        try:
            self.check()
        except Exception as error:  # noqa: BLE001 (raised in the thread that waits for the image)
            self.fail(error)
            return True
        return False

    def fail(self, error: Exception) -> None:
        """Give an error to who waits, without its frames: they would keep the image's bytes in memory."""
        if not isinstance(error, PredictorError):
            log.error("An image failed", exc_info=error)
            error = Internal("The service failed on this image; its log has the reason.")
        self.future.set_exception(error.with_traceback(None))
        self._release()

    def _release(self) -> None:
        if self.turn:
            self.turn.tell(run=False)


def compute(batch: Sequence[Job]) -> None:
    """Prepare and run images of one model; each gets its run or its error, unless its run was stopped."""
    ready = [job for job in batch if job.make()]
    if not ready:
        return
    runner, stop = ready[0].runner, ready[0].stop
    start = time.perf_counter()
    try:
        scores = runner(_stacked(ready), stop)
    except Exception as error:  # noqa: BLE001 (raised in the threads that wait for the images)
        _failed(ready, error, interrupted=stop is not None and isinstance(error, Stopped))
        return
    ran = time.perf_counter() - start
    runner.learn(ran + sum(job.prepared for job in ready), len(ready))
    for job, row in zip(ready, scores, strict=True):
        job.done(row, start, ran)


def _failed(jobs: Sequence[Job], error: Exception, *, interrupted: bool) -> None:
    if interrupted:
        for job in jobs:
            job.stop = None
        return
    if len(jobs) == 1 or not jobs[0].runner.split():
        for job in jobs:
            job.fail(error)
        return
    log.warning("A run of %s images failed; they are run one by one: %s", len(jobs), error)
    for job in jobs:
        compute([job])


def _stacked(jobs: Sequence[Job]) -> Array:
    tensors = [job.tensor for job in jobs if job.tensor is not None]
    return tensors[0][np.newaxis] if len(tensors) == 1 else np.stack(tensors)
