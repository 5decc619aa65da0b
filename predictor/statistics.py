"""What became of each version's requests and runs: metrics, and their totals over all workers."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Gauge, Summary

Outcome = Literal["hit", "miss", "uncached", "fail"]
"""What became of a request: all its images were in the cache, or not; the cache is not used; or an error."""

_REQUESTS, _RUNS = "predictor_inference_seconds", "predictor_run_seconds"
_LAST = "predictor_last_inference_timestamp_seconds"
_TELL_SECONDS = 0.1
_WORK = ("lookup", "queue", "input", "infer", "output")
# Which of these parts each phase of a prediction belongs to.
_PARTS = {"queue": "queue", "decode": "input", "preprocess": "input", "infer": "infer"}


class ModelMetrics:
    """Metrics of each version of a model.

    Args:
        registry: where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.inference_seconds = Summary(
            _REQUESTS, "Seconds of a version's requests, by outcome and by part of the work.",
            ("model", "version", "part"), registry=registry,
        )  # fmt: skip
        self.run_seconds = Summary(
            _RUNS, "Seconds of a version's runs, by the number of images in the batch.",
            ("model", "version", "size"), registry=registry,
        )  # fmt: skip
        self.last_inference = Gauge(
            _LAST, "When a version's latest request was answered, in seconds since 1970.",
            ("model", "version"), registry=registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip
        # `labels` checks its arguments and takes a lock, which costs more than the counting itself.
        self._parts, self._sizes = cache(self.inference_seconds.labels), cache(self.run_seconds.labels)
        self._last = cache(self.last_inference.labels)
        self._last_told: dict[tuple[str, int], float] = {}

    def count_inference(
        self, model: str, version: int, outcome: Outcome, seconds: float, spent: Mapping[str, float] | None
    ) -> None:
        """Count a request that reached a version.

        Args:
            model: the name.
            version: the number.
            outcome: what became of it.
            seconds: the whole of it.
            spent: seconds of each phase, for many images their mean, and of the `lookup` in the cache; None
                unless an image ran.
        """
        self._parts(model, version, outcome).observe(seconds)
        now = time.time()
        # Answers from the cache come in thousands a second; this need not be as exact.
        if spent is not None or now - self._last_told.get((model, version), 0.0) > _TELL_SECONDS:
            self._last_told[model, version] = now
            self._last(model, version).set(now)
        if spent is not None:
            parts = defaultdict[str, float](float)
            for phase, one in spent.items():
                parts[_PARTS.get(phase, phase)] += one
            parts["output"] = max(0.0, seconds - sum(parts[part] for part in ("queue", "input", "infer")))
            for part in _WORK:
                self._parts(model, version, part).observe(parts[part])

    def count_run(self, model: str, version: int, images: int, seconds: float) -> None:
        """Count a run of a batch."""
        self._sizes(model, version, images).observe(seconds)


@dataclass(frozen=True)
class Spent:
    """How often something happened, and the seconds that it took in all."""

    count: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, int]:
        """The protocol's form, in whole nanoseconds."""
        return {"count": self.count, "ns": round(self.seconds * 1e9)}


@dataclass
class VersionStatistics:
    """The totals of one version.

    Attributes:
        parts: its requests by outcome, and those of which an image ran by part of the work.
        runs: its runs by the number of images in them.
        last: when its latest request was answered, in seconds since 1970; 0 for never.
    """

    parts: dict[str, Spent] = field(default_factory=dict)
    runs: dict[int, Spent] = field(default_factory=dict)
    last: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """An entry of the protocol's `model_stats`, without name and version.

        A request counts once, however many images it has: as `cache_hit` if none of them ran, and else in the
        compute parts.
        """
        part = {name: self.parts.get(name, Spent()) for name in _ALL}
        ran = _sum(part["miss"], part["uncached"])
        kinds = {
            "success": _sum(part["hit"], ran),
            "fail": part["fail"],
            "queue": part["queue"],
            "compute_input": part["input"],
            "compute_infer": part["infer"],
            "compute_output": part["output"],
            "cache_hit": part["hit"],
            "cache_miss": Spent(part["miss"].count, part["lookup"].seconds if part["miss"].count else 0.0),
        }
        return {
            "last_inference": round(1000 * self.last),
            "inference_count": sum(size * spent.count for size, spent in self.runs.items()),
            "execution_count": sum(spent.count for spent in self.runs.values()),
            "inference_stats": {name: spent.to_json() for name, spent in kinds.items()},
            "batch_stats": [
                {"batch_size": size, "compute_infer": spent.to_json()}
                for size, spent in sorted(self.runs.items())
            ],
            "memory_usage": [],
        }


_ALL = ("hit", "miss", "uncached", "fail", *_WORK)


def totals(families: Iterable[Any]) -> dict[tuple[str, str], VersionStatistics]:
    """The totals of each version by its name and number, from what a registry collects."""
    found = defaultdict[tuple[str, str], VersionStatistics](VersionStatistics)
    for family in families:
        if family.name in {_REQUESTS, _RUNS, _LAST}:
            for sample in family.samples:
                _add(found[sample.labels["model"], sample.labels["version"]], sample)
    return dict(found)


def _add(version: VersionStatistics, sample: Any) -> None:
    if sample.name == _LAST:
        version.last = sample.value
        return
    if sample.name.endswith("_created"):
        return
    more = Spent(int(sample.value)) if sample.name.endswith("_count") else Spent(0, sample.value)
    if sample.name.startswith(_REQUESTS):
        part = sample.labels["part"]
        version.parts[part] = _sum(version.parts.get(part, Spent()), more)
    else:
        size = int(sample.labels["size"])
        version.runs[size] = _sum(version.runs.get(size, Spent()), more)


def _sum(one: Spent, other: Spent) -> Spent:
    return Spent(one.count + other.count, one.seconds + other.seconds)
