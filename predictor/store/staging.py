"""Where an upload lies until it is a version: a folder of its own on the store's file system.

The uploader holds the folder's lock; a folder whose uploader died is removed.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from predictor.store.atomic import remove, storage_errors
from predictor.store.lock import hold, locked


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
