"""An upload from its first byte to the moment at which every worker serves it, or nothing at all."""

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from predictor.checking.report import Limits, Refused, Report, Request
from predictor.checking.runner import try_model
from predictor.config import Settings
from predictor.errors import InvalidModel, StorageFull
from predictor.metrics import Metrics
from predictor.model_files import CALIBRATION, LABELS, MODEL, PREPROCESSING
from predictor.runtime.outcomes import attempt, counting
from predictor.runtime.received import Received, Revision, calibration, kept, revised
from predictor.store.commit import ModelTransactions
from predictor.store.files import alone, storage_errors
from predictor.store.lookup import not_served
from predictor.store.manifest import Manifest, described
from predictor.store.publish import Published, Publisher, now
from predictor.store.registry import ModelVersion

_CHECK_LOCK_SECONDS = 10.0

Try = Callable[[Path, Request], Report]
Judge = Callable[[ModelVersion, bool], Mapping[str, Any] | None]
_T = TypeVar("_T")

log = logging.getLogger(__name__)


class Uploads:
    """Takes uploads.

    Args:
        settings: limits.
        transactions: where uploads lie until they are versions.
        publisher: makes them versions.
        metrics: counters.
        try_model: tries a model in a process of its own.
        prepare: called with each version before it is published, while its files lie in a folder of its own.

    Attributes:
        staging: where files lie until they are a version.
        judge: says of such a version whether it may be published, by raising an error, and what is to be kept
            of the verdict; its second argument forces it. By default every version may.
    """

    judge: Judge

    def __init__(
        self,
        settings: Settings,
        transactions: ModelTransactions,
        publisher: Publisher,
        metrics: Metrics,
        try_model: Try = try_model,
        prepare: Callable[[ModelVersion], None] = lambda _: None,
    ) -> None:
        self.staging = transactions.staging
        self._limits = Limits(model_bytes=settings.max_model_bytes)
        self._allow_loops = settings.allow_loops == "on"
        self._transactions = transactions
        self._publisher = publisher
        self._metrics = metrics
        self.try_model = try_model
        self._prepare = prepare
        self.judge = lambda _version, _force: None
        # One check at a time on a machine: each may use a core and much memory.
        self._lock = transactions.registry.data / "check.lock"

    def take(self, receive: Callable[[Path], Received]) -> Published:
        """Receive, check and publish a model; all workers serve it when this returns.

        What has the files of the live version is neither checked nor published again.

        Args:
            receive: writes what comes into a folder.

        Raises:
            InvalidModel: the model cannot be served.
            ModelConflict: too many uploads come at once.
            StorageFull: there is no room.
            NotReady: the machine is too busy to try it, or a worker could not load it in time.
        """
        with self.attempt() as begin:
            return self._taken(receive, begin)

    def candidate(self, folder: Path, received: Received) -> ModelVersion:
        """Check a model as an upload is, without publishing it; its files stay in the folder.

        Raises:
            InvalidModel: the model cannot be served.
            ModelConflict: it is that of a quarantined version, or too many uploads come at once.
            NotReady: the machine is too busy to try it.
        """
        self._publisher.unchanged(received.name, _described(folder, received, received.files))
        return self._checked_version(folder, received)

    def revise(
        self,
        name: str,
        version: int | None,
        text: str,
        by: str | None,
        *,
        file: str = PREPROCESSING,
        force: bool = False,
    ) -> Published:
        """Publish a version that differs from another one in its preprocessing, or in its calibration.

        Args:
            name: of the model.
            version: whose files are used; None for the live one.
            text: the new preprocessing, in any form that may come beside a model, or the new calibration.
            by: the address that it came from.
            file: `PREPROCESSING` or `CALIBRATION`.
            force: whether it is published although it gets too few golden images right.

        Raises:
            ModelNotFound: there is no such name or version.
            InvalidModel: its files are damaged, or the new one does not fit them.
        """
        registry = self._transactions.registry
        with self.attempt() as begin:
            number = version or (known := registry.name(name)).live
            if number is None:
                raise not_served(name, known)
            base = self._transactions.supplied(name, number)
            revision = Revision(file, text, by, force)
            try:
                base.verify()
                return self._taken(lambda folder: revised(base, revision, folder), begin)
            except (InvalidModel, StorageFull):
                # Where it was deleted meanwhile, that is the reason.
                registry.version(name, number)
                raise

    def activate(self, name: str, version: int, *, force: bool = False) -> ModelVersion:
        """Have another version of a name served, if it may be published.

        Raises:
            ModelNotFound: there is no such name or version.
            ModelConflict: it is quarantined.
            InvalidModel: a worker cannot serve it, or it may not be published.
        """
        with self.attempt() as begin:
            known, verdict = self._transactions.registry.name(name), None
            if known.good(version) and version != known.live:
                verdict = self.judge(self._transactions.supplied(name, version), force)
            forced = bool(verdict and verdict["forced"])
            begin()
            return self._publisher.activate(name, version, forced=forced)

    def change(self, change: Callable[[], _T]) -> _T:
        """Make a change of a live version, and count what comes of it."""
        with counting(self._metrics.swaps):
            return change()

    def attempt(self) -> AbstractContextManager[Callable[[], None]]:
        """Count a change as `outcomes.attempt` does; one that never begins is none of a live version."""
        return attempt(self._metrics.swaps)

    def _taken(self, receive: Callable[[Path], Received], begin: Callable[[], None]) -> Published:
        with self._transactions.staging.new_folder() as folder:
            with self._timed("receive"), storage_errors():
                received = receive(folder)
            uploaded = _described(folder, received, received.files)
            # What is joined or adapted is compared once it is what would be served.
            if not received.data and (live := self._publisher.unchanged(received.name, uploaded)):
                return Published(live, unchanged=True)
            candidate = self._checked_version(folder, received)
            self._prepare(candidate)
            begin()
            return self._published(folder, candidate, received)

    def _checked_version(self, folder: Path, received: Received) -> ModelVersion:
        """What could be published of an upload's files, with the report of their check."""
        if CALIBRATION in received.files:
            # What nobody can read need not wait for the check.
            calibration(folder, None)
        report = self._checked(folder, received)
        manifest = _described(folder, received, kept(folder, received, report))
        report = dataclasses.replace(report, warnings=(*received.found.warnings, *report.warnings))
        found = {**report_json(report), "files": received.uses(report), **received.about}
        if CALIBRATION in received.files:
            found["calibration"] = calibration(folder, found).to_json()
        complete = dataclasses.replace(manifest, report=found)
        return ModelVersion(received.name, 0, folder / MODEL, complete.digest, complete)

    def _published(self, folder: Path, candidate: ModelVersion, received: Received) -> Published:
        manifest = candidate.manifest
        assert manifest is not None  # noqa: S101 - a candidate has one
        if (verdict := self.judge(candidate, received.force)) is not None:
            manifest = dataclasses.replace(manifest, report={**manifest.report, "golden": dict(verdict)})
        return self._publisher.upload(received.name, folder, manifest)

    def _checked(self, folder: Path, received: Received) -> Report:
        """What the check found."""
        held = alone(self._lock, "Another upload is being checked; try again.", _CHECK_LOCK_SECONDS)
        with counting(self._metrics.checks), storage_errors(), held, self._timed("check"):
            try:
                return self.try_model(folder, self._request(received))
            except Refused as refused:
                log.warning(
                    "A model for %s was refused (%s): %s", received.name, refused.reason, refused.detail
                )
                raise

    def _request(self, received: Received) -> Request:
        return Request(
            model=MODEL,
            labels=LABELS if LABELS in received.files else None,
            preprocessing=PREPROCESSING if PREPROCESSING in received.files else None,
            data=received.data,
            unsure=received.found.unsure,
            guessed=received.found.guessed,
            limits=self._limits,
            allow_control_flow=self._allow_loops,
        )

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._metrics.observe_step(step, time.perf_counter() - start)


def _described(folder: Path, received: Received, files: Mapping[str, str]) -> Manifest:
    return described(folder, files, by=received.by, created=now())


def report_json(report: Report) -> dict[str, Any]:
    """What was found and how: the spec, figures of the trial runs, and all warnings together."""
    apart = {"spec", "warnings", "best", "beside", "weights", "unused"}
    figures = {name: value for name, value in report.to_json().items() if name not in apart and value != []}
    return {**report.spec, **figures, "warnings": report.all_warnings}
