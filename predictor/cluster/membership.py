"""This machine as one of many: built in each worker after the fork, where `PREDICTOR_STORE` is set."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import GaugeMetricFamily

from predictor.cluster.blobs import Blobs
from predictor.cluster.bucket import Bucket
from predictor.cluster.coordinator import Coordinator
from predictor.cluster.follower import Follower
from predictor.cluster.heartbeat import seen
from predictor.cluster.local import LocalModels
from predictor.cluster.log import ChangeLog
from predictor.cluster.machine_status import MachineStatus
from predictor.cluster.machines import Machines, machine_name
from predictor.config import Settings
from predictor.errors import NotReady
from predictor.store.commit import ModelTransactions
from predictor.store.registry import ModelVersion

_JOIN_SECONDS = 2
METRICS = {
    "predictor_store_serial": "The number of the last change of all machines that this machine serves.",
    "predictor_store_lag_seconds": "Seconds since this machine last knew that it serves the last change.",
    "predictor_machines": "Machines that share the store and live, by this machine's last heartbeat.",
}
"""The gauges that are read when asked, with what they say."""


class Membership:
    """What of a worker has to do with other machines.

    Args:
        settings: with a store.
        transactions: changes of this machine; from now on they are made on all machines.
        registry: where metrics are registered.
        prepare: called with each version that was downloaded, before workers load it.

    Attributes:
        name: of this machine.
    """

    def __init__(
        self,
        settings: Settings,
        transactions: ModelTransactions,
        registry: CollectorRegistry,
        prepare: Callable[[ModelVersion], None],
    ) -> None:
        errors = Counter(
            "predictor_store_errors", "Requests to the store that failed, by operation.",
            ("operation",), registry=registry,
        )  # fmt: skip
        self._data = settings.data
        self._unready = settings.store_lag == "unready"
        self._status = MachineStatus()
        self.name = machine_name(settings.data, settings.machine)
        bucket = Bucket.open(settings.store or "", lambda operation: errors.labels(operation).inc())
        changes = ChangeLog(bucket)
        self._machines = Machines(bucket, self.name, self._status, settings.store_seconds)
        models = LocalModels(transactions, Blobs(bucket), prepare)
        coordinator = Coordinator(changes, self._machines, models, self._status)
        self._follower = Follower(changes, self._machines, models, coordinator, transactions, self._status)
        transactions.other_machines = coordinator

    def start(self) -> None:
        """Follow the store from now on."""
        self._follower.start()

    def stop(self) -> None:
        """Leave it to another worker to follow the store."""
        self._follower.stop()

    def check_ready(self) -> None:
        """Check that this machine serves what the others do.

        Raises:
            NotReady: it does not yet, or it does not know, and is not to be sent requests then.
        """
        self.check_joined()
        if self._unready and self._late:
            late = "This machine does not know whether it serves what the other machines serve."
            raise NotReady(self._status.fault or late)

    def check_joined(self) -> None:
        """Check that this machine has served what the others do since it was started.

        Raises:
            NotReady: it has not yet.
        """
        if not self._status.caught_up:
            early = "This machine does not serve the models of the other machines yet; try again."
            raise NotReady(self._status.fault or early, retry_after=_JOIN_SECONDS, elsewhere=True)

    def degraded(self) -> str | None:
        """Why models cannot be changed at this moment; None if they can."""
        if self._status.fault is None and self._late:
            return "The store of PREDICTOR_STORE does not answer: models cannot be changed."
        return self._status.fault

    @property
    def machines(self) -> Mapping[str, int]:
        """How many machines serve the last change, and how many there are."""
        serving, living = self._status.machines
        return {"serving": serving, "of": living}

    def described(self) -> Mapping[str, Any]:
        """The number of the change that this machine serves, and the machines by the last heartbeat."""
        machines = [{**one, "this": one["name"] == self.name} for one in seen(self._data)]
        return {"serial": self._status.serial, "machines": machines}

    def families(self) -> Iterable[GaugeMetricFamily]:
        """The gauges at this moment."""
        values = (self._status.serial, self._status.lag, self._status.machines[1])
        for (name, doc), value in zip(METRICS.items(), values, strict=True):
            yield GaugeMetricFamily(name, doc, value=value)

    @property
    def _late(self) -> bool:
        """Whether the others may have made a change by now without waiting for this machine."""
        return self._status.lag > self._machines.dead_seconds - self._machines.beat_seconds
