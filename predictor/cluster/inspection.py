"""The store as seen from a command, beside a service that may run or not."""

from collections.abc import Iterator
from pathlib import Path

from predictor.cluster.blobs import Blobs, of_manifest
from predictor.cluster.bucket import Bucket
from predictor.cluster.golden import indexes, of_index
from predictor.cluster.local import LocalModels
from predictor.cluster.log import Change, ChangeLog
from predictor.cluster.machines import Machines, machine_name
from predictor.cluster.standing import Standing
from predictor.config import Settings
from predictor.errors import ModelConflict, PredictorError
from predictor.store.commit import ModelTransactions
from predictor.store.golden import INDEX
from predictor.store.manifest import MANIFEST
from predictor.store.members import WorkerRegistry
from predictor.store.registry import Registry
from predictor.store.stamp import Stamp


class Inspection:
    """A store and this machine's models; every method raises `Unavailable` where the store does not answer.

    Args:
        settings: with a store.
        bundled: the model that ships with the service.
    """

    def __init__(self, settings: Settings, bundled: Path) -> None:
        settings.data.mkdir(parents=True, exist_ok=True)
        self._bucket = Bucket.open(settings.store or "")
        self._log = ChangeLog(self._bucket)
        self._registry = Registry(settings.data, bundled)
        transactions = ModelTransactions(
            self._registry,
            Stamp(settings.data / "stamp"),
            WorkerRegistry(settings.data / "workers"),
            observe=lambda *_: None,
        )
        self._blobs = Blobs(self._bucket)
        self._models = LocalModels(transactions, self._blobs)
        self._name = machine_name(settings.data, settings.machine)
        self._machines = Machines(self._bucket, self._name, Standing(), settings.store_seconds)

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
        yield f"This machine, {self._name}, {where}."
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
                    yield f"The store lacks a file of {key}: {name}."
            except PredictorError as error:
                yield f"{key}: {error.detail}"

    def adopt(self) -> int:
        """Make the models of this machine those of all machines; the number of the change.

        Raises:
            ModelConflict: another machine makes a change at this moment.
        """
        position = self._models.position()
        # Nothing of what the bucket has is relied on, and no number that any machine may have seen.
        before = Change(max(self._log.highest(), 0 if position is None else position.serial), {}, {})
        change = self._models.change_to(self._registry.read(), before, self._name)
        if not self._log.announce(change) or self._log.decide(change).token != change.token:
            raise ModelConflict("Another machine is changing the models; try again.")
        return change.serial
