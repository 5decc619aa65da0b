"""Brings the models of this machine to what a change of all machines says: files, workers, state."""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from predictor.cluster.arrivals import Arrivals, digest_of
from predictor.cluster.blobs import Blobs
from predictor.cluster.golden import SharedGolden
from predictor.cluster.log import Change
from predictor.cluster.replaced import keep, named
from predictor.cluster.wanted import Wanted
from predictor.errors import ModelConflict, NotReady
from predictor.store.commit import ModelTransactions
from predictor.store.files import atomic_write
from predictor.store.registry import ModelVersion, Registry
from predictor.store.stamp import Decide, here
from predictor.store.state import Name, State

POSITION = "cluster.json"
"""The file in the data folder that holds the last change of all machines that this machine serves."""

log = logging.getLogger(__name__)


class LocalModels:
    """The models of this machine, as one of many.

    Args:
        transactions: changes of live versions on this machine.
        blobs: files in the bucket.
        prepare: called with each version before workers load it, while its files lie in a folder of its own.
    """

    def __init__(
        self,
        transactions: ModelTransactions,
        blobs: Blobs,
        prepare: Callable[[ModelVersion], None] = lambda _: None,
    ) -> None:
        self._transactions = transactions
        self._registry: Registry = transactions.registry
        self._registry.shared = True
        self._blobs = blobs
        self._golden = SharedGolden(self._registry.golden, transactions.staging, blobs)
        self._wanted = Wanted(self._registry, self._golden)
        self._arrivals = Arrivals(transactions, blobs, prepare)
        self._path = self._registry.data / POSITION

    def position(self) -> Change | None:
        """The last change of all machines that this machine serves; None if it has served none."""
        try:
            return Change.from_bytes(self._path.read_bytes())
        except (OSError, NotReady):
            return None

    @contextmanager
    def unmoved(self, position: Change | None) -> Iterator[None]:
        """Be the only coordinator, while this machine still serves a change.

        Raises:
            ModelConflict: another worker changes the models, or has changed them meanwhile.
        """
        with self._transactions.exclusive(0):
            found = self.position()
            if (found and found.token) != (position and position.token):
                raise ModelConflict("The models were changed meanwhile.")
            yield

    def move_to(self, change: Change) -> None:
        """Note that this machine serves a change.

        Raises:
            StorageFull: there is no room.
        """
        atomic_write(self._path, change.to_bytes())

    def own(self) -> Change:
        """The state of this machine as it is, before any change of all machines."""
        state = self._registry.read()
        versions = self._wanted.versions(state.names)
        found = {f"{name}/{one}": digest_of(self._registry.folder(name, one)) for name, one in versions}
        return Change(0, self.shared_names(state), {key: known for key, known in found.items() if known})

    def keep_own(self, found: Change, had: Callable[[Change], bool]) -> None:
        """Keep models of this machine alone, whose place a change takes; the caller holds `unmoved`.

        Args:
            found: the change.
            had: whether its log has had another change (`ChangeLog.had`).

        Raises:
            Unavailable: the store does not answer.
            StorageFull: there is no room.
        """
        own, position = self.own(), self.position()
        if position is not None:
            # Golden images of a former release are not replaced: all machines get them (`news`).
            own = dataclasses.replace(own, names=self._registry.read().names)
        if named(own, found):
            return
        # What is of another log, or of no log yet, no machine has besides this one.
        if position is not None and named(own, found, position) and had(position):
            return
        keep(self._registry, self._transactions.staging, own)

    def shared_names(self, state: State) -> Mapping[str, Name]:
        """What other machines are to know of a state: all but the deaths of workers."""
        return {
            name: dataclasses.replace(known, deaths=(), golden=known.golden or self._golden.former(name))
            for name, known in state.names.items()
        }

    def change_to(self, state: State, before: Change, author: str, name: str = "") -> Change:
        """The change after another one; its files are in the bucket before anything names them.

        Args:
            state: what the models are to be.
            before: the change before; its files are in the bucket, if it has a number.
            author: this machine.
            name: the model that it is about.

        Raises:
            Unavailable: the store does not answer.
            NotReady: files are neither here nor in the bucket.
        """
        known = before if before.serial else Change(0, {}, {})
        names = self.shared_names(state)
        self._golden.publish(names, known.names)
        return before.followed(names, self._manifests(state, known.manifests), author, name)

    def _manifests(self, state: State, known: Mapping[str, str]) -> dict[str, str]:
        """The digests of the manifests of a state's versions; files that are not known yet are uploaded."""
        found = {}
        for name, version in self._wanted.versions(state.names):
            key, folder = f"{name}/{version}", self._registry.folder(name, version)
            own = digest_of(folder)
            if own is None and key not in known:
                raise NotReady(f"The files of version {version} of {name} are missing on this machine.")
            found[key] = known[key] if own in {None, known.get(key)} else self._blobs.publish(folder)
        return found

    def sweep(self, change: Change, present: float) -> None:
        """Remove files from the bucket that a change does not name; `present` is the store's time.

        A machine that lacks a version removes nothing: it cannot know which files that version names.
        """
        if self.absent(change) or not self.serves(change):
            return
        folders = [
            self._registry.folder(name, version) for name, version in self._wanted.versions(change.names)
        ]
        if (golden := self._golden.digests(change.names)) is not None:
            self._blobs.sweep(folders, golden, present)

    def fetch(self, change: Change, between: Callable[[], None] = lambda: None) -> None:
        """Download what `bring` will need, while models may still be changed.

        Raises:
            Unavailable, NotReady, StorageFull: as for `bring`.
        """
        for name, version in self._wanted.lacking(change, live=True):
            self._arrivals.fetch(name, change.manifests[f"{name}/{version}"], between)

    def supply(
        self, change: Change, name: str, version: int, between: Callable[[], None] = lambda: None
    ) -> None:
        """Have the files of a version here that does not serve, if a change and the state name it.

        Args:
            change: it says what the files are.
            name: of the model.
            version: its number.
            between: called between parts of the files; what it raises ends the attempt.

        Raises:
            Unavailable, NotReady, StorageFull: as for `bring`.
        """
        manifest, folder = change.manifests.get(f"{name}/{version}"), self._registry.folder(name, version)
        known = self._registry.read().names.get(name, Name())
        if manifest and version in known.versions and digest_of(folder) != manifest:
            self._arrivals.fetch(name, manifest, between)
            self._arrivals.place(manifest, folder)

    def bring(self, change: Change, decide: Decide = here) -> State:
        """Make the models of this machine those of a change; the caller holds `exclusive`.

        The files of versions that do not serve come later (`absent`).

        Args:
            change: it says what the models are to be.
            decide: called once, when everything is ready to be served.

        Returns:
            The state of this machine.

        Raises:
            Unavailable: the store does not answer.
            InvalidModel, NotReady: a worker cannot serve it, or a file is missing in the store.
            StorageFull: there is no room.
        """
        self.fetch(change)
        state, wanted = self._registry.read(), self._wanted.names(change)
        self._golden.fetch(wanted)
        fetched = set[str]()
        for name, version in self._wanted.lacking(change, live=True):
            key = f"{name}/{version}"
            self._arrivals.place(change.manifests[key], self._registry.folder(name, version))
            fetched.add(key)
        self._arrivals.forget(change.manifests.values())
        stale = self._wanted.lacking(change, live=False)
        turned = [name for name in {**state.names, **wanted} if _turns(name, state, wanted, fetched)]
        for number, name in enumerate(turned):
            first = decide if number == 0 else here
            self._transactions.commit(self._registry.read(), name, wanted.get(name), first)
        if not turned:
            decide()
        # What is damaged, or of other models, is no file of a version.
        for name, version in stale:
            self._registry.remove(name, {version})
        state = self._registry.read()
        if state.names != wanted:
            state = dataclasses.replace(state, names=wanted)
            self._registry.write(state)
        self._registry.remove_unknown(state)
        self._golden.replace_former(wanted, joined=change.serial > 0 and self.position() is None)
        return state

    def serves(self, change: Change) -> bool:
        """Whether this machine knows all that it is to know, and has the files that serve."""
        known = self._registry.read().names == self._wanted.names(change)
        return known and not self._wanted.lacking(change, live=True)

    def absent(self, change: Change) -> list[tuple[str, int]]:
        """The versions that do not serve and have not come yet, of a change that this machine serves."""
        return self._wanted.lacking(change, live=False)

    def news(self, change: Change) -> str | None:
        """A name of which this machine knows what the others are to know (`Wanted.news`)."""
        return self._wanted.news(change)


def _turns(name: str, state: State, wanted: Mapping[str, Name], fetched: set[str]) -> bool:
    """Whether workers are to serve something else of a name."""
    before, after = state.names.get(name), wanted.get(name)
    if before is None or after is None:
        return (before or after or Name()).live is not None or after is None
    return before.live != after.live or f"{name}/{after.live}" in fetched
