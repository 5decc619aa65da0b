"""A thread waits to be told that it is its turn, and wakes on the core of the thread that tells it.

Both have one interpreter lock, so the second can run only once the first waits for its client and leaves its
core. Linux often woke it on the core of another worker's run instead, where it waited while its own core was
idle: in half of all starts cores were idle for 5 to 10 % of the time at 32 connections, and are now for 2 %.
"""

import contextlib
import ctypes
import os
import threading
from queue import SimpleQueue

_core = getattr(ctypes.CDLL(None), "sched_getcpu", None)


def wake_here(thread: int) -> set[int]:
    """Have another thread of this process run on the core of this one alone.

    Args:
        thread: its native id.

    Returns:
        The cores that it may run on otherwise; none if it was left where it is.
    """
    if _core is None:
        return set()
    core = _core()
    try:
        cores = os.sched_getaffinity(thread)
        if core not in cores:
            return set()
        os.sched_setaffinity(thread, {core})
    except OSError:
        return set()
    return cores


class Turn:
    """Where this thread waits until it is its turn, or there is nothing left to do for it."""

    def __init__(self) -> None:
        self._told = SimpleQueue[bool]()
        self._thread = threading.get_native_id()
        self._cores = set[int]()

    def wait(self) -> bool:
        """What the thread is told; from then on it may run on all its cores."""
        told = self._told.get()
        if self._cores:
            # Whoever takes away a core meanwhile has said which ones are left.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, self._cores)
        return told

    def tell(self, *, run: bool, here: bool = True) -> None:
        """Wake the thread.

        Args:
            run: whether it shall run images.
            here: whether it is to wake on this thread's core, which this thread leaves soon.
        """
        if here and threading.get_native_id() != self._thread:
            # Read now, not as the thread began to wait: somebody may have set others since.
            self._cores = wake_here(self._thread)
        self._told.put(run)
