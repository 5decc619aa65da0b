"""Parts of a worker that depend on what the machine has; none of them keeps the worker from starting.

`Health` says which of them do not work although predictions succeed; `/readyz` names them.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from predictor import __version__, shared
from predictor.config import Settings
from predictor.errors import ConfigError
from predictor.fetch.client import Fetcher
from predictor.inference.cache import Cache, cache_folder
from predictor.model.onnx_runtime import release
from predictor.store.commit import ModelTransactions
from predictor.store.registry import ModelVersion
from predictor.store.stamp import Stamp

if TYPE_CHECKING:
    from predictor.cluster.membership import Membership

log = logging.getLogger(__name__)

PARTS = ("cache", "data", "store")
"""What the parts that may not work are called."""
_BYTES = 4096
# Probes of several load balancers come at any rate; the disk is asked at most so often.
_SECONDS = 2.0
_RESTART = (
    "The folder PREDICTOR_DATA could not be written when the service started: models cannot be changed. "
    "Restart the service."
)


class Health:
    """The parts that a worker can do without for a while.

    Args:
        data: the folder of the service.
        cache: of answers.
        stamp: the store's version counter.
        clock: seconds.
        store: why models cannot be changed on all machines; None if they can, or if there is one machine.
    """

    def __init__(
        self,
        data: Path,
        cache: Cache,
        stamp: Stamp,
        clock: Callable[[], float] = time.monotonic,
        store: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._data = data
        self._cache = cache
        self._stamp = stamp
        self._clock = clock
        self._store = store
        self._checked = float("-inf")
        self._data_fault: str | None = None

    def degraded(self) -> dict[str, str]:
        """What is wrong, by the name of the part: `cache`, `data` or `store`; empty if all is well."""
        found = (self._of_cache(), self._of_data(), self._store())
        return {part: fault for part, fault in zip(PARTS, found, strict=True) if fault}

    def _of_cache(self) -> str | None:
        return "The cache does not answer: predictions go on without it." if self._cache.failing else None

    def _of_data(self) -> str | None:
        if (now := self._clock()) >= self._checked + _SECONDS:
            self._checked, self._data_fault = now, self._written()
        return self._data_fault

    def _written(self) -> str | None:
        """Write a file to the data folder; why that fails."""
        path = self._data / f".{os.getpid()}.probe"
        try:
            path.write_bytes(bytes(_BYTES))
        except OSError as error:
            return f"The folder PREDICTOR_DATA cannot be written: models cannot be changed. {error.strerror}."
        finally:
            with suppress(OSError):
                path.unlink()
        return None if self._stamp.shared else _RESTART


def build_info() -> InfoMetricFamily:
    """The versions of what serves, as a metric."""
    versions = {"version": __version__, "python": python_version(), "runtime": release()}
    return InfoMetricFamily("predictor_build", "Versions of what serves.", value=versions)


def at_this_moment(watched: Health, cluster: "Membership | None") -> Iterable[Any]:
    """The metrics that are read when asked.

    Args:
        watched: the parts that may not work.
        cluster: this machine as one of several.
    """
    degraded = watched.degraded()
    parts = GaugeMetricFamily(
        "predictor_degraded",
        "1 for a part that does not work although predictions succeed.",
        labels=("part",),
    )
    for part in PARTS:
        parts.add_metric((part,), part in degraded)
    deaths = CounterMetricFamily(
        "predictor_worker_deaths", "Workers that ended otherwise than they should.", value=shared.deaths[0]
    )
    return (build_info(), parts, deaths, *(() if cluster is None else cluster.families()))


def make_folders(settings: Settings) -> None:
    """Make the folders in which workers meet."""
    try:
        for folder in ("models", "golden", "workers"):
            (settings.data / folder).mkdir(parents=True, exist_ok=True)
        cache_folder(settings).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        log.warning("The folder PREDICTOR_DATA cannot be used: %s", error.strerror)


def fetcher(settings: Settings) -> Fetcher:
    """What downloads images."""
    try:
        return Fetcher.of(settings)
    except ConfigError as error:
        # The file was in order when the server started; a later worker serves without it.
        log.error("Downloads go on without it: %s", error.detail)
        return Fetcher.of(replace(settings, fetch_ca=None))


def membership(
    settings: Settings,
    transactions: ModelTransactions,
    registry: CollectorRegistry,
    prepare: Callable[[ModelVersion], None],
) -> "Membership | None":
    """This machine as one of several; None without `PREDICTOR_STORE`.

    Args:
        settings: of the service.
        transactions: changes of this machine, which are made on all machines from now on.
        registry: where metrics are registered.
        prepare: called with each version that was downloaded, before workers load it.
    """
    if settings.store is None:
        return None
    # Its library does not survive a fork, and a single machine does without it.
    from predictor.cluster.membership import Membership

    return Membership(settings, transactions, registry, prepare)
