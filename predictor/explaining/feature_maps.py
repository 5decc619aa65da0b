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
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from predictor import background
from predictor.errors import NotReady, Overloaded, PredictorError
from predictor.explaining.methods import Features, Network, Watch
from predictor.inference.admission import Deadline
from predictor.inference.loader import LoadedModel
from predictor.model.final_layers import FinalLayers
from predictor.store.files import atomic_write
from predictor.store.registry import ModelVersion

COMMAND = (sys.executable, "-P", "-s", "-m", "predictor.discovery.pooling")
"""Starts the process that looks at a graph."""
Look = Future[FinalLayers | None]
"""How a network ends, once it is found."""
KEPT_SECONDS = 60.0
"""How long a session is kept after its last use."""
PAUSE_SECONDS = 30.0
"""How long nothing is tried again that failed."""

_FILE = "final-layers.json"
_SECONDS = 60
# Nothing of the service's own environment, in which there are tokens.

_FAILED = (
    "It could not be found out whether this model has a class activation map. Try again in a minute, or use "
    "the method masks."
)
_LATE = "The explanation would not be ready before its deadline."

log = logging.getLogger(__name__)


class FeatureMaps:
    """Loads models with their features, where they have some that can be explained.

    Args:
        folder: where a version's files lie, or those that are made of it.
        watch: watches the runs.
        kept: seconds for which a session is kept after its last use.
        pause: seconds for which nothing is tried again that failed.
        command: starts the process that looks at a graph.
    """

    def __init__(
        self,
        folder: Callable[[ModelVersion], Path],
        watch: Watch,
        *,
        kept: float = KEPT_SECONDS,
        pause: float = PAUSE_SECONDS,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._folder = folder
        self._watch = watch
        self._kept = kept
        self._pause = pause
        self._command = command
        self._lock, self._looking = threading.Lock(), threading.Lock()
        # What was found, or is being looked for, or failed a moment ago.
        self._looks: dict[str, Look] = {}
        self._loaded: tuple[str, Features] | None = None
        self._used = 0.0

    def of(self, model: LoadedModel, deadline: Deadline | None = None) -> Features | None:
        """A model with its features; None if its scores are no linear layer of averages over all places.

        Args:
            model: what is explained.
            deadline: until when the answer is wanted.

        Raises:
            NotReady: it could not be found out, and is tried again later.
            Overloaded: it could not be found out before the deadline.
        """
        deadline = deadline or Deadline()
        layers = self._layers(model, deadline)
        if layers is None:
            return None
        if not self._lock.acquire(timeout=_seconds(deadline)):
            raise Overloaded(_LATE)
        try:
            return self._with_features(model, layers)
        finally:
            self._lock.release()

    def _layers(self, model: LoadedModel, deadline: Deadline) -> FinalLayers | None:
        """How the network ends; a look that others wait for as well goes on after this deadline."""
        key = _key(model)
        with self._looking:
            if (look := self._looks.get(key)) is None:
                look = Future()
                try:
                    threading.Thread(target=self._look, args=(model, look), daemon=True).start()
                except RuntimeError as error:
                    raise NotReady(_FAILED) from error
                self._looks[key] = look
        try:
            return look.result(_seconds(deadline))
        except TimeoutError as error:
            raise Overloaded(_LATE) from error
        except NotReady as error:
            raise NotReady(error.detail) from error

    def _look(self, model: LoadedModel, look: Look) -> None:
        try:
            look.set_result(self._found(model))
        except Exception as error:  # noqa: BLE001 (raised in the threads that wait for it)
            self._fail(model, look, error)

    def _fail(self, model: LoadedModel, look: Look, error: Exception) -> None:
        """Have nothing tried again for a while."""
        look.set_exception(error)
        self._looks[_key(model)] = look
        _later(self._pause, lambda: self._looks.pop(_key(model), None))

    def _with_features(self, model: LoadedModel, layers: FinalLayers) -> Features | None:
        key = _key(model)
        self._used = time.monotonic()
        if self._loaded is not None and self._loaded[0] == key:
            return self._loaded[1]
        try:
            found = self._load(model, layers)
        except NotReady as error:
            self._fail(model, Future(), error)
            raise
        if found is None:
            self._looks[key] = refuted = Look()
            refuted.set_result(None)
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

    def _found(self, model: LoadedModel) -> FinalLayers | None:
        """What the nodes of the graph show, as it was found before or as it is found now."""
        folder = self._folder(model.version)
        with suppress(OSError, ValueError, TypeError, KeyError):
            return _parsed((folder / _FILE).read_text())
        try:
            answer = self._asked(model)
            found = _parsed(answer)
        except (OSError, ValueError, TypeError, KeyError, subprocess.SubprocessError) as error:
            log.warning("The graph of %s cannot be looked at: %s", model.version.key, type(error).__name__)
            raise NotReady(_FAILED) from error
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
        ended = background.run(self._command, background.ENVIRONMENT, _SECONDS, json.dumps(asked).encode())
        ended.check_returncode()
        return ended.stdout.decode()

    def _load(self, model: LoadedModel, layers: FinalLayers) -> Features | None:
        """Load a model with its features, if numbers show that they make its scores."""
        try:
            return Network(model, layers, self._watch).features()
        except (ValueError, IndexError) as error:
            log.warning("%s gives no features: %s", model.version.key, type(error).__name__)
            return None
        except (PredictorError, OSError) as error:
            log.warning("%s cannot be run with its features: %s", model.version.key, type(error).__name__)
            # Perhaps the file is not about this graph: it is looked at anew.
            with suppress(OSError):
                (self._folder(model.version) / _FILE).unlink(missing_ok=True)
            raise NotReady(_FAILED) from error


def _parsed(text: str) -> FinalLayers | None:
    value = json.loads(text)
    return None if value is None else FinalLayers.from_json(value)


def _key(model: LoadedModel) -> str:
    return f"{model.version.key} {model.version.digest}"


def _seconds(deadline: Deadline) -> float:
    return min(deadline.left, threading.TIMEOUT_MAX)


def _later(seconds: float, work: Callable[[], object]) -> None:
    timer = threading.Timer(seconds, work)
    timer.daemon = True
    timer.start()
