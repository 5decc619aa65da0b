"""Versions on their way from the bucket to their places on this machine.

What has come stays when an attempt fails, so that the next one goes on from there: a machine with many models
catches up over a store that refuses a request now and then.
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from predictor.cluster.blobs import Blobs
from predictor.errors import NotReady
from predictor.model_files import MODEL
from predictor.store.commit import ModelTransactions
from predictor.store.files import move_folder, remove, storage_errors, sync
from predictor.store.manifest import MANIFEST, digest
from predictor.store.registry import ModelVersion


@dataclass
class _Arrival:
    """A folder that is filled, by one thread at a time, and kept until the version has its place."""

    folder: Path
    held: ExitStack
    lock: threading.Lock = field(default_factory=threading.Lock)
    whole: bool = False


class Arrivals:
    """The versions that this process downloads.

    Args:
        transactions: of this machine.
        blobs: files in the bucket.
        prepare: called with each version before it has its place.
    """

    def __init__(
        self, transactions: ModelTransactions, blobs: Blobs, prepare: Callable[[ModelVersion], None]
    ) -> None:
        self._transactions = transactions
        self._blobs = blobs
        self._prepare = prepare
        self._lock = threading.Lock()
        self._found: dict[str, _Arrival] = {}

    def fetch(self, name: str, wanted: str, between: Callable[[], None] = lambda: None) -> None:
        """Download a version, as far as that was not done.

        Args:
            name: the model's.
            wanted: the digest of the version's manifest.
            between: called between the parts of each file; what it raises ends the attempt.

        Raises:
            Unavailable: the store does not answer.
            NotReady: a file is missing in the store.
            StorageFull: there is no room.
        """
        arrival = self._arrival(wanted)
        with arrival.lock:
            if not arrival.whole:
                manifest = self._blobs.fetch(wanted, arrival.folder, between)
                self._prepare(ModelVersion(name, 0, arrival.folder / MODEL, manifest.digest, manifest))
                # On the disk now, so that to give it its place takes a moment.
                with storage_errors():
                    for path in arrival.folder.iterdir():
                        sync(path)
                arrival.whole = True

    def place(self, wanted: str, target: Path) -> None:
        """Give a version that was fetched its place, unless another thread did; none is changed meanwhile."""
        arrival = self._found.get(wanted)
        if arrival is None:
            return
        with arrival.lock:
            if self._found.get(wanted) is arrival:
                with self._transactions.commit_lock():
                    remove(target)
                    move_folder(arrival.folder, target)
                self._found.pop(wanted).held.close()

    def forget(self, wanted: Iterable[str]) -> None:
        """Drop what is on its way but not wanted any more."""
        with self._lock:
            for one in self._found.keys() - set(wanted):
                if not self._found[one].lock.locked():
                    self._found.pop(one).held.close()

    def _arrival(self, wanted: str) -> _Arrival:
        with self._lock:
            if wanted not in self._found:
                held = ExitStack()
                folder = held.enter_context(self._transactions.staging.new_folder())
                self._found[wanted] = _Arrival(folder, held)
            return self._found[wanted]


def digest_of(folder: Path) -> str | None:
    """The digest of a version's manifest; None if the folder has no manifest."""
    try:
        return digest(folder / MANIFEST)
    except NotReady:
        return None
