"""Images wait in one queue; compute threads take them, and run those of one model together.

Nothing waits for a batch to fill: a compute thread that becomes free takes what is there by then. On the CPU
it prepares its images and runs them, so that a core does one thing after the other. On a GPU other threads
prepare images while one thread runs those that are ready.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.errors import Internal, PredictorError
from predictor.inference.compute_slots import ComputeSlots

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
    """

    value: Any
    queued: float
    ran: float


class Runner:
    """How one model is run.

    Args:
        run: takes a batch [n, ...] and gives scores [n, classes].
        max_batch: most images in one run.
        seconds: of an image, as far as is known yet.
        observe: told the size of each batch.

    Attributes:
        max_batch: most images in one run.
        seconds_per_image: to prepare and run an image, lately.
    """

    def __init__(
        self, run: Callable[[Array], Array], *, max_batch: int, seconds: float, observe: Callable[[int], None]
    ) -> None:
        self._run = run
        self._observe = observe
        self.max_batch = max_batch
        self.seconds_per_image = seconds

    def __call__(self, batch: Array) -> Array:
        """Run a batch.

        Raises:
            Internal: the run failed, or gave another number of scores than it was given images.
        """
        self._observe(len(batch))
        scores = self._run(batch)
        if len(scores) != len(batch):
            raise Internal(f"The model returned {len(scores)} results for {len(batch)} images.")
        return scores

    def learn(self, seconds: float) -> None:
        """Take note of what an image took."""
        self.seconds_per_image += _LEARN * (seconds - self.seconds_per_image)


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
    """

    runner: Runner
    prepare: Prepare
    finish: Finish
    check: Check = _needed
    future: "Future[Run]" = field(default_factory=Future)
    tensor: Array | None = None
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
            run = Run(self.finish(scores), start - self.since - self.prepared, ran)
        except Exception as error:  # noqa: BLE001 (raised in the thread that waits for the image)
            self.fail(error)
        else:
            self.future.set_result(run)

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

    def fail(self, error: Exception) -> None:
        """Give an error to who waits, without its frames: they would keep the image's bytes in memory."""
        if not isinstance(error, PredictorError):
            log.error("An image failed", exc_info=error)
            error = Internal("The service failed on this image; its log has the reason.")
        self.future.set_exception(error.with_traceback(None))


class Batcher:
    """The images that wait in this worker, and the threads that compute them.

    Args:
        slots: how many of the threads may compute at the same time.
        threads: how many there are.
        preparers: threads that prepare images ahead of their run; with none, the thread that runs an image
            prepares it.
    """

    def __init__(self, slots: ComputeSlots, threads: int, preparers: int = 0) -> None:
        self._slots = slots
        self._queue: deque[Job] = deque()
        self._ready = threading.Condition()
        # Slots that were taken for threads which have not taken an image yet.
        self._granted = 0
        self._closed = False
        self._preparers = ThreadPoolExecutor(preparers, "prepare") if preparers else None
        for number in range(threads):
            threading.Thread(target=self._work, name=f"compute-{number}", daemon=True).start()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Have images prepared and run, together with others that wait for the same model."""
        if self._preparers:
            for job in jobs:
                self._preparers.submit(self._prepare, job)
        else:
            self._put(jobs)

    def close(self) -> None:
        """End the threads; what waits is not run any more."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        if self._preparers:
            self._preparers.shutdown(wait=False)

    def _prepare(self, job: Job) -> None:
        if job.make():
            self._put([job])

    def _put(self, jobs: Sequence[Job]) -> None:
        with self._ready:
            self._queue.extend(jobs)
            self._grant()

    def _grant(self) -> None:
        """Wake threads while there are images for them and free slots."""
        while len(self._queue) > self._granted and self._slots.take():
            self._granted += 1
            self._ready.notify()

    def _work(self) -> None:
        batch = self._next()
        while batch:
            _compute(batch)
            # The last images must not stay in memory until others come.
            batch = []
            batch = self._next(holding=True)

    def _next(self, *, holding: bool = False) -> list[Job]:
        """Wait for a slot and images; none once the batcher is closed.

        Args:
            holding: whether this thread has a slot, which it gives back.
        """
        with self._ready:
            if holding:
                self._slots.give_back()
                # This thread goes on where it can; to wake another for that would cost a core twice.
                if len(self._queue) > self._granted and self._slots.take():
                    self._granted += 1
                self._grant()
            while self._ready.wait_for(lambda: self._granted or self._closed) and not self._closed:
                self._granted -= 1
                if batch := self._taken():
                    return batch
                self._slots.give_back()
        return []

    def _taken(self) -> list[Job]:
        """The image that waits first, and others for its model; each thread that was woken keeps one."""
        if not self._queue:
            return []
        runner = self._queue[0].runner
        room = min(runner.max_batch, max(1, len(self._queue) - self._granted))
        batch, rest = list[Job](), deque[Job]()
        for job in self._queue:
            (batch if job.runner is runner and len(batch) < room else rest).append(job)
        self._queue = rest
        return batch


def _compute(batch: Sequence[Job]) -> None:
    """Prepare and run images of one model; each gets its run or its error."""
    ready = [job for job in batch if job.make()]
    if not ready:
        return
    runner = ready[0].runner
    start = time.perf_counter()
    try:
        scores = runner(_stacked(ready))
    except Exception as error:  # noqa: BLE001 (raised in the threads that wait for the images)
        for job in ready:
            job.fail(error)
        return
    ran = time.perf_counter() - start
    runner.learn((ran + sum(job.prepared for job in ready)) / len(ready))
    for job, row in zip(ready, scores, strict=True):
        job.done(row, start, ran)


def _stacked(jobs: Sequence[Job]) -> Array:
    tensors = [job.tensor for job in jobs if job.tensor is not None]
    return tensors[0][np.newaxis] if len(tensors) == 1 else np.stack(tensors)
