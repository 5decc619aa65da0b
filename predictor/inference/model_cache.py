"""Versions that are not live, loaded when somebody asks for them and kept while there is room."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from predictor.inference.loader import LoadedModel
from predictor.store.registry import ModelVersion

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
