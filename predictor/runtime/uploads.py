"""An upload from its first byte to the moment at which every worker serves it, or nothing at all."""

import dataclasses
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import Counter

from predictor.archives import shown
from predictor.checking.report import Limits, Refused, Report, Request
from predictor.checking.runner import try_model
from predictor.config import Settings
from predictor.discovery.configs import native
from predictor.errors import ModelConflict, ModelNotFound, PredictorError
from predictor.metrics import Metrics
from predictor.store.commit import ModelTransactions
from predictor.store.files import locked, storage_errors
from predictor.store.manifest import DATA, LABELS, MODEL, PREPROCESSING, described
from predictor.store.publish import Publisher, now
from predictor.store.registry import ModelVersion

_CHECK_LOCK_SECONDS = 10.0

_USES = {MODEL: "model", LABELS: "labels", PREPROCESSING: "preprocessing"}
_NOT = "not used"
_LISTED = 100

Try = Callable[[Path, Request], Report]


@dataclass(frozen=True)
class Received:
    """What lies in an upload's folder.

    Attributes:
        name: the model that it is to be a version of.
        files: the uploader's path for each file, by its name in the folder.
        by: the address that it came from.
        data: the names in the folder of those that may hold weights, by their paths from the model's folder.
        unused: the uploader's paths for what was not kept.
    """

    name: str
    files: Mapping[str, str]
    by: str | None
    data: Mapping[str, str] = field(default_factory=dict)
    unused: Sequence[str] = ()

    def uses(self, read: Collection[str]) -> list[dict[str, str]]:
        """What each file was used for, as the report says it.

        Args:
            read: the names in the folder of those that weights were read from.
        """
        weights = dict.fromkeys(read, "weights")
        uses = [(path, (_USES | weights).get(name, _NOT)) for name, path in self.files.items()]
        used = [one for one in uses if one[1] != _NOT]
        unused = [*(one for one in uses if one[1] == _NOT), *((path, _NOT) for path in self.unused)]
        return [*_some(used), *_some(unused)]


class Uploads:
    """Takes uploads.

    Args:
        settings: limits.
        transactions: where uploads lie until they are versions.
        publisher: makes them versions.
        metrics: counters.
        try_model: tries a model in a process of its own.
        prepare: called with each version before it is published, while its files lie in a folder of its own.
    """

    def __init__(
        self,
        settings: Settings,
        transactions: ModelTransactions,
        publisher: Publisher,
        metrics: Metrics,
        try_model: Try = try_model,
        prepare: Callable[[ModelVersion], None] = lambda _: None,
    ) -> None:
        self._limits = Limits(model_bytes=settings.max_model_bytes)
        self._allow_loops = settings.allow_loops == "on"
        self._transactions = transactions
        self._publisher = publisher
        self._metrics = metrics
        self._try = try_model
        self._prepare = prepare
        # One check at a time on a machine: each may use a core and much memory.
        self._lock = transactions.registry.data / "check.lock"

    def take(self, receive: Callable[[Path], Received]) -> ModelVersion:
        """Receive, check and publish a model; all workers serve it when this returns.

        Args:
            receive: writes what comes into a folder.

        Raises:
            InvalidModel: the model cannot be served.
            ModelConflict: too many uploads come at once.
            StorageFull: there is no room.
            NotReady: the machine is too busy to try it, or a worker could not load it in time.
        """
        with self._transactions.staging.new_folder() as folder:
            with self._timed("receive"), storage_errors():
                received = receive(folder)
            report = self._checked(folder, received)
            left = {name: path for name, path in received.files.items() if (folder / name).exists()}
            manifest = described(folder, left, by=received.by, created=now())
            complete = dataclasses.replace(manifest, report=report)
            self._prepare(ModelVersion(received.name, 0, folder / MODEL, complete.digest, complete))
            return self.change(lambda: self._publisher.upload(received.name, folder, complete))

    def revise(self, name: str, version: int | None, text: str, by: str | None) -> ModelVersion:
        """Publish a version that differs from another one in its preprocessing only.

        Args:
            name: of the model.
            version: whose files are used; None for the live one.
            text: the new preprocessing, in any form that may come beside a model.
            by: the address that it came from.

        Raises:
            ModelNotFound: there is no such name or version.
            InvalidModel: its files are damaged, or the preprocessing does not fit them.
        """
        registry = self._transactions.registry
        number = version or registry.name(name).live
        if number is None:
            raise ModelNotFound("The model has no live version.")
        base = registry.version(name, number)
        base.verify()
        return self.take(lambda folder: _revised(base, text, folder, by))

    def change(self, change: Callable[[], ModelVersion]) -> ModelVersion:
        """Make a change of a live version, and count what comes of it."""
        with _counting(self._metrics.swaps):
            return change()

    def _checked(self, folder: Path, received: Received) -> Mapping[str, Any]:
        """What the check found; files of weights that the model does not read are gone then."""
        with _counting(self._metrics.checks), self._alone(), self._timed("check"):
            report = self._try(folder, self._request(received))
        for name in set(received.data.values()) - set(report.data):
            (folder / name).unlink()
        return report_json(report) | {"files": received.uses(report.data)}

    def _request(self, received: Received) -> Request:
        return Request(
            model=MODEL,
            labels=LABELS if LABELS in received.files else None,
            preprocessing=PREPROCESSING if PREPROCESSING in received.files else None,
            data=received.data,
            limits=self._limits,
            allow_control_flow=self._allow_loops,
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with storage_errors(), locked(self._lock, _CHECK_LOCK_SECONDS):
                yield
        except TimeoutError as error:
            raise ModelConflict("Another upload is being checked; try again.") from error

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._metrics.observe_step(step, time.perf_counter() - start)


def _some(uses: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """A list that stays short, however many files there are."""
    more = len(uses) - _LISTED
    rest = [{"name": f"{more} more", "use": uses[-1][1]}] if more > 0 else []
    return [{"name": shown(name), "use": use} for name, use in uses[:_LISTED]] + rest


def _revised(base: ModelVersion, text: str, folder: Path, by: str | None) -> Received:
    """Lay a version's files into a folder, with another preprocessing."""
    names = {MODEL: base.path.name if base.manifest is None else base.manifest.model}
    shutil.copyfile(base.path, folder / MODEL)
    if base.manifest is not None and base.manifest.labels is not None:
        names[LABELS] = base.manifest.labels
        shutil.copyfile(base.path.with_name(LABELS), folder / LABELS)
    before = base.companion(PREPROCESSING)
    (folder / PREPROCESSING).write_text(native.continued(text, before), encoding="utf-8")
    data = {name: name for name in (base.manifest.files if base.manifest else ()) if name.startswith(DATA)}
    for name in data:
        shutil.copyfile(base.path.with_name(name), folder / name)
    files = {**names, PREPROCESSING: "preprocessing.json", **data}
    return Received(base.name, files, by, data)


@contextmanager
def _counting(counter: Counter) -> Iterator[None]:
    """Count how a block ends: ok, why a model was refused, or the code of the error."""
    outcome = "internal"
    try:
        yield
        outcome = "ok"
    except PredictorError as error:
        outcome = error.reason if isinstance(error, Refused) else error.code
        raise
    finally:
        counter.labels(outcome).inc()


def report_json(report: Report) -> dict[str, Any]:
    """What was found and how: the spec, figures of the trial runs, and all warnings together."""
    spec = dict(report.spec)
    warnings = [*spec.pop("warnings", ()), *report.warnings]
    apart = {"spec", "warnings", "best", "data"}
    figures = {name: value for name, value in report.to_json().items() if name not in apart}
    return {**spec, **figures, "warnings": warnings}
