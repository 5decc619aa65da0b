"""Pictures wait in one line; those that wait for the same model run together.

There is no thread of its own and no delay. A request's thread that is given a turn becomes a leader: it takes
its picture and whatever waits behind it for the same model, up to that model's largest batch, prepares them,
runs them, and passes its turn to whoever is first in the line by then. A thread whose picture is run by
another sleeps until its scores are there. So a core does one thing after the other, and the few things that
a picture needs of Python are done for several pictures while the processor's caches still hold them.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.runtime.turns import Turns

Array = npt.NDArray[Any]
Prepare = Callable[[], Array]
"""Makes a picture's tensor, without a batch axis; or raises why there is none."""

# How much of the measured time is replaced by each new measurement.
_LEARN = 0.1


@dataclass(frozen=True)
class Run:
    """What came of one picture's run.

    Attributes:
        scores: shape [classes].
        queued: seconds it waited for its turn, and for pictures that ran with it to be prepared.
        ran: seconds that its batch ran.
    """

    scores: Array
    queued: float
    ran: float


class Runner:
    """How one model is run.

    Args:
        run: takes a batch [n, ...] and gives scores [n, classes].
        largest: most pictures in one run.
        seconds: of a picture, as far as is known yet.
        observe: told the size of each batch.

    Attributes:
        seconds_per_image: to prepare and run a picture, lately.
    """

    def __init__(
        self, run: Callable[[Array], Array], *, largest: int, seconds: float, observe: Callable[[int], None]
    ) -> None:
        self.run = run
        self.largest = largest
        self.observe = observe
        self.seconds_per_image = seconds

    def learn(self, seconds: float) -> None:
        """Take note of what a picture took."""
        self.seconds_per_image += _LEARN * (seconds - self.seconds_per_image)


class _Waiting:
    """One picture in the line: first what makes its tensor, then its run or the error of it."""

    def __init__(self, runner: Runner, prepare: Prepare) -> None:
        self.runner = runner
        self.prepare = prepare
        self.since = time.perf_counter()
        self.prepared = 0.0
        self.tensor: Array | None = None
        self.run: Run | None = None
        self.error: BaseException | None = None
        # Held until this picture's thread has something to do: to lead, or to take its scores.
        self.sleep = threading.Lock()
        self.sleep.acquire()

    @property
    def done(self) -> bool:
        return self.run is not None or self.error is not None

    def make(self) -> bool:
        """Make the tensor; False if there is none."""
        start = time.perf_counter()
        try:
            self.tensor = self.prepare()
        except BaseException as error:  # noqa: BLE001 (raised in the picture's own thread)
            self.error = error
            return False
        self.prepared = time.perf_counter() - start
        return True


class Line:
    """The pictures that wait in this worker.

    Args:
        turns: who may compute at the same time.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()

    def run(self, runner: Runner, prepare: Prepare) -> Run:
        """Wait for a turn and run one picture, together with others that wait for the same model.

        Args:
            runner: the model.
            prepare: makes the picture's tensor when its turn has come, perhaps in another thread.

        Raises:
            Internal: the run failed; every picture of that run gets the error.
            Exception: what `prepare` raised.
        """
        picture = _Waiting(runner, prepare)
        if not self._lead_at_once(picture):
            picture.sleep.acquire()
        if not picture.done:
            self._lead(picture)
        run, error = picture.run, picture.error
        # An error whose frames hold the picture that holds it would stay until the collector comes by.
        del picture
        if run is None:
            raise error or AssertionError("whoever leads has a run or an error")
        return run

    def _lead_at_once(self, picture: _Waiting) -> bool:
        """Join the line; True if that gave this picture a turn."""
        with self._lock:
            self._waiting.append(picture)
            return self._give_turns(unless=picture)

    def _lead(self, first: _Waiting) -> None:
        """Run a picture and others with it, then pass the turn on."""
        batch = list[_Waiting]()
        try:
            batch = self._prepared(first)
            self._run(first.runner, batch)
        except BaseException as error:  # noqa: BLE001 (raised in the thread of each picture)
            for picture in batch or [first]:
                picture.error = picture.error or error
        finally:
            self._pass_on()
            for picture in batch:
                if picture is not first:
                    picture.sleep.release()
        if batch and batch[0].run is not None:
            seconds = batch[0].run.ran + sum(picture.prepared for picture in batch)
            first.runner.learn(seconds / len(batch))

    def _prepared(self, first: _Waiting) -> list[_Waiting]:
        """A batch: pictures that have a tensor. Those that have none get their error at once."""
        batch = list[_Waiting]()
        picture: _Waiting | None = first
        while picture is not None:
            if picture.make():
                batch.append(picture)
            elif picture is not first:
                picture.sleep.release()
            picture = self._next(first.runner) if len(batch) < first.runner.largest else None
        return batch

    def _next(self, runner: Runner) -> _Waiting | None:
        """Take the first picture out of the line that waits for a model."""
        with self._lock:
            for place, picture in enumerate(self._waiting):
                if picture.runner is runner:
                    del self._waiting[place]
                    return picture
        return None

    def _run(self, runner: Runner, batch: list[_Waiting]) -> None:
        if not batch:
            return
        runner.observe(len(batch))
        start = time.perf_counter()
        scores = runner.run(_stacked(batch))
        ran = time.perf_counter() - start
        for picture, row in zip(batch, scores, strict=True):
            picture.run = Run(row, start - picture.since - picture.prepared, ran)

    def _pass_on(self) -> None:
        """Give the turn to the picture that waits first, and more turns to others if there are any."""
        with self._lock:
            self._turns.give_back()
            self._give_turns()

    def _give_turns(self, unless: _Waiting | None = None) -> bool:
        """Have the first in the line lead while there are turns; whether `unless`, who is awake, does."""
        awake = False
        while self._waiting and self._turns.take():
            leader = self._waiting.popleft()
            if leader is unless:
                awake = True
            else:
                leader.sleep.release()
        return awake


def _stacked(batch: list[_Waiting]) -> Array:
    tensors = [picture.tensor for picture in batch if picture.tensor is not None]
    return tensors[0][np.newaxis] if len(tensors) == 1 else np.stack(tensors)
