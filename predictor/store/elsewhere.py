"""What a change of models needs of other machines; `predictor/cluster` provides it where there are any."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from predictor.store.state import Name, State

Decide = Callable[[], None]
"""Called once, when all workers are ready: returns if the change is to take effect, and raises if not."""


def here() -> None:
    """Decide for this machine alone."""


class Elsewhere(Protocol):
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
