"""A pause between changes of models, so that they slow requests down for a small part of the time only.

However far the load of a model stands back, it takes cache and memory bandwidth from the requests beside it.
Where models are uploaded one after the other while requests are answered, each waits until the machine had
some rest.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

# Rest, as a multiple of the time that the last change took, and the longest rest.
_SHARE, _MOST_SECONDS = 4.0, 3.0
# Requests a second from which on the machine counts as one that others wait for.
_BUSY = 10.0


class Rest:
    """Keeps the next change waiting, if the machine was busy since the last one.

    Args:
        path: file that tells the next one, in whichever process, about the last.
        answered: how many requests were answered so far.
        sleep: waits for some seconds.
    """

    def __init__(
        self, path: Path, answered: Callable[[], int], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._path = path
        self._answered = answered
        self._sleep = sleep

    def wait(self) -> None:
        """Rest, if that is due."""
        self._sleep(self._due())

    def took(self, seconds: float) -> None:
        """Take note of a change that has just been made, and took so long."""
        # Without the file, as on a full disk, there is no rest.
        with contextlib.suppress(OSError):
            self._path.write_text(f"{time.monotonic()} {seconds} {self._answered()}")

    def _due(self) -> float:
        """Seconds of rest that are left."""
        try:
            end, took, answered = map(float, self._path.read_text().split())
        except (OSError, ValueError):
            return 0.0
        passed = time.monotonic() - end
        # The clock is one for all processes, and begins anew with the machine.
        if passed <= 0 or (self._answered() - answered) / passed < _BUSY:
            return 0.0
        return max(0.0, min(_MOST_SECONDS, _SHARE * took) - passed)
