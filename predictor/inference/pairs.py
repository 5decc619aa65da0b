"""Whether a model is run on two images at a time, which its first runs say."""

from collections import deque
from statistics import median

# Of the medians of 20 runs beside 32 connections up to 11 % miss the 4 % that pairs save; of 60, 2 %; of 100,
# none. The best runs say nothing there: 33 to 96 %.
_TRIALS = 60
_WORTH = 0.975
# Images that wait for a run of one and then for a run of two wait longer than for two of either size.
_IN_A_ROW = 10


class Pairs:
    """Learns from the first runs whether two images in one run take less of the processor than two runs.

    On a CPU larger batches gain nothing more, and hold memory for good. Two do if they save 2.5 %: their
    answers come by twos, which p99 pays for. What counts is the thread's own time, of the latest runs: where
    images wait, ten runs of one size are followed by ten of the other, so that what else the machine does
    falls on both.
    """

    def __init__(self) -> None:
        self._seconds = deque[float](maxlen=_TRIALS), deque[float](maxlen=_TRIALS)
        self._tried, self._left = 1, _IN_A_ROW
        self._decided = 0

    @property
    def max_batch(self) -> int:
        """Most images in the next run; until it is decided, the size that is tried."""
        return self._decided or self._tried

    def note(self, images: int, seconds: float) -> None:
        """Take note of a run of one image or two; once it is decided nothing changes any more."""
        if self._decided:
            return
        self._seconds[images - 1].append(seconds / images)
        self._left -= images == self._tried
        if self._left <= 0:
            self._tried, self._left = 3 - self._tried, _IN_A_ROW
        alone, together = self._seconds
        if len(alone) == len(together) == _TRIALS:
            self._decided = 2 if median(together) < _WORTH * median(alone) else 1

    def refuse(self) -> None:
        """Run one image at a time from now on: two failed."""
        self._decided = 1
