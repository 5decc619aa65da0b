"""The models with their features, loaded when a class activation map is asked for.

Each needs a session of its own, with its own copy of the weights: a worker has one of them at a time, and
drops it when it was not used for a while. How a network ends the check of its upload has found out.
"""

import ctypes
import logging
import threading
import time
from collections.abc import Callable

from predictor.errors import NotReady, Overloaded, PredictorError
from predictor.explaining.methods import Features, Network, Watch
from predictor.inference.admission import Deadline
from predictor.inference.loader import LoadedModel
from predictor.model.final_layers import FinalLayers
from predictor.store.registry import ModelVersion

KEPT_SECONDS = 60.0
"""How long a session is kept after its last use."""
BUNDLED = FinalLayers(
    "head.relu6",
    last=False,
    logits="logits",
    weights="classifier.weight",
    missing=("logits", "head.relu6", "classifier.weight"),
)
"""How the network ends that ships with the service, which no check has seen."""

_FAILED = "The model could not be loaded with its features. Try again in a minute, or use the method masks."
_LATE = "The explanation would not be ready before its deadline."

log = logging.getLogger(__name__)


class FeatureMaps:
    """Loads models with their features, where they have some that can be explained.

    Args:
        watch: watches the runs.
        kept: seconds for which a session is kept after its last use.
    """

    def __init__(self, watch: Watch, *, kept: float = KEPT_SECONDS) -> None:
        self._watch = watch
        self._kept = kept
        self._lock = threading.Lock()
        # Models whose numbers contradict what their graphs seem to be.
        self._refuted = set[str]()
        self._loaded: tuple[str, Features] | None = None
        self._used = 0.0

    def of(self, model: LoadedModel, deadline: Deadline | None = None) -> Features | None:
        """A model with its features; None if its scores are no linear layer of averages over all places.

        Args:
            model: what is explained.
            deadline: until when the answer is wanted.

        Raises:
            NotReady: it cannot be loaded now.
            Overloaded: another model was being loaded until the deadline.
        """
        key, layers = model.version.digest, _final_layers(model.version)
        if layers is None or key in self._refuted:
            return None
        if not self._lock.acquire(timeout=min((deadline or Deadline()).left, threading.TIMEOUT_MAX)):
            raise Overloaded(_LATE)
        try:
            return self._with_features(key, model, layers)
        finally:
            self._lock.release()

    def _with_features(self, key: str, model: LoadedModel, layers: FinalLayers) -> Features | None:
        self._used = time.monotonic()
        if self._loaded is not None and self._loaded[0] == key:
            return self._loaded[1]
        if (found := self._load(model, layers)) is None:
            self._refuted.add(key)
            return None
        if self._loaded is None:
            _later(self._kept, self._drop)
        self._loaded = key, found
        return found

    def _drop(self) -> None:
        with self._lock:
            left = self._used + self._kept - time.monotonic()
            if left > 0:
                _later(left, self._drop)
            else:
                self._loaded = None
                # What the session has freed stays with this process otherwise.
                ctypes.CDLL(None).malloc_trim(0)

    def _load(self, model: LoadedModel, layers: FinalLayers) -> Features | None:
        """Load a model with its features, if numbers show that they make its scores."""
        try:
            return Network(model, layers, self._watch).features()
        except (ValueError, IndexError) as error:
            log.warning("%s gives no features: %s", model.version.key, type(error).__name__)
            return None
        except (PredictorError, OSError) as error:
            log.warning("%s cannot be run with its features: %s", model.version.key, type(error).__name__)
            raise NotReady(_FAILED) from error


def _final_layers(version: ModelVersion) -> FinalLayers | None:
    if version.manifest is None:
        return BUNDLED
    found = version.manifest.report.get("final_layers")
    return None if found is None else FinalLayers.from_json(found)


def _later(seconds: float, work: Callable[[], object]) -> None:
    timer = threading.Timer(seconds, work)
    timer.daemon = True
    timer.start()
