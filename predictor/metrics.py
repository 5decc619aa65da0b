"""Counters and histograms, and the exporter that adds them up over all workers.

Each worker writes files that are named by its slot: the smallest number that no other living worker
has. A worker that replaces a dead one takes its slot and counts on, so totals stay right and the
number of files stays bounded, however often workers are replaced.
"""

import logging
import os
import struct
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_flask_exporter import PrometheusMetrics
from prometheus_flask_exporter.multiprocess import GunicornInternalPrometheusMetrics

from predictor.shared import METRICS_VARIABLE, SLOT_VARIABLE
from predictor.statistics import ModelMetrics

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
# prometheus_client's files, one for each kind of metric; the series of a worker take a tenth of this.
_FILES = ("counter", "histogram", "summary", "gauge_livemostrecent")
_FILE_BYTES = 1 << 20
_DAMAGE = (RuntimeError, struct.error, ValueError, OSError)

Version = tuple[str, int, str]
"""Name, number and digest of a model version."""

log = logging.getLogger(__name__)


class Metrics(ModelMetrics):
    """Every metric of the service. No label ever holds a URL, a file name or a class."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.requests = Counter(
            "http_requests", "HTTP requests.", ("method", "endpoint", "status"), registry=registry
        )
        self.request_seconds = Histogram(
            "http_request_duration_seconds", "Seconds of HTTP requests.", ("method", "endpoint", "status"),
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self.images = Counter(
            "predictor_images", "Images, by outcome: ok, or the error code.",
            ("model", "version", "outcome"), registry=registry,
        )  # fmt: skip
        self.phase_seconds = Histogram(
            "predictor_phase_seconds", "Seconds of each phase of a prediction, by model.", ("phase", "model"),
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self.disconnects = Counter(
            "predictor_client_disconnects", "Clients that left before their answer.", registry=registry
        )
        self.batch_size = Histogram(
            "predictor_batch_size", "Images in one batch of the model.", registry=registry, buckets=_SIZES
        )
        self.cache_requests = Counter(
            "predictor_cache_requests", "Cache look-ups, by result: hit, miss, shared or error.",
            ("result",), registry=registry,
        )  # fmt: skip
        self.device_memory = Gauge(
            "predictor_device_memory_bytes", "Memory of the device in bytes: used and total.",
            ("device", "kind"), registry=registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip
        # `labels` checks its arguments and takes a lock, which costs more than the counting itself.
        self._requests, self._images = cache(self.requests.labels), cache(self.images.labels)
        self._request_seconds = cache(self.request_seconds.labels)
        self._cache_requests = cache(self.cache_requests.labels)
        self._changes(registry)
        # A series that is made now opens its file now, which may be gone later.
        for result in ("hit", "miss", "shared", "error"):
            self.cache_requests.labels(result)

    def _changes(self, registry: CollectorRegistry) -> None:
        self.swaps = Counter(
            "predictor_model_swaps", "Changes of the live version, by outcome: ok, or the error code.",
            ("outcome",), registry=registry,
        )  # fmt: skip
        # Prometheus sees no increase in a series that begins with 1.
        for outcome in ("ok", "internal", "not_ready", "storage_full"):
            self.swaps.labels(outcome)
        self.checks = Counter(
            "predictor_model_checks", "Checks of uploaded models, by outcome: ok, or the refusal's reason.",
            ("outcome",), registry=registry,
        )  # fmt: skip
        self.swap_seconds = Histogram(
            "predictor_model_swap_seconds", "Seconds of each step of a change: receive, check, switch.",
            ("step",), registry=registry, buckets=_LONG_SECONDS,
        )  # fmt: skip

    def count_request(self, labels: tuple[str, str, int], seconds: float) -> None:
        """Count a request by its method, endpoint and status."""
        self._requests(*labels).inc()
        self._request_seconds(*labels).observe(seconds)

    def count_image(self, model: str, version: int, outcome: str) -> None:
        """Count an image by the version that answered, and what came of it."""
        self._images(model, version, outcome).inc()

    def count_cache(self, result: str) -> None:
        """Count a look-up in the cache: hit, miss, shared or error."""
        self._cache_requests(result).inc()

    def observe_step(self, step: str, seconds: float) -> None:
        """Count the time of a step of a change of models."""
        self.swap_seconds.labels(step).observe(seconds)


class _AtThisMoment(Collector):
    """What is read when asked: a version that serves no longer is gone from it at once."""

    def __init__(
        self,
        versions: Callable[[], Iterable[Version]],
        waiting: Callable[[], int],
        more: Callable[[], Iterable[Any]],
    ) -> None:
        self._versions, self._waiting, self._more = versions, waiting, more

    def collect(self) -> Iterable[Any]:
        live = GaugeMetricFamily(
            "predictor_model_live", "1 for each live model version.",
            labels=("name", "version", "digest"),
        )  # fmt: skip
        for name, version, digest in self._versions():
            live.add_metric((name, str(version), digest), 1)
        queue = GaugeMetricFamily(
            "predictor_queue_images", "Images in the queue or being processed.", value=self._waiting()
        )
        return [live, queue, *self._more()]


class _AllWorkers(Collector):
    """Adds up the files that can be read: a killed worker may have left a damaged one, or all may be gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Any]:
        files = [str(file) for file in self._folder.glob("*.db")]
        yield from MultiProcessCollector.merge([file for file in files if _readable(file)])


def exporter(
    refresh: Callable[[], None],
    versions: Callable[[], Iterable[Version]] = tuple,
    waiting: Callable[[], int] = int,
    more: Callable[[], Iterable[Any]] = tuple,
) -> PrometheusMetrics:
    """The owner of `/metrics`: over all workers if the server set a folder for their files.

    Args:
        refresh: called before each export, for gauges that are read when asked.
        versions: the versions that serve.
        waiting: how many images were accepted and not yet answered, by all workers.
        more: other metrics that are read when asked.
    """
    moment = _AtThisMoment(versions, waiting, more)
    if METRICS_VARIABLE in os.environ and _claim_files():
        made = _exporting(GunicornInternalPrometheusMetrics, refresh, moment)
        return made.for_app_factory(export_defaults=False)
    registry = CollectorRegistry()
    registry.register(moment)
    return _exporting(PrometheusMetrics, refresh, moment).for_app_factory(
        export_defaults=False, registry=registry
    )


def collected(owner: PrometheusMetrics) -> Iterable[Any]:
    """All that is counted, added up over all workers where the server set a folder for their files."""
    shared = isinstance(owner, GunicornInternalPrometheusMetrics)
    source = _AllWorkers(Path(os.environ[METRICS_VARIABLE])) if shared else owner.registry
    yield from source.collect()


def _exporting(
    base: type[PrometheusMetrics], refresh: Callable[[], None], moment: Collector
) -> type[PrometheusMetrics]:
    class Exporter(base):
        def generate_metrics(
            self, accept_header: str | None = None, names: list[str] | None = None
        ) -> tuple[str, str]:
            refresh()
            registry = self.registry
            if issubclass(base, GunicornInternalPrometheusMetrics):
                registry = CollectorRegistry()
                registry.register(_AllWorkers(Path(os.environ[METRICS_VARIABLE])))
                registry.register(moment)
            # The library fails on a version in the header that is no number.
            kind = "application/openmetrics-text" if "openmetrics" in (accept_header or "") else ""
            encode, content_type = choose_encoder(kind)
            wanted = registry.restricted_registry(names) if names else registry
            return encode(wanted).decode(), content_type

    return Exporter


def _claim_files() -> bool:
    """Make this worker's files, named by its slot, with the room that they will need.

    They are mapped into memory, where a write for which the disk has no room ends the process: room is had
    beforehand, or the worker counts for itself. Damaged files of the slot's former owner are removed, for
    opening one would end this worker, too.

    Returns:
        Whether the files can be used.
    """
    slot = os.environ.get(SLOT_VARIABLE, str(os.getpid()))
    try:
        for kind in _FILES:
            _reserve(Path(os.environ[METRICS_VARIABLE], f"{kind}_{slot}.db"))
    except OSError as error:
        log.error("Metrics are those of one worker only: %s", error.strerror)
        prometheus_client.values.ValueClass = prometheus_client.values.MutexValue
        return False
    prometheus_client.values.ValueClass = prometheus_client.values.MultiProcessValue(lambda: slot)
    return True


def _reserve(file: Path) -> None:
    """Have room for a file, which is made if need be."""
    if file.exists() and not _readable(str(file)):
        log.warning("A damaged metrics file was removed")
        file.unlink(missing_ok=True)
    with file.open("ab") as opened:
        os.posix_fallocate(opened.fileno(), 0, _FILE_BYTES)


def _readable(file: str) -> bool:
    try:
        with Path(file).open("rb") as opened:
            # The library opens a file whose length is wrong, and fails later.
            (used,) = struct.unpack("i", opened.read(4))
            size = os.fstat(opened.fileno()).st_size
        MultiProcessCollector.merge([file])
    except _DAMAGE:
        return False
    return bool(0 <= used <= size)
