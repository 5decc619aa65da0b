"""What a change takes effect by: the stamp on this machine, and `OtherMachines` where there are others.

The stamp is a shared serial: two numbers in memory that all workers of a machine share. `live` is the number
of the change that serves: each request compares it with what its worker serves, which costs a memory read.
`preparing` is the number of the change that workers are to prepare; it equals `live` when there is none. The
durable truth is the store's state; the stamp only says when it takes effect.

`OtherMachines` is what a change of models needs of other machines; `predictor/cluster` provides it.
"""

import logging
import mmap
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from predictor.store.state import Name, State

_BYTES = 4096
_LIVE, _PREPARING = 0, 1
# No serial that was ever used is nearly as large.
_DAMAGED = 2**62

log = logging.getLogger(__name__)

Decide = Callable[[], None]
"""Called once, when all workers are ready: returns if the change is to take effect, and raises if not."""


class Stamp:
    """The two numbers; a write to one of them is a single store of a machine word.

    Args:
        path: the file behind the memory. Without room for it, or for None, the numbers are this process's
            own, and no other process can change them.
    """

    def __init__(self, path: Path | None) -> None:
        try:
            memory = mmap.mmap(-1, _BYTES) if path is None else _shared(path)
            self.shared = path is not None
        except OSError as error:
            log.error(
                "No model can be changed: the store's version counter cannot be opened: %s", error.strerror
            )
            memory = mmap.mmap(-1, _BYTES)
            self.shared = False
        self._numbers = memoryview(memory).cast("Q")
        if max(self.live, self.preparing) >= _DAMAGED:
            log.error("The store's version counter is damaged and starts again")
            self.commit(0)

    @property
    def live(self) -> int:
        """The number of the change that serves."""
        return self._numbers[_LIVE]

    @property
    def preparing(self) -> int:
        """The number of the change that is to be prepared, or that of the one that serves."""
        return self._numbers[_PREPARING]

    def prepare(self, serial: int) -> None:
        """Have every worker prepare a change."""
        self._numbers[_PREPARING] = serial

    def commit(self, serial: int) -> None:
        """Have every worker serve a change, from its next request on."""
        self._numbers[_LIVE] = serial
        self._numbers[_PREPARING] = serial


def _shared(path: Path) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Room beforehand: a write to mapped memory for which the disk has none ends the process.
        os.posix_fallocate(descriptor, 0, _BYTES)
        return mmap.mmap(descriptor, _BYTES)
    finally:
        os.close(descriptor)


def here() -> None:
    """Decide for this machine alone."""


class OtherMachines(Protocol):
    """The other machines, which change together with this one or not at all."""

    def turn(self, seconds: float) -> None:
        """Wait until no other machine makes a change.

        Raises:
            ModelConflict: one still does after so many seconds.
            StorageFull: the other machines cannot be told of a change.
        """

    def current(self, state: State) -> State:
        """The state, once it is what all machines agreed on last; the caller is the only coordinator.

        Raises:
            ModelConflict, StorageFull: as for `turn`.
        """

    def supply(self, name: str, version: int) -> None:
        """Have the files of a version here, if they have not come yet.

        Raises:
            NotReady, StorageFull: they are missing elsewhere, too, or cannot be had now.
        """

    def announced(self, state: State, name: str, after: Name | None) -> AbstractContextManager[Decide]:
        """Announce a change to all machines; they serve it at the end of the block.

        An error in the block aborts it everywhere, unless it was decided.
        """
