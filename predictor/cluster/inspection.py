"""The store as seen from a command, beside a service that may run or not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from predictor.cluster.blobs import Blobs, of_manifest
from predictor.cluster.bucket import Bucket
from predictor.cluster.golden import indexes, of_index
from predictor.cluster.local import LocalModels
from predictor.cluster.log import Change, ChangeLog
from predictor.cluster.machine_status import MachineStatus
from predictor.cluster.machines import Machines, known_name
from predictor.config import Settings
from predictor.errors import ConfigError, ModelConflict, PredictorError
from predictor.store.commit import ModelTransactions
from predictor.store.golden import INDEX
from predictor.store.manifest import MANIFEST
from predictor.store.members import WorkerRegistry
from predictor.store.registry import Registry
from predictor.store.stamp import Stamp


@dataclass(frozen=True)
class Adopted:
    """What came of an adoption.

    Attributes:
        serial: the number of the change.
        lost: names and versions that are left out: their files are neither here nor in the store.
    """

    serial: int
    lost: Sequence[tuple[str, int]]


_HEALED = "Run image-prediction store adopt on a machine that serves it."


class Inspection:
    """A store and this machine's models; every method raises `Unavailable` where the store does not answer.

    Nothing is made in the data folder: a command may run as another user than the service, which could not
    use it then.

    Args:
        settings: with a store.
        bundled: the model that ships with the service.
    """

    def __init__(self, settings: Settings, bundled: Path) -> None:
        self._data = settings.data
        self._bucket = Bucket.open(settings.store or "")
        self._log = ChangeLog(self._bucket)
        self._registry = Registry(settings.data, bundled)
        transactions = ModelTransactions(
            self._registry,
            Stamp(None),
            WorkerRegistry(settings.data / "workers"),
            observe=lambda *_: None,
        )
        self._blobs = Blobs(self._bucket)
        self._models = LocalModels(transactions, self._blobs)
        # Where the service has not started yet, the machine has no name.
        self._name = known_name(settings.data, settings.machine) or "not started yet"
        self._machines = Machines(self._bucket, self._name, MachineStatus(), settings.store_seconds)

    def fault(self) -> str | None:
        """A sentence if the store does not keep its word."""
        return self._bucket.fault()

    def latest(self) -> Change | None:
        """The last change; None if there is none."""
        return self._log.outcome(serial) if (serial := self._log.latest()) else None

    def machines(self) -> Iterator[str]:
        """A line for each machine that gave a heartbeat within the last day."""
        position = self._models.position()
        where = "has served no change" if position is None else f"serves change {position.serial}"
        yield f"This machine, {self._name}, with PREDICTOR_DATA={self._data}, {where}."
        for name in self._machines.known():
            yield f"Machine {name}."

    def faults(self, latest: Change | None) -> Iterator[str]:
        """A sentence for each thing that is wrong."""
        serial, position = 0 if latest is None else latest.serial, self._models.position()
        if position is not None and position.serial > serial:
            yield (
                f"This machine serves change {position.serial}, which the store does not have: it was "
                "restored or emptied. Run image-prediction store adopt on the machine whose models are right."
            )
        change = latest or Change(0, {}, {})
        firsts = [(key, wanted, MANIFEST, of_manifest) for key, wanted in change.manifests.items()]
        golden = indexes(change.names)
        firsts += [(f"{name}, golden images", wanted, INDEX, of_index) for name, wanted in golden]
        for key, wanted, first, named in firsts:
            try:
                for name in self._blobs.missing(wanted, first, named):
                    yield f"The store lacks a file of {key}: {name}. {_HEALED}"
            except PredictorError as error:
                yield f"{key}: {error.detail}"

    def adopt(self) -> Adopted:
        """Make the models of this machine those of all machines.

        Raises:
            ConfigError: this machine has served no change: the folder is another than the service's.
            ModelConflict: another machine makes a change at this moment.
            NotReady: the files of a version that serves are nowhere.
        """
        if (position := self._models.position()) is None:
            raise ConfigError(
                f"The models in PREDICTOR_DATA={self._data} have never been those of the store; nothing was "
                "changed. Set PREDICTOR_DATA as the service has it, and run this as a user who may read it."
            )
        elsewhere, lost = self._absent(position.manifests)
        state = self._registry.read()
        for name, version in lost:
            state = state.replaced(name, state.names[name].without({version}))
        # Nothing else of what the bucket has is relied on, and no number that any machine may have seen.
        before = Change(max(self._log.highest(), position.serial), {}, elsewhere)
        change = self._models.change_to(state, before, self._name)
        if not self._log.announce(change) or self._log.decide(change).token != change.token:
            raise ModelConflict("Another machine is changing the models; try again.")
        return Adopted(change.serial, lost)

    def _absent(self, manifests: Mapping[str, str]) -> tuple[Mapping[str, str], list[tuple[str, int]]]:
        """The versions whose files are not on this machine.

        Args:
            manifests: the digests of the manifests of versions that machines shared.

        Returns:
            The manifests of those that the store has, and those that do not serve and are nowhere.
        """
        elsewhere, lost = {}, []
        for name, known in self._registry.read().names.items():
            for version in known.versions:
                folder, key = self._registry.folder(name, version), f"{name}/{version}"
                if self._registry.permanent(name, version) or (folder / MANIFEST).exists():
                    continue
                wanted = manifests.get(key)
                if wanted and not self._blobs.missing(wanted, MANIFEST, of_manifest):
                    elsewhere[key] = wanted
                elif version != known.live:
                    lost.append((name, version))
        return elsewhere, lost
