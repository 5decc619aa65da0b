"""How long something has been at work, without the time for which it waited for a processor.

On a busy machine a second of work may take a minute by the clock. What is limited is the work: the time on a
processor, and the time asleep, for a call that never returns need not compute.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

# The most that counts between two looks: if nobody looked for longer, this process had no processor either.
_MAX_SECONDS = 1.0
_RUNNABLE = "R"


class Stopwatch:
    """Counts the seconds of a process or thread; to be looked at several times a second.

    Args:
        path: its file `stat` of proc(5).
        clock: seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._seconds = 0.0
        self._last: tuple[float, float] | None = None

    def seconds(self) -> float:
        """Seconds of work since the first look.

        What it did since the last look is judged by its present state: if it wants a processor, the time for
        which it had one counts, else all of the time that has passed.
        """
        now, (state, had) = self._clock(), self._read()
        if self._last is not None:
            passed = min(_MAX_SECONDS, now - self._last[0])
            self._seconds += min(passed, had - self._last[1]) if state == _RUNNABLE else passed
        self._last = now, had
        return self._seconds

    def _read(self) -> tuple[str, float]:
        """The state, and the seconds of processor so far; of what has ended, no state."""
        try:
            fields = self._path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            return "", 0.0
        return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def of_process(process: int) -> Stopwatch:
    """Of a process that is not reaped; its state is that of its first thread."""
    return Stopwatch(Path(f"/proc/{process}/stat"))


def of_this_thread() -> Stopwatch:
    """Of the thread that calls this, for other threads to look at."""
    return Stopwatch(Path(f"/proc/self/task/{threading.get_native_id()}/stat"))
