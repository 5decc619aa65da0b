"""One model version loaded in this worker: its spec, its session and the queue before it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from predictor.config import Settings
from predictor.model.device import Device
from predictor.model.discover import discover
from predictor.model.session import Session, load
from predictor.model.spec import ModelSpec
from predictor.runtime.batch import Array, Batcher, Run
from predictor.store.registry import ModelVersion

_TRIALS = 4
_NO_MORE = 1.02

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to run.

    Attributes:
        version: which model this is.
        spec: how to feed it and how to read its answer.
        provider: the execution provider that the session uses, as the session says.
        seconds_per_image: of a picture that runs alone, measured at the load.
    """

    version: ModelVersion
    spec: ModelSpec
    provider: str
    seconds_per_image: float
    batcher: Batcher

    def run(self, tensor: Array) -> Run:
        """Run one picture, given without a batch axis, in its turn."""
        return self.batcher.run(tensor)


def load_model(
    version: ModelVersion, device: Device, settings: Settings, *, slots: int, observe: Callable[[int], None]
) -> LoadedModel:
    """Load a version on a device and warm it up.

    Args:
        version: what to load.
        device: where to run it.
        settings: limits.
        slots: runs at the same time.
        observe: told the size of each batch.

    Raises:
        InvalidModel: the file is no image classifier that can be served.
        NotReady: the device cannot be used.
    """
    session = load(version.path, device)
    spec = discover(session.graph)
    alone = _seconds_per_image(session, spec, 1)
    largest = 1 if spec.batch is not None else _largest_batch(session, spec, device, settings, alone)
    batcher = Batcher(session.run, largest=largest, slots=slots, observe=observe)
    log.info("At most %d pictures run together", largest)
    return LoadedModel(version, spec, session.provider, alone, batcher)


def _largest_batch(
    session: Session, spec: ModelSpec, device: Device, settings: Settings, alone: float
) -> int:
    """How many pictures run together at most; on a CPU, two if that costs no more for each than one alone.

    Larger batches gain a processor nothing further, and hold memory for good.
    """
    if device.kind == "cuda":
        return settings.max_batch
    pays = settings.max_batch > 1 and _seconds_per_image(session, spec, 2) < _NO_MORE * alone
    return 2 if pays else 1


def _seconds_per_image(session: Session, spec: ModelSpec, batch: int) -> float:
    """The best of a few runs of blank pictures, the first of which finds memory and kernels for the rest."""
    blank = np.zeros((spec.batch or batch, *spec.preprocessing.shape), spec.preprocessing.dtype)
    seconds = []
    for _ in range(_TRIALS):
        start = time.perf_counter()
        session.run(blank)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / batch
