"""One model version loaded in this worker: its spec, and what runs it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from predictor.config import Settings
from predictor.model import labels
from predictor.model.device import Device
from predictor.model.discover import agree, discover
from predictor.model.session import Session, Stop, load
from predictor.model.spec import ModelSpec
from predictor.runtime.batch import Array, Prepare, Run, Runner
from predictor.runtime.gently import gently
from predictor.runtime.processor import Cpu, Gpu, Processor, Wanted
from predictor.runtime.watchdog import Watchdog
from predictor.store import manifest
from predictor.store.registry import ModelVersion

_TRIALS = 2
_NO_MORE = 1.02

_Run = Callable[[Array], Array]

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
        processor: what it runs on.
    """

    version: ModelVersion
    spec: ModelSpec
    provider: str
    bytes: int
    runner: Runner
    processor: Processor

    def run(self, prepare: Prepare, wanted: Wanted = lambda: None) -> Run:
        """Prepare and run one picture in its turn, if by then it is still wanted."""
        return self.processor.run(self.runner, prepare, wanted)


class Loader:
    """Loads models on this worker's device and warms them up.

    Args:
        device: where to run them.
        settings: limits.
        observe: told the size of each batch.
        watchdog: watches the runs.
    """

    def __init__(
        self,
        device: Device,
        settings: Settings,
        *,
        observe: Callable[[int], None],
        watchdog: Watchdog,
    ) -> None:
        self._device = device
        self._settings = settings
        self._observe = observe
        self._watchdog = watchdog
        self._processor = Gpu(settings) if device.kind == "cuda" else Cpu(settings)

    def load(self, version: ModelVersion) -> LoadedModel:
        """Load a version and warm it up.

        Raises:
            InvalidModel: the file is no image classifier that can be served.
            NotReady: the device cannot be used.
        """
        with self._watchdog.loading(version.key):
            session = gently(lambda: load(version.path, self._device))
            spec = _spec(session, version)
        run = _filled(self._watched(session, spec, version), spec.batch)
        alone = gently(lambda: _seconds_per_image(run, spec, 1))
        largest = spec.batch or self._largest_batch(run, spec, alone)
        runner = Runner(run, largest=largest, seconds=alone, observe=self._observe)
        log.info("At most %d pictures run together", largest)
        return LoadedModel(
            version, spec, session.provider, version.path.stat().st_size, runner, self._processor
        )

    def _watched(self, session: Session, spec: ModelSpec, version: ModelVersion) -> _Run:
        def run(batch: Array) -> Array:
            stop = Stop()
            with self._watchdog.watching(version.key, stop):
                return session.run(batch, spec.names, stop)

        return run

    def _largest_batch(self, run: _Run, spec: ModelSpec, alone: float) -> int:
        """How many pictures run together at most; on a CPU two, if each then costs no more than alone.

        Larger batches gain a processor nothing further, and hold memory for good.
        """
        most = self._settings.max_batch
        if self._device.kind == "cuda":
            return most
        if most == 1:
            return 1
        together = gently(lambda: _seconds_per_image(run, spec, 2))
        return 2 if together < _NO_MORE * alone else 1


def _spec(session: Session, version: ModelVersion) -> ModelSpec:
    """What the check of an upload found out; the model that ships with the service says it itself."""
    graph, names = session.graph, version.companion(manifest.LABELS)
    if version.manifest is None:
        return discover(graph)
    found = version.manifest.report
    spec = ModelSpec.from_json(found, labels.find(names, graph.metadata, found.get("classes")).labels)
    agree(spec, graph)
    return spec


def _filled(run: _Run, fixed: int | None) -> _Run:
    """Give a model of fixed batch size the pictures that it wants, blank ones after the real ones."""
    if fixed is None:
        return run

    def filled(batch: Array) -> Array:
        blank = np.zeros((fixed - len(batch), *batch.shape[1:]), batch.dtype)
        return run(np.concatenate([batch, blank]))[: len(batch)]

    return filled


def _seconds_per_image(run: _Run, spec: ModelSpec, batch: int) -> float:
    """The best of a few runs of blank pictures, the first of which finds memory and kernels for the rest."""
    blank = np.zeros((batch, *spec.preprocessing.shape), spec.preprocessing.dtype)
    seconds = []
    for _ in range(_TRIALS):
        start = time.perf_counter()
        run(blank)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / batch
