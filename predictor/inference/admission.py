"""Which images a worker takes on, and which it gives up.

What cannot be answered in time is refused at once, so that the caller can go elsewhere and what was taken on
is not slowed down: the number of waiting images is bounded, and an image whose caller would have left, or
has left, does not run.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from predictor import shared
from predictor.config import Settings
from predictor.cores import cores
from predictor.errors import Overloaded, TooLate

# Shares of the places of all workers: from the first on the service says that it is not ready, and again that
# it is below the second. Between them it says what it said before, so that it does not waver.
_HIGH, _LOW = 0.75, 0.5
# Before this a client has hardly had the time to disconnect.
_DISCONNECT_SECONDS = 0.1


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Deadline:
    """Until when the answer to a request is wanted.

    Attributes:
        timeout: seconds from `since` on; None if the client waits as long as it takes.
        disconnected: whether the client has left already.
        since: when the request had come, by the monotonic clock.
    """

    timeout: float | None = None
    disconnected: Callable[[], bool] = _never
    since: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds that the client waits yet; infinite if it waits as long as it takes."""
        if self.timeout is None:
            return math.inf
        return max(0.0, self.timeout - (time.monotonic() - self.since))

    def still_wanted(self, seconds: float = 0.0) -> bool:
        """Whether the client still waits now, and in so many seconds."""
        waited = time.monotonic() - self.since
        if self.timeout is not None and waited + seconds > self.timeout:
            return False
        return waited < _DISCONNECT_SECONDS or not self.disconnected()


class Admission:
    """Counts the images that were accepted and not yet answered.

    Args:
        settings: how many may wait in a worker.
    """

    def __init__(self, settings: Settings) -> None:
        self._max_waiting = settings.max_queue
        self._share = settings.concurrency
        self._workers = settings.workers or cores()
        self._index = shared.worker_index()
        self._accepted = 0
        self._crowded = False
        self._lock = threading.Lock()
        self._tell(0)

    @contextmanager
    def reserve(self, images: int, seconds: float, deadline: Deadline) -> Iterator[None]:
        """Reserve places for a request's images; a worker on which none waits takes any number of them.

        Args:
            images: how many.
            seconds: what an image takes a core.
            deadline: until when the answer is wanted.

        Raises:
            Overloaded: too many images are waiting, or so many that the answer would come too late.
        """
        with self._lock:
            wait = self._accepted * seconds / self._share
            if self._accepted and self._accepted + images > self._max_waiting:
                raise Overloaded("Too many images are queued; try again.", retry_after=_whole_seconds(wait))
            if not deadline.still_wanted(wait):
                raise TooLate(
                    "The image would not run before its deadline.", retry_after=_whole_seconds(wait)
                )
            self._tell(self._accepted + images)
        try:
            yield
        finally:
            with self._lock:
                self._tell(self._accepted - images)

    @property
    def waiting(self) -> int:
        """How many images all workers together have accepted and not yet answered."""
        return sum(shared.waiting.of(self._workers))

    @property
    def crowded(self) -> bool:
        """Whether so many images wait in all workers together that new ones should go elsewhere."""
        share = self.waiting / (self._max_waiting * self._workers)
        self._crowded = share >= (_LOW if self._crowded else _HIGH)
        return self._crowded

    def _tell(self, accepted: int) -> None:
        self._accepted = accepted
        shared.waiting.set(self._index, accepted)


def _whole_seconds(seconds: float) -> int:
    return max(1, math.ceil(seconds))
