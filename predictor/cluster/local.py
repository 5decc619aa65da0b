"""Brings the models of this machine to what a change of all machines says: files, workers, state."""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from predictor.cluster.blobs import Blobs
from predictor.cluster.golden import SharedGolden
from predictor.cluster.log import Change
from predictor.errors import ModelConflict, NotReady
from predictor.store.commit import ModelTransactions
from predictor.store.elsewhere import Decide, here
from predictor.store.files import atomic_write, move_folder, remove
from predictor.store.manifest import MANIFEST, MODEL, digest
from predictor.store.registry import DEFAULT, ModelVersion, Registry
from predictor.store.state import CRASHED, Event, Name, State

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
        self._blobs = blobs
        self._golden = SharedGolden(self._registry.golden, transactions.staging, blobs)
        self._prepare = prepare
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
        versions = self._versions(state.names)
        found = {f"{name}/{one}": _digest(self._registry.folder(name, one)) for name, one in versions}
        return Change(0, self.shared_names(state), {key: known for key, known in found.items() if known})

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
        for name, version in self._versions(state.names):
            key, folder = f"{name}/{version}", self._registry.folder(name, version)
            own = _digest(folder)
            if own is None and key not in known:
                raise NotReady(f"The files of version {version} of {name} are missing on this machine.")
            found[key] = known[key] if own in {None, known.get(key)} else self._blobs.publish(folder)
        return found

    def sweep(self, change: Change, present: float) -> None:
        """Remove files from the bucket that a change does not name; `present` is the store's time."""
        folders = [self._registry.folder(name, version) for name, version in self._versions(change.names)]
        if (golden := self._golden.digests(change.names)) is not None:
            self._blobs.sweep(folders, golden, present)

    def bring(self, change: Change, decide: Decide = here, *, whole: bool = True) -> State:
        """Make the models of this machine those of a change; the caller holds `exclusive`.

        Args:
            change: it says what the models are to be.
            decide: called once, when everything is ready to be served.
            whole: whether versions that do not serve must be there, too.

        Returns:
            The state of this machine.

        Raises:
            Unavailable: the store does not answer.
            InvalidModel, NotReady: a worker cannot serve it, or a file is missing in the store.
            StorageFull: there is no room.
        """
        state = self._registry.read()
        wanted = self._wanted(state, change)
        self._golden.fetch(wanted)
        fetched = set[str]()
        for name, version in self._lacking(state, change, wanted):
            if whole or version == wanted[name].live:
                self._download(name, version, change.manifests[f"{name}/{version}"])
                fetched.add(f"{name}/{version}")
        turned = [name for name in {**state.names, **wanted} if _turns(name, state, wanted, fetched)]
        for number, name in enumerate(turned):
            first = decide if number == 0 else here
            self._transactions.commit(self._registry.read(), name, wanted.get(name), first)
        if not turned:
            decide()
        state = self._registry.read()
        if state.names != wanted:
            state = dataclasses.replace(state, names=wanted)
            self._registry.write(state)
        self._registry.remove_unknown(state)
        self._golden.replace_former(wanted, joined=change.serial > 0 and self.position() is None)
        return state

    def complete(self, change: Change) -> bool:
        """Whether this machine has all files of a change, and knows all that it is to know."""
        state = self._registry.read()
        wanted = self._wanted(state, change)
        return state.names == wanted and not self._lacking(state, change, wanted)

    def news(self, change: Change) -> str | None:
        """A name of which this machine knows what the others are to know, if there is one.

        It had models before any machine made a change, it quarantined a version that crashed its workers, or
        a former release kept golden images here alone.
        """
        if change.serial == 0 and not initial(change.names):
            return next(iter(change.names))
        for name, known in self._registry.read().names.items():
            shared = change.names.get(name, Name())
            if shared.golden is None and self._golden.former(name):
                return name
            if any(shared.good(version) and self._same(name, version, change) for version in known.crashed):
                return name
        return None

    def _wanted(self, state: State, change: Change) -> dict[str, Name]:
        """What is to be known here, with the deaths of workers here and what was quarantined after them."""
        wanted = {}
        for name, shared in change.names.items():
            own = state.names.get(name, Name())
            known = dataclasses.replace(shared, deaths=own.deaths)
            bad = {one: CRASHED for one in own.crashed if shared.good(one) and self._same(name, one, change)}
            if bad:
                known = dataclasses.replace(known, quarantined={**known.quarantined, **bad})
            if known.live in bad:
                before = known.before()
                event = next((one for one in own.history[::-1] if one.action == "quarantine"), None)
                known = known.returned(before, event or Event(change.time, "quarantine", known.live or 0))
            wanted[name] = known
        return wanted

    def _same(self, name: str, version: int, change: Change) -> bool:
        return _digest(self._registry.folder(name, version)) == change.manifests.get(f"{name}/{version}")

    def _lacking(self, state: State, change: Change, wanted: Mapping[str, Name]) -> list[tuple[str, int]]:
        """The versions that are not here, or not as they were uploaded."""
        found = []
        for name, version in self._versions(wanted):
            quarantined = state.names.get(name, Name()).quarantined
            damaged = version in quarantined and version not in wanted[name].quarantined
            if damaged or not self._same(name, version, change):
                found.append((name, version))
        return found

    def _download(self, name: str, version: int, wanted: str) -> None:
        with self._transactions.staging.new_folder() as folder:
            manifest = self._blobs.fetch(wanted, folder)
            self._prepare(ModelVersion(name, 0, folder / MODEL, manifest.digest, manifest))
            target = self._registry.folder(name, version)
            remove(target)
            move_folder(folder, target)

    def _versions(self, names: Mapping[str, Name]) -> list[tuple[str, int]]:
        """The versions of names whose files are not those of the service itself."""
        return [
            (name, version)
            for name, known in names.items()
            for version in known.versions
            if not self._registry.permanent(name, version)
        ]


def initial(names: Mapping[str, Name]) -> bool:
    """Whether names are those of a service that was never changed."""
    return names.keys() <= {DEFAULT} and not any(one.history or one.golden for one in names.values())


def _turns(name: str, state: State, wanted: Mapping[str, Name], fetched: set[str]) -> bool:
    """Whether workers are to serve something else of a name."""
    before, after = state.names.get(name), wanted.get(name)
    if before is None or after is None:
        return (before or after or Name()).live is not None or after is None
    return before.live != after.live or f"{name}/{after.live}" in fetched


def _digest(folder: Path) -> str | None:
    """The digest of a version's manifest; None if there is none."""
    try:
        return digest(folder / MANIFEST)
    except NotReady:
        return None
