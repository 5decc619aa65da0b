"""Where an upload lies until it is a version: a folder of its own on the store's file system.

The uploader holds the folder's lock; a folder whose uploader died is swept away.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from predictor.store.atomic import remove, storing
from predictor.store.lock import hold, locked


class Incoming:
    """The uploads that are under way on this machine.

    Args:
        folder: where they lie.
        gate: the lock under which folders are made and swept, so that a new one is not taken for an old.
    """

    def __init__(self, folder: Path, gate: Path) -> None:
        self._folder = folder
        self._gate = gate

    @contextmanager
    def receiving(self) -> Iterator[Path]:
        """A new folder for an upload; it is gone at the end unless it was moved away.

        Raises:
            StorageFull: it cannot be made.
        """
        with storing(), locked(self._gate):
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

    def sweep(self) -> None:
        """Remove what dead uploaders left; to be called under the gate."""
        for folder in self._folder.glob("*"):
            if (held := hold(folder)) is not None:
                remove(folder)
                os.close(held)
