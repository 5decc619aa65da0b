"""The models that serve in this worker, and those that are ready to take their place."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from predictor.errors import NotReady, PredictorError
from predictor.inference.loader import LoadedModel
from predictor.store.registry import ModelVersion
from predictor.store.stamp import Stamp

Models = Mapping[str, LoadedModel]


@dataclass(frozen=True)
class _Set:
    """The live models by name, as one change of the store has them."""

    serial: int
    models: Models


class ActiveModels:
    """The active models, from which each request takes its own.

    Args:
        stamp: says which change serves.

    Attributes:
        problem: why no model can serve; None if one can.
    """

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._serving = _Set(0, {})
        self._prepared: _Set | None = None
        self._lock = threading.Lock()
        self.problem: PredictorError | None = NotReady("No model is loaded yet.")

    def models(self) -> Models:
        """The live models, by the stamp at this moment.

        Raises:
            NotReady: this worker has nothing to serve, or a change took effect that it has not loaded.
        """
        serving = self._serving
        if serving.serial != self._stamp.live:
            serving = self._activated()
        if self.problem is not None:
            raise self.problem
        return serving.models

    @property
    def serving(self) -> Models:
        """The models that served last."""
        return self._serving.models

    @property
    def outdated(self) -> bool:
        """Whether a change took effect that this worker does not serve."""
        return self._serving.serial != self._stamp.live

    def prepare(self, serial: int, models: Models) -> None:
        """Keep models ready for the moment at which a change takes effect."""
        with self._lock:
            self._prepared = _Set(serial, models)

    def forget(self) -> bool:
        """Drop what was prepared for a change that was taken back; whether there was any."""
        with self._lock:
            # It may have taken effect in this very moment.
            if self._prepared is None or self._prepared.serial == self._stamp.live:
                return False
            self._prepared = None
        return True

    def activate(self, serial: int, models: Models) -> None:
        """Serve models from now on."""
        self._serving = _Set(serial, models)
        self.problem = None

    def _activated(self) -> _Set:
        with self._lock:
            live = self._stamp.live
            if self._prepared is not None and self._prepared.serial == live:
                self.activate(live, self._prepared.models)
                self._prepared = None
            elif self._serving.serial != live:
                raise self.problem or NotReady("This worker is loading the activated model; try again.")
            return self._serving


MODEL_CACHE_BYTES = 500_000_000
"""Size of the files of all models in the cache; one model may be there whatever its size."""

_Key = tuple[str, int, str]


class ModelCache:
    """An LRU cache of loaded models.

    Args:
        load: loads a version.
        room: size of the files of all models together, in bytes.
    """

    def __init__(self, load: Callable[[ModelVersion], LoadedModel], room: int = MODEL_CACHE_BYTES) -> None:
        self._load = load
        self._room = room
        self._models: OrderedDict[_Key, LoadedModel] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, version: ModelVersion) -> LoadedModel:
        """A version, loaded now if it was not; others that are asked for meanwhile wait.

        Raises:
            InvalidModel: it cannot be loaded.
        """
        key = version.name, version.version, version.digest
        with self._lock:
            model = self._models.get(key) or self._load(version)
            self._models[key] = model
            self._models.move_to_end(key)
            self._make_room()
            return model

    def _make_room(self) -> None:
        sizes = {key: model.bytes for key, model in self._models.items()}
        used = sum(sizes.values())
        while used > self._room and len(self._models) > 1:
            key, _ = self._models.popitem(last=False)
            used -= sizes[key]
