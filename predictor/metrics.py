"""Counters and histograms, and the exporter that adds them up over all workers.

Each worker writes files that are named by its slot: the smallest number that no other living worker
has. A worker that replaces a dead one takes its slot and counts on, so totals stay right and the
number of files stays bounded, however often workers are replaced.
"""

import glob
import json
import logging
import os
import struct
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_flask_exporter import PrometheusMetrics
from prometheus_flask_exporter.multiprocess import GunicornInternalPrometheusMetrics

from predictor.shared import SLOT_VARIABLE

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
# prometheus_client's files, one for each kind of metric; the series of a worker take a tenth of this.
_FILES = ("counter", "histogram", "gauge_livemostrecent")
_FILE_BYTES = 1 << 20
# What an entry of such a file takes besides its key, at most: a length, padding, two numbers.
_ENTRY_BYTES = 32
# How long a full disk is not asked for more room.
_FULL_SECONDS = 10.0
_DAMAGE = (RuntimeError, struct.error, ValueError, OSError)

Version = tuple[str, int, str]
"""Name, number and digest of a model version."""

log = logging.getLogger(__name__)


class Metrics:
    """Every metric of the service. No label ever holds a URL, a file name or a class."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "http_requests", "HTTP requests.", ("method", "endpoint", "status"), registry=registry
        )
        self.request_seconds = Histogram(
            "http_request_duration_seconds", "Time of HTTP requests.", ("method", "endpoint", "status"),
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self.images = Counter(
            "predictor_images", "Pictures, by outcome: ok, or the code of the error.",
            ("model", "version", "outcome"), registry=registry,
        )  # fmt: skip
        self.phase_seconds = Histogram(
            "predictor_phase_seconds", "Time of a picture's phases.", ("phase",),
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self.batch_size = Histogram(
            "predictor_batch_size", "Pictures in one run of the model.", registry=registry, buckets=_SIZES
        )
        self.cache_requests = Counter(
            "predictor_cache_requests", "Look-ups in the cache: hit, miss, shared or error.",
            ("result",), registry=registry,
        )  # fmt: skip
        self.device_memory = Gauge(
            "predictor_device_memory_bytes", "Memory of the device in use: used and total.",
            ("device", "kind"), registry=registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip

        self._changes(registry)
        self._counted = dict[tuple[str, str, int], tuple[Counter, Histogram]]()
        self._counters = dict[tuple[Counter, tuple[str, ...]], Counter]()

    def _changes(self, registry: CollectorRegistry) -> None:
        self.swaps = Counter(
            "predictor_model_swaps", "Changes of a live model, by outcome: ok, or the code of the error.",
            ("outcome",), registry=registry,
        )  # fmt: skip
        self.checks = Counter(
            "predictor_model_checks", "Checks of uploaded models, by outcome: ok, or why one was refused.",
            ("outcome",), registry=registry,
        )  # fmt: skip
        self.swap_seconds = Histogram(
            "predictor_model_swap_seconds", "Time of the steps of a change: receive, check, switch.",
            ("step",), registry=registry, buckets=_LONG_SECONDS,
        )  # fmt: skip

    def count_request(self, labels: tuple[str, str, int], seconds: float) -> None:
        """Count a request by its method, endpoint and status, of which there are few combinations."""
        if (counted := self._counted.get(labels)) is None:
            counted = self.requests.labels(*labels), self.request_seconds.labels(*labels)
            self._counted[labels] = counted
        counted[0].inc()
        counted[1].observe(seconds)

    def count_image(self, model: str, version: int, outcome: str) -> None:
        """Count a picture by the version that answered, and what came of it."""
        self._counter(self.images, (model, str(version), outcome)).inc()

    def count_cache(self, result: str) -> None:
        """Count a look-up in the cache: hit, miss, shared or error."""
        self._counter(self.cache_requests, (result,)).inc()

    def _counter(self, metric: Counter, labels: tuple[str, ...]) -> Counter:
        """The counter of some labels; the metric itself would check them, and look them up under a lock."""
        key = (metric, labels)
        if (found := self._counters.get(key)) is None:
            found = self._counters[key] = metric.labels(*labels)
        return found

    def observe_step(self, step: str, seconds: float) -> None:
        """Count the time of a step of a change of models."""
        self.swap_seconds.labels(step).observe(seconds)


class _RoomyDict(MmapedDict):
    """A file of values that is mapped into memory, and grows only where the disk has room for it.

    A series for which there is none is known to nobody: a write to it would end the process.
    """

    _full_until = 0.0

    def read_value(self, key: str) -> tuple[float, float]:
        """The value and the time of a series."""
        if key in self._positions or self._has_room(key):
            value: tuple[float, float] = super().read_value(key)
            return value
        return 0.0, 0.0

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Set the value and the time of a series."""
        if key in self._positions or self._has_room(key):
            super().write_value(key, value, timestamp)

    def _has_room(self, key: str) -> bool:
        if self._used + len(key.encode()) + _ENTRY_BYTES <= self._capacity:
            return True
        if time.monotonic() < self._full_until:
            return False
        try:
            os.posix_fallocate(self._f.fileno(), 0, 2 * self._capacity)
        except OSError:
            self._full_until = time.monotonic() + _FULL_SECONDS
            return False
        return True


class _AtThisMoment(Collector):
    """What is read when asked: a version that serves no longer is gone from it at once."""

    def __init__(self, versions: Callable[[], Iterable[Version]], waiting: Callable[[], int]) -> None:
        self._versions = versions
        self._waiting = waiting

    def collect(self) -> Iterable[Any]:
        live = GaugeMetricFamily(
            "predictor_model_live", "1 for each model version that serves.",
            labels=("name", "version", "digest"),
        )  # fmt: skip
        for name, version, digest in self._versions():
            live.add_metric((name, str(version), digest), 1)
        queue = GaugeMetricFamily(
            "predictor_queue_images", "Pictures accepted and not yet answered.", value=self._waiting()
        )
        return [live, queue]


class _TolerantCollector(MultiProcessCollector):
    """Adds up the files that can be read: a killed worker may have left a damaged one, or all may be gone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._path = os.environ[FOLDER_VARIABLE]
        registry.register(self)

    def collect(self) -> Iterable[Any]:
        files = glob.glob(os.path.join(self._path, "*.db"))  # noqa: PTH118, PTH207 (the base class's form)
        merged: Iterable[Any] = self.merge([file for file in files if _readable(file)], accumulate=True)
        return merged


def exporter(
    refresh: Callable[[], None],
    versions: Callable[[], Iterable[Version]] = tuple,
    waiting: Callable[[], int] = int,
) -> PrometheusMetrics:
    """The owner of `/metrics`: over all workers if the server set a folder for their files.

    Args:
        refresh: called before each export, for gauges that are read when asked.
        versions: the versions that serve.
        waiting: how many pictures were accepted and not yet answered, by all workers.
    """
    moment = _AtThisMoment(versions, waiting)
    if FOLDER_VARIABLE in os.environ and _claim_files():
        made = _exporting(GunicornInternalPrometheusMetrics, refresh, moment)
        return made.for_app_factory(export_defaults=False)
    registry = CollectorRegistry()
    registry.register(moment)
    return _exporting(PrometheusMetrics, refresh, moment).for_app_factory(
        export_defaults=False, registry=registry
    )


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
                _TolerantCollector(registry)
                registry.register(moment)
            encode, content_type = choose_encoder(accept_header or "")
            wanted = registry.restricted_registry(names) if names else registry
            return encode(wanted).decode(), content_type

    return Exporter


def _claim_files() -> bool:
    """Make this worker's files, named by its slot, with all the room that they will need.

    They are mapped into memory, where a write for which the disk has no room ends the process: room is
    had beforehand, or the worker counts for itself. Damaged files of the slot's former owner are removed,
    for opening one would end this worker, too.

    Returns:
        Whether the files can be used.
    """
    slot = os.environ.get(SLOT_VARIABLE, str(os.getpid()))
    folder = Path(os.environ[FOLDER_VARIABLE])
    try:
        files = {str(file): _opened(file) for file in (folder / f"{kind}_{slot}.db" for kind in _FILES)}
    except OSError as error:
        log.error("Metrics are not added up over the workers: %s", error.strerror)
        prometheus_client.values.ValueClass = prometheus_client.values.MutexValue
        return False
    # Otherwise each is opened at its first use, when its folder may be gone.
    prometheus_client.values.MmapedDict = lambda name: files.get(name) or _RoomyDict(name)  # type: ignore[attr-defined]
    prometheus_client.values.ValueClass = prometheus_client.values.MultiProcessValue(lambda: slot)
    return True


def _opened(file: Path) -> _RoomyDict:
    """A file, made if need be, with its room."""
    if file.exists() and not _readable(str(file)):
        log.warning("A damaged file of metrics was removed")
        file.unlink(missing_ok=True)
    with file.open("ab") as opened:
        os.posix_fallocate(opened.fileno(), 0, _FILE_BYTES)
    return _RoomyDict(str(file))


def _readable(file: str) -> bool:
    try:
        with Path(file).open("rb") as opened:
            (used,) = struct.unpack("i", opened.read(4))
            size = os.fstat(opened.fileno()).st_size
        for key, _, _, _ in MmapedDict.read_all_values_from_file(file):
            json.loads(key)
    except _DAMAGE:
        return False
    return bool(0 <= used <= size)
