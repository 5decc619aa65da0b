"""Changes of the models: new versions, going back, removing, and keeping bad ones from serving."""

import dataclasses
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from predictor.errors import InvalidModel, ModelConflict, ModelNotFound, NotReady
from predictor.model_files import MODEL
from predictor.store import lookup
from predictor.store.commit import LOCK_SECONDS, ModelTransactions
from predictor.store.files import move_folder, remove
from predictor.store.manifest import Manifest
from predictor.store.registry import DEFAULT, ModelVersion, Registry
from predictor.store.stamp import here
from predictor.store.state import CRASHED, Event, Name

KEPT = 5
"""Versions of a name that are kept, besides the live one and the one that ships with the service."""
DEATHS = 2
"""Workers that a version may bring down within ten minutes before it is quarantined."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """What came of an upload.

    Attributes:
        version: the version that is live now.
        unchanged: whether it was live before with the same files, so that no new version was made.
    """

    version: ModelVersion
    unchanged: bool = False


class Publisher:
    """Changes models, in all workers or in none.

    Every method raises ModelConflict if another change is under way and StorageFull if there is no room; then
    nothing has changed. Those that change a live version raise InvalidModel or NotReady if a worker cannot
    serve the new one, and nothing has changed either.

    Args:
        registry: the models on disk.
        transactions: make changes take effect.
    """

    def __init__(self, registry: Registry, transactions: ModelTransactions) -> None:
        self._registry = registry
        self._transactions = transactions

    def unchanged(self, name: str, manifest: Manifest) -> ModelVersion | None:
        """The live version of a name if it has the files of an upload; else None.

        Its files are read from the disk: where one is damaged, the upload is to take its place.

        Raises:
            ModelConflict: the model is that of a quarantined version.
        """
        with self._transactions.commit_lock():
            known = self._registry.read().names.get(name, Name())
        same = self._same(name, known, manifest)
        # Other machines may have changed it; `upload` compares once that is known.
        return same if self._transactions.other_machines is None else None

    def upload(self, name: str, folder: Path, manifest: Manifest) -> Published:
        """Make the files in a folder the next version of a name, and have it served.

        Raises:
            ModelConflict: the model is that of a quarantined version.
        """
        with self._transactions.change() as state:
            known = state.names.get(name, Name())
            # Another upload may have made the same files live since they were compared.
            if (same := self._same(name, known, manifest)) is not None:
                return Published(same, unchanged=True)
            version = self._next_number(name, known)
            target = self._registry.folder(name, version)
            try:
                manifest.write(folder)
                move_folder(folder, target)
                added = dataclasses.replace(known, last=version, versions=(*known.versions, version))
                after = added.switched(version, _event("upload", version, forced=manifest.forced))
                outdated = self._outdated(name, after)
                self._transactions.commit(state, name, after.without(outdated))
            except BaseException:
                remove(target)
                raise
            self._registry.remove(name, outdated)
            return Published(self._registry.at(name, version))

    def activate(self, name: str, version: int, *, forced: bool = False) -> ModelVersion:
        """Have another version of a name served; `forced` is recorded.

        Raises:
            ModelNotFound: there is no such name or version.
            ModelConflict: it is quarantined.
        """
        with self._transactions.change() as state:
            known = lookup.present(state, name, version)
            if version in known.quarantined:
                raise ModelConflict(f"Version {version} is quarantined: {known.quarantined[version]}")
            if version != known.live:
                self._transactions.supplied(name, version).verify()
                event = _event("activate", version, forced=forced)
                self._transactions.commit(state, name, known.switched(version, event))
        return self._registry.version(name, version)

    def rollback(self, name: str) -> ModelVersion:
        """Have the version served that was live before.

        Raises:
            ModelNotFound: there is no such name.
            ModelConflict: there is no version before this one.
        """
        with self._transactions.change() as state:
            known = lookup.known(state, name)
            if (version := known.before()) is None:
                raise ModelConflict("There is no earlier live version to roll back to.")
            self._transactions.supplied(name, version).verify()
            self._transactions.commit(state, name, known.returned(version, _event("rollback", version)))
        return self._registry.version(name, version)

    def delete(self, name: str, version: int) -> None:
        """Remove a version that does not serve.

        Raises:
            ModelNotFound: there is no such name or version.
            ModelConflict: it is live, or ships with the service.
        """
        with self._transactions.change() as state:
            known = lookup.present(state, name, version)
            if self._registry.permanent(name, version):
                raise ModelConflict(
                    f"Version {version} of {name} ships with the service and cannot be deleted."
                )
            if version == known.live:
                raise lookup.not_deleted(name, version, known, whole=name != DEFAULT)
            self._transactions.record(state, name, state.names[name].without({version}))
            self._registry.remove(name, {version})

    def delete_name(self, name: str) -> tuple[int, ...]:
        """Remove a name with all its versions, which no worker serves from then on.

        Returns:
            The numbers of its versions.

        Raises:
            ModelNotFound: there is no such name.
            ModelConflict: it is `default`.
        """
        if name == DEFAULT:
            raise ModelConflict(
                f"The model {name} cannot be deleted: it answers requests that name no model. To have "
                f"another model answer them, upload one with the name {name}. Its versions that are not live "
                "can be deleted, except version 1, which ships with the service."
            )
        with self._transactions.change() as state:
            known = lookup.known(state, name)
            self._transactions.commit(state, name, None)
            self._registry.remove_unknown(self._registry.read())
        return known.versions

    def quarantine(self, name: str, version: int, why: str) -> None:
        """Keep a bad version from serving here again; if it is live, the one before it is put back."""
        with self._transactions.exclusive() as state:
            known = state.names.get(name, Name())  # it may have been deleted since it did harm
            if not known.good(version) or self._registry.permanent(name, version):
                return
            log.error("Version %d of %s is quarantined: %s", version, name, why)
            marked = dataclasses.replace(known, quarantined={**known.quarantined, version: why})
            if version != known.live:
                self._registry.write(state.replaced(name, marked))
            else:
                after = marked.returned(marked.before(), _event("quarantine", version))
                self._transactions.commit(state, name, after, here)

    def handle_crashes(self, seconds: float = LOCK_SECONDS) -> None:
        """Process crashed workers; quarantine a version that has brought down too many.

        Args:
            seconds: how long to wait for another change to end.
        """
        with self._transactions.exclusive(seconds) as state:
            with self._transactions.commit_lock():
                crashed = self._transactions.workers.reap()
            if not crashed:
                return
            counted = state.with_deaths(crashed)
            self._registry.write(counted)
        for name, known in counted.names.items():
            for version in {death.version for death in known.deaths}:
                if sum(death.version == version for death in known.deaths) >= DEATHS:
                    self.quarantine(name, version, CRASHED)

    def _same(self, name: str, known: Name, manifest: Manifest) -> ModelVersion | None:
        """The live version if the files of a manifest are its files, whole on the disk.

        Raises:
            ModelConflict: the model is that of a quarantined version.
        """
        self._refuse_quarantined(name, known, manifest)
        return None if known.live is None else self._registry.same(name, known.live, manifest)

    def _refuse_quarantined(self, name: str, known: Name, manifest: Manifest) -> None:
        """Keep a model out that did harm; one whose files were damaged may come again, whole."""
        for version, why in known.quarantined.items():
            try:
                bad = self._registry.version(name, version)
                bad.verify()
            except (ModelNotFound, InvalidModel, NotReady):
                continue
            known_bad = {} if bad.manifest is None else bad.manifest.files[MODEL]
            if known_bad.get("digest") == manifest.files[MODEL]["digest"]:
                raise ModelConflict(
                    f"The model is the same as version {version}, which is quarantined: {why} "
                    "Delete that version before you upload the model again."
                )

    def _next_number(self, name: str, known: Name) -> int:
        present = (path.name for path in (self._registry.models / name).glob("*"))
        return max([known.last, *(int(number) for number in present if number.isdecimal())]) + 1

    def _outdated(self, name: str, known: Name) -> set[int]:
        """The versions that are too many."""
        removable = [one for one in known.versions if not self._registry.permanent(name, one)]
        return set(removable[:-KEPT]) - {known.live}


def _event(action: str, version: int, *, forced: bool = False) -> Event:
    return Event(now(), f"{action}_forced" if forced else action, version)


def now() -> str:
    """The present time by RFC 3339, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
