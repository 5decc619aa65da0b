"""The models with their features, loaded when a class activation map is asked for.

Each needs a session of its own, with its own copy of the weights: a worker has one of them at a time, and
drops it when it was not used for a while. How a network ends is found by another process, since a worker does
not import onnx, and kept in a file beside the version.
"""

import ctypes
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import predictor
from predictor.errors import PredictorError
from predictor.explaining.features import Features, Network, Watch
from predictor.inference.loader import LoadedModel
from predictor.model.final_layers import FinalLayers
from predictor.store.files import atomic_write
from predictor.store.registry import ModelVersion

COMMAND = (sys.executable, "-P", "-s", "-m", "predictor.discovery.pooling")
"""Starts the process that looks at a graph."""
KEPT_SECONDS = 60.0
"""How long a session is kept after its last use."""

_FILE = "final-layers.json"
_SECONDS = 60
# Nothing of the service's own environment, in which there are tokens.
_ENVIRONMENT = {"PYTHONPATH": str(Path(predictor.__file__).resolve().parents[1])}

log = logging.getLogger(__name__)


class FeatureMaps:
    """Loads models with their features, where they have some that can be explained.

    Args:
        folder: where a version's files lie, or those that are made of it.
        watch: watches the runs.
        kept: seconds for which a session is kept after its last use.
        command: starts the process that looks at a graph.
    """

    def __init__(
        self,
        folder: Callable[[ModelVersion], Path],
        watch: Watch,
        *,
        kept: float = KEPT_SECONDS,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._folder = folder
        self._watch = watch
        self._kept = kept
        self._command = command
        self._lock = threading.Lock()
        self._layers: dict[str, FinalLayers | None] = {}
        self._loaded: tuple[str, Features] | None = None
        self._used = 0.0

    def of(self, model: LoadedModel) -> Features | None:
        """A model with its features; None if its scores are no linear layer of averages over all places."""
        key = f"{model.version.key} {model.version.digest}"
        with self._lock:
            self._used = time.monotonic()
            if self._loaded is not None and self._loaded[0] == key:
                return self._loaded[1]
            if key not in self._layers:
                self._layers[key] = self._found(model)
            layers = self._layers[key]
            found = None if layers is None else self._load(model, layers)
            if found is None:
                self._layers[key] = None
                return None
            if self._loaded is None:
                self._drop_later(self._kept)
            self._loaded = key, found
            return found

    def _drop_later(self, seconds: float) -> None:
        timer = threading.Timer(seconds, self._drop)
        timer.daemon = True
        timer.start()

    def _drop(self) -> None:
        with self._lock:
            left = self._used + self._kept - time.monotonic()
            if left > 0:
                self._drop_later(left)
            else:
                self._loaded = None
                # What the session has freed stays with this process otherwise.
                ctypes.CDLL(None).malloc_trim(0)

    def _found(self, model: LoadedModel) -> FinalLayers | None:
        """What the nodes of the graph show, as it was found before or as it is found now."""
        folder = self._folder(model.version)
        with suppress(OSError, ValueError, TypeError, KeyError):
            return _layers((folder / _FILE).read_text())
        try:
            answer = self._asked(model)
            found = _layers(answer)
        except (OSError, ValueError, TypeError, KeyError, subprocess.SubprocessError) as error:
            log.warning("The graph of %s cannot be looked at: %s", model.version.key, type(error).__name__)
            return None
        with suppress(OSError, PredictorError):
            if model.version.manifest is None:
                folder.mkdir(parents=True, exist_ok=True)
            atomic_write(folder / _FILE, answer.encode())
        return found

    def _asked(self, model: LoadedModel) -> str:
        asked = {
            "model": str(model.version.path.resolve()),
            "scores": model.spec.scores.name,
            "seconds": _SECONDS,
        }
        ended = subprocess.run(  # noqa: S603 (the command is a constant of this module)
            self._command,
            input=json.dumps(asked).encode(),
            env=_ENVIRONMENT,
            timeout=_SECONDS,
            stdout=subprocess.PIPE,
            check=True,
        )
        return ended.stdout.decode()

    def _load(self, model: LoadedModel, layers: FinalLayers) -> Features | None:
        """Load a model with its features, if numbers show that they make its scores."""
        try:
            network = Network(model, layers, self._watch)
            return network.features()
        except (PredictorError, ValueError, IndexError) as error:
            log.warning("%s gives no features: %s", model.version.key, type(error).__name__)
            return None


def _layers(text: str) -> FinalLayers | None:
    value = json.loads(text)
    return None if value is None else FinalLayers.from_json(value)
