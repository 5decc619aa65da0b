"""Files and folders that are whole on the disk, or not there at all, whenever the power goes."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from predictor.errors import StorageFull

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
