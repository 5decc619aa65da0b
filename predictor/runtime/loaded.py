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

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to run.

    Attributes:
        version: which model this is.
        spec: how to feed it and how to read its answer.
        provider: the execution provider that the session uses, as the session says.
        seconds_per_image: measured at the warm-up.
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
    seconds = _warm_up(session, spec)
    # On a CPU, one picture a run on each core gives more pictures a second than larger batches do.
    largest = settings.max_batch if device.kind == "cuda" and spec.batch is None else 1
    batcher = Batcher(session.run, largest=largest, slots=slots, observe=observe)
    return LoadedModel(version, spec, session.provider, seconds, batcher)


def _warm_up(session: Session, spec: ModelSpec) -> float:
    """Run blank pictures, so that the first request finds memory and kernels ready; seconds of a run."""
    blank = np.zeros((1, *spec.preprocessing.shape), spec.preprocessing.dtype)
    session.run(blank)
    start = time.perf_counter()
    session.run(blank)
    return time.perf_counter() - start
