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

from predictor.afterwards import when_answered
from predictor.errors import Internal
from predictor.runtime.turns import Turns

Array = npt.NDArray[Any]
Prepare = Callable[[], list[Array]]
"""Makes the tensors of one or several pictures, without a batch axis; or raises why there is none."""

# How much of the measured time is replaced by each new measurement.
_LEARN = 0.1


@dataclass(frozen=True)
class Run:
    """What came of the run of one thread's pictures.

    Attributes:
        scores: shape [pictures, classes].
        queued: seconds they waited for their turn, and for others that ran with them to be prepared.
        ran: seconds that their batch ran.
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
        fixed: whether a run costs the same however few pictures it has.

    Attributes:
        seconds_per_image: to prepare and run a picture, lately.
    """

    def __init__(
        self,
        run: Callable[[Array], Array],
        *,
        largest: int,
        seconds: float,
        observe: Callable[[int], None],
        fixed: bool = False,
    ) -> None:
        self.run = run
        self.largest = largest
        self.fixed = fixed
        self.observe = observe
        self.seconds_per_image = seconds

    def learn(self, seconds: float) -> None:
        """Take note of what a picture took."""
        self.seconds_per_image += _LEARN * (seconds - self.seconds_per_image)


class _Waiting:
    """Pictures with which one thread waits, mostly one: what makes their tensors, then their run or error."""

    def __init__(self, runner: Runner, prepare: Prepare, most: int) -> None:
        self.runner = runner
        self.prepare = prepare
        self.most = most
        self.since = time.perf_counter()
        self.prepared = 0.0
        self.tensors: list[Array] = []
        self.run: Run | None = None
        self.error: BaseException | None = None
        # Held until the thread has something to do: to lead, or to take its scores.
        self.sleep = threading.Lock()
        self.sleep.acquire()

    @property
    def done(self) -> bool:
        return self.run is not None or self.error is not None

    def make(self) -> bool:
        """Make the tensors; False if there are none."""
        start = time.perf_counter()
        try:
            self.tensors = self.prepare()
        except BaseException as error:  # noqa: BLE001 (raised in the pictures' own thread)
            self.error = error
            return False
        self.prepared = time.perf_counter() - start
        return True


class Line:
    """The pictures that wait in this worker.

    Args:
        turns: who may compute at the same time.
        courtesy: seconds for which whoever leads next lets the one before send its answer. Both want the same
            core, and an answer of some hundred microseconds would else wait for milliseconds of computing.
    """

    def __init__(self, turns: Turns, courtesy: float = 0.0) -> None:
        self._turns = turns
        self._courtesy = courtesy
        self._answering = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()

    def run(self, runner: Runner, prepare: Prepare, most: int = 1) -> Run:
        """Wait for a turn and run pictures, together with others that wait for the same model.

        Args:
            runner: the model.
            prepare: makes the pictures' tensors when their turn has come, perhaps in another thread.
            most: how many tensors it makes at most; no more than the model's largest batch.

        Raises:
            Internal: the run failed; every picture of that run gets the error.
            Exception: what `prepare` raised.
        """
        entry = _Waiting(runner, prepare, most)
        if not self._lead_at_once(entry):
            entry.sleep.acquire()
        if not entry.done:
            self._lead(entry)
        run, error = entry.run, entry.error
        # An error whose frames hold the entry that holds it would stay until the collector comes by.
        del entry
        if run is None:
            raise error or AssertionError("whoever leads has a run or an error")
        return run

    def _lead_at_once(self, entry: _Waiting) -> bool:
        """Join the line; True if that gave a turn."""
        with self._lock:
            self._waiting.append(entry)
            return self._give_turns(unless=entry)

    def _lead(self, first: _Waiting) -> None:
        """Run pictures and others with them, then pass the turn on."""
        batch = list[_Waiting]()
        # Who comes while an answer is sent waits for another turn: a larger batch takes longer for all in it.
        taken = self._taken(first.runner, [first])
        self._let_answer()
        answering = threading.Lock()
        answering.acquire()
        try:
            batch = self._prepared(first, taken)
            self._run(first.runner, batch)
        except BaseException as error:  # noqa: BLE001 (raised in the thread of each picture)
            for entry in batch or [first]:
                entry.error = entry.error or error
        finally:
            self._answering = answering
            for entry in batch:
                if entry is not first:
                    entry.sleep.release()
            self._pass_on()
        when_answered(answering.release)
        if batch and batch[0].run is not None:
            seconds = batch[0].run.ran + sum(entry.prepared for entry in batch)
            first.runner.learn(seconds / _pictures(batch))

    def _let_answer(self) -> None:
        """Wait until whoever led before has sent its answer; but not for long, it may never do so."""
        answering = self._answering
        if answering.acquire(timeout=self._courtesy):
            answering.release()

    def _taken(self, runner: Runner, taken: list[_Waiting]) -> list[_Waiting]:
        """What is taken already, and what waits behind it and fits."""
        while room := runner.largest - sum(entry.most for entry in taken):
            if room < 0 or (entry := self._next(runner, room)) is None:
                break
            taken.append(entry)
        return taken

    def _prepared(self, first: _Waiting, taken: list[_Waiting]) -> list[_Waiting]:
        """A batch: pictures that have a tensor. Those that have none get their error, others their place."""
        batch, wanted = list[_Waiting](), sum(entry.most for entry in taken)
        while taken:
            entry = taken.pop(0)
            if entry.make():
                batch.append(entry)
            elif entry is not first:
                entry.sleep.release()
            room = wanted - _pictures(batch) - sum(waiting.most for waiting in taken)
            if room > 0 and (more := self._next(first.runner, room)):
                taken.append(more)
        return batch

    def _next(self, runner: Runner, room: int) -> _Waiting | None:
        """Take out of the line what waits first for a model, and is not more than there is room for."""
        with self._lock:
            for place, entry in enumerate(self._waiting):
                if entry.runner is runner and entry.most <= room:
                    del self._waiting[place]
                    return entry
        return None

    def _run(self, runner: Runner, batch: list[_Waiting]) -> None:
        if not batch:
            return
        runner.observe(_pictures(batch))
        start = time.perf_counter()
        scores = runner.run(_stacked(batch))
        ran = time.perf_counter() - start
        if len(scores) != _pictures(batch):
            raise Internal("The model gave another number of answers than it was given pictures.")
        done = 0
        for entry in batch:
            own = scores[done : done + len(entry.tensors)]
            entry.run = Run(own, start - entry.since - entry.prepared, ran)
            done += len(own)

    def _pass_on(self) -> None:
        """Give the turn to who waits first, and more turns to others if there are any."""
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


def _pictures(batch: list[_Waiting]) -> int:
    return sum(len(entry.tensors) for entry in batch)


def _stacked(batch: list[_Waiting]) -> Array:
    tensors = [tensor for entry in batch for tensor in entry.tensors]
    return tensors[0][np.newaxis] if len(tensors) == 1 else np.stack(tensors)
