"""File locks between the workers of a machine. The only user of fcntl.

The kernel frees a lock when its holder dies, and it is not inherited by programs that the holder starts,
since Python opens files close-on-exec.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.02


@contextmanager
def locked(path: Path, seconds: float | None = None) -> Iterator[None]:
    """Hold the exclusive lock of a file, which is created if it is missing.

    Args:
        path: the lock's file; it stays behind, empty.
        seconds: how long to wait for the lock; None waits for ever.

    Raises:
        TimeoutError: somebody else held the lock all the time.
        OSError: the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor, seconds)
        yield
    finally:
        os.close(descriptor)


def hold(path: Path) -> int | None:
    """Take the lock of a file or folder that is there, and keep it until the descriptor is closed.

    Returns:
        The descriptor; None if somebody else holds the lock, or if nothing is there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _take(descriptor: int, seconds: float | None) -> None:
    if seconds is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError from None
            time.sleep(_POLL_SECONDS)
        else:
            return
