"""One model version loaded in this worker: its spec, and what runs it."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from predictor import model_files, shared
from predictor.config import BUNDLED_MODEL, Settings
from predictor.cores import cores
from predictor.discovery.discover import discover, recalled
from predictor.errors import InvalidModel, NotReady
from predictor.inference.batcher import Batcher
from predictor.inference.job import Array, Check, Finish, Job, Prepare, Runner
from predictor.inference.pairs import Pairs
from predictor.inference.shared_weights import SharedWeights
from predictor.inference.slots import ComputeSlots
from predictor.inference.watchdog import Watchdog
from predictor.model.device import Device, choose
from predictor.model.session import Session, Stop, load
from predictor.model.spec import ModelSpec, calibrated
from predictor.shared import worker_index
from predictor.store.files import locked
from predictor.store.registry import ModelVersion

_WARM_RUNS = 2
_LONG_SECONDS, _LOCK_SECONDS = 0.5, 60.0

_Run = Callable[..., Array]
"""Runs a batch, which the `Stop` that may come with it ends."""
Count = Callable[[str, int, int, float], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to run.

    Attributes:
        version: which model this is.
        spec: how to feed it and how to read its answer.
        provider: the execution provider that the session uses, as the session says.
        bytes: size of its file.
        runner: the model itself.
        batcher: has its images wait, and runs them.
    """

    version: ModelVersion
    spec: ModelSpec
    provider: str
    bytes: int
    runner: Runner
    batcher: Batcher

    def job(self, prepare: Prepare, finish: Finish, check: Check) -> Job:
        """An image that `submit` is to run with this model."""
        return Job(self.runner, prepare, finish, check)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Have images prepared and run in their turn."""
        self.batcher.submit(jobs)

    def run(self, job: Job) -> None:
        """Have one image prepared and run in its turn, in this thread where that is possible."""
        self.batcher.run(job)

    def scores(self, tensor: Array) -> Array:
        """Run one image that is prepared already.

        Args:
            tensor: without a batch axis.

        Returns:
            Its scores, shape [classes].
        """
        job = Job(self.runner, lambda: tensor, lambda scores: scores)
        self.run(job)
        return job.future.result().value  # type: ignore[no-any-return]


class Loader:
    """Loads models on this worker's device and warms them up.

    Args:
        device: where to run them.
        settings: limits.
        folder: where a version's files lie, or those that are made of it.
        observe: told the size of each batch.
        watchdog: watches the runs.
        count: told of each run the name and number of the version, the size of the batch and the seconds.
    """

    def __init__(
        self,
        device: Device,
        settings: Settings,
        *,
        folder: Callable[[ModelVersion], Path],
        observe: Callable[[int], None],
        watchdog: Watchdog,
        count: Count = lambda *_: None,
    ) -> None:
        self._device = device
        self._settings = settings
        self._observe = observe
        self._watchdog = watchdog
        self._count = count
        self._shared_weights = SharedWeights(folder)
        self._batcher = _batcher(device, settings)

    def load(self, version: ModelVersion) -> LoadedModel:
        """Load a version and warm it up.

        Raises:
            InvalidModel: the file is no image classifier that can be served.
            NotReady: the device cannot be used.
        """
        with self._watchdog.loading(version.key):
            session = self._session(version)
            spec = _spec(session, version)
        run = _filled(self._watched(session, spec, version), spec.batch)
        runner = Runner(
            self._counted(run, version),
            max_batch=self._max_batch(spec),
            seconds=_seconds_of_one(run, spec),
            observe=self._observe,
        )
        return LoadedModel(version, spec, session.provider, version.bytes, runner, self._batcher)

    def share_weights(self, version: ModelVersion) -> None:
        """Write a version in a form that workers on a CPU share in memory, unless it is there."""
        if self._device.kind == "cpu":
            self._shared_weights.write(version)

    def close(self) -> None:
        """Run nothing more."""
        self._batcher.close()

    def _session(self, version: ModelVersion) -> Session:
        if self._device.kind == "cuda":
            return load(version.path, self._device)
        return self._shared_weights.session(version)

    def _watched(self, session: Session, spec: ModelSpec, version: ModelVersion) -> _Run:
        def run(batch: Array, stop: Stop | None = None) -> Array:
            stop = stop or Stop()
            with self._watchdog.watching(version.key, stop):
                return session.run(batch, spec.names, stop)

        return run

    def _counted(self, run: _Run, version: ModelVersion) -> _Run:
        def counted(batch: Array, *stop: Stop) -> Array:
            start = time.perf_counter()
            scores = run(batch, *stop)
            self._count(version.name, version.version, len(batch), time.perf_counter() - start)
            return scores

        return counted

    def _max_batch(self, spec: ModelSpec) -> int | Pairs:
        most = self._settings.max_batch
        if spec.batch is None and self._device.kind == "cpu":
            return Pairs() if most > 1 else 1
        return spec.batch or most


def _batcher(device: Device, settings: Settings) -> Batcher:
    if device.kind == "cuda":
        return Batcher(ComputeSlots(1), threads=1, preparers=settings.concurrency)
    workers = settings.workers or cores()
    return Batcher(
        ComputeSlots(settings.concurrency, cores(), workers, shared=shared.computing), threads=cores()
    )


def _spec(session: Session, version: ModelVersion) -> ModelSpec:
    """What the check of an upload found out; the model that ships with the service says it itself."""
    graph, names = session.graph, version.companion(model_files.LABELS)
    if version.manifest is None:
        return discover(graph)
    spec = recalled(version.manifest.report, names, graph)
    return calibrated(spec, version.companion(model_files.CALIBRATION))


def _filled(run: _Run, fixed: int | None) -> _Run:
    """Give a model of fixed batch size the images that it wants, blank ones after the real ones."""
    if fixed is None:
        return run

    def filled(batch: Array, *stop: Stop) -> Array:
        blank = np.zeros((fixed - len(batch), *batch.shape[1:]), batch.dtype)
        return run(np.concatenate([batch, blank]), *stop)[: len(batch)]

    return filled


def _seconds_of_one(run: _Run, spec: ModelSpec) -> float:
    """How long a run of one blank image takes; a model that takes long is run once.

    The first run finds memory and kernels for the others.
    """
    preprocessing, seconds = spec.preprocessing, list[float]()
    blank = np.zeros((1, *preprocessing.shape), preprocessing.dtype)
    while len(seconds) < _WARM_RUNS and sum(seconds) < _LONG_SECONDS:
        start = time.perf_counter()
        run(blank)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def chosen(settings: Settings) -> Device:
    """The device that is set; where `auto` finds a GPU that the runtime cannot use, the CPU."""
    device = choose(settings.device)
    if settings.device == "auto" and device.kind == "cuda":
        try:
            load(BUNDLED_MODEL, device)
        except (InvalidModel, NotReady) as error:
            return Device("cpu", reason=f"The CPU is used. {error.detail}")
    return device


@contextmanager
def loading_alone(data: Path) -> Iterator[None]:
    """Hold the machine's device lock until the session has its memory, so that workers spread out."""
    with _held(data / "device.lock", "workers that start together may share a GPU"):
        yield


@contextmanager
def loading_in_turn(data: Path) -> Iterator[None]:
    """Have workers that load at the same time leave half of the cores to requests."""
    turn = worker_index() % max(1, cores() // 2)
    with _held(data / f"load-{turn}.lock", "the workers load at the same time"):
        yield


@contextmanager
def _held(lock: Path, otherwise: str) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, _LOCK_SECONDS))
        except OSError:
            log.warning("The lock %s cannot be had: %s", lock.name, otherwise)
        yield
