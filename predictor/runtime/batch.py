"""Pictures waiting for the same model run together.

There is no thread of its own and no delay: a request thread that finds a free slot becomes the
leader, takes whatever waits (up to the largest batch), runs it, and hands the slot to whoever
waits first. A picture whose turn has not come sleeps until its scores are there.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Run:
    """What came of one picture's run.

    Attributes:
        scores: shape [classes].
        queued: seconds it waited for its turn.
        ran: seconds that its batch ran.
    """

    scores: Array
    queued: float
    ran: float


class _Waiting:
    """One picture in the queue: first its tensor, then its run or the error of it."""

    def __init__(self, tensor: Array) -> None:
        self.tensor = tensor
        self.since = time.perf_counter()
        self.run: Run | None = None
        self.error: BaseException | None = None
        self.turn = threading.Event()


class Batcher:
    """Runs one model for many request threads.

    Args:
        run: takes a batch [n, ...] and gives scores [n, classes].
        largest: most pictures in one run.
        slots: runs at the same time.
        observe: told the size of each batch.
    """

    def __init__(
        self, run: Callable[[Array], Array], *, largest: int, slots: int, observe: Callable[[int], None]
    ) -> None:
        self._run = run
        self._largest = largest
        self._free = slots
        self._observe = observe
        self._queue: deque[_Waiting] = deque()
        self._lock = threading.Lock()

    def run(self, tensor: Array) -> Run:
        """Wait for a slot and run one picture, together with others that wait.

        Args:
            tensor: one picture without a batch axis.

        Raises:
            Internal: the run failed; every picture of that run gets the error.
        """
        waiting = _Waiting(tensor)
        if not self._enter(waiting):
            waiting.turn.wait()
        if waiting.run is None and waiting.error is None:
            self._lead()
        if waiting.run is None:
            raise waiting.error or AssertionError("a leader runs its own picture first")
        return waiting.run

    def _enter(self, waiting: _Waiting) -> bool:
        """Join the queue; True if a slot is free, and then it is the caller's."""
        with self._lock:
            self._queue.append(waiting)
            if self._free == 0:
                return False
            self._free -= 1
            return True

    def _lead(self) -> None:
        """Run what waits. Whoever leads stands first in the queue, so its own picture is in the batch."""
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(self._largest, len(self._queue)))]
        try:
            self._fill(batch)
        except Exception as error:  # noqa: BLE001 (raised by `run` in the thread of each picture)
            for waiting in batch:
                waiting.error = error
        finally:
            self._hand_over()
            for waiting in batch:
                waiting.turn.set()

    def _fill(self, batch: list[_Waiting]) -> None:
        self._observe(len(batch))
        start = time.perf_counter()
        scores = self._run(np.stack([waiting.tensor for waiting in batch]))
        ran = time.perf_counter() - start
        for waiting, row in zip(batch, scores, strict=True):
            waiting.run = Run(row, start - waiting.since, ran)

    def _hand_over(self) -> None:
        """Give the slot to the picture that waits first, or free it."""
        with self._lock:
            if self._queue:
                self._queue[0].turn.set()
            else:
                self._free += 1
