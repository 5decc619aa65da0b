"""Files and folders that are whole on the disk, or not there at all, whenever the power goes."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from predictor.errors import ModelConflict, StorageFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def storage_errors() -> Iterator[None]:
    """Translate what a disk says into what a caller may know.

    Raises:
        StorageFull: there is no room, or the folder cannot be written.
    """
    try:
        yield
    except TimeoutError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull("The disk is full; nothing was changed. Free space and try again.") from error
        raise StorageFull(
            "The service cannot write to the folder PREDICTOR_DATA; nothing was changed."
        ) from error


def atomic_write(path: Path, data: bytes) -> None:
    """Replace a file: a reader sees the old or the new content, and so does the next start.

    Only one process at a time may write a file. What it leaves if it dies is taken by the next one.

    Raises:
        StorageFull: there is no room; the old content stays. After any other outcome the new one is there.
    """
    fresh = path.with_name(f".{path.name}.new")
    with storage_errors():
        try:
            with fresh.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    # The new content is seen from here on: a failure to make the folder lasting must not deny it.
    with contextlib.suppress(OSError):
        sync(path.parent)


def move_folder(folder: Path, target: Path) -> None:
    """Give a folder its lasting place on the same file system, with all that it holds on the disk first.

    Raises:
        StorageFull: there is no room; the folder stays where it was.
    """
    with storage_errors():
        for path in (*folder.iterdir(), folder):
            sync(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
        sync(target.parent)


def sync(path: Path) -> None:
    """Have the disk hold what was written to a file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Remove a folder as well as can be; what stays is swept later."""
    shutil.rmtree(folder, ignore_errors=True)


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


@contextmanager
def alone(path: Path, busy: str, seconds: float = 0) -> Iterator[None]:
    """Hold the lock of a file in the data folder for what a request may ask for once at a time.

    Args:
        path: the lock's file.
        busy: what the caller is told while somebody else holds it.
        seconds: how long to wait for the lock.

    Raises:
        ModelConflict: somebody else held the lock all the time.
        StorageFull: the data folder cannot be used.
    """
    with contextlib.ExitStack() as held:
        try:
            with storage_errors():
                held.enter_context(locked(path, seconds))
        except TimeoutError as error:
            raise ModelConflict(busy) from error
        yield


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


class Staging:
    """The staging folders of the uploads that are in progress on this machine.

    Args:
        folder: where they lie.
        lock_path: the lock under which folders are made and removed, so that a new one is not removed.
    """

    def __init__(self, folder: Path, lock_path: Path) -> None:
        self._folder = folder
        self._lock_path = lock_path

    @contextmanager
    def new_folder(self) -> Iterator[Path]:
        """A new folder for an upload; it is gone at the end unless it was moved away.

        Raises:
            StorageFull: it cannot be made.
        """
        with storage_errors(), locked(self._lock_path):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = self._folder / secrets.token_hex(8)
            folder.mkdir(mode=0o700)
            held = hold(folder)
        try:
            yield folder
        finally:
            remove(folder)
            if held is not None:
                os.close(held)

    def remove_abandoned(self) -> None:
        """Remove what dead uploaders left; the caller holds the commit lock."""
        for folder in self._folder.glob("*"):
            if (held := hold(folder)) is not None:
                remove(folder)
                os.close(held)
