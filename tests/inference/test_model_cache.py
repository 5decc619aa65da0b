"""Versions that are not live are loaded once and kept while there is room."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from predictor.errors import InvalidModel
from predictor.inference.loader import LoadedModel
from predictor.inference.model_cache import ModelCache
from predictor.store.registry import ModelVersion


def version(number: int, name: str = "default") -> ModelVersion:
    """A version of a model."""
    return ModelVersion(name, number, Path("model.onnx"), f"sha256:{number}")


class Loads:
    """Loads models of a given size, and remembers which."""

    def __init__(self, size: int = 10) -> None:
        self.loaded: list[str] = []
        self.broken = False
        self._size = size
        self._lock = threading.Lock()

    def __call__(self, version: ModelVersion) -> LoadedModel:
        """Load a version."""
        with self._lock:
            self.loaded.append(version.key)
        if self.broken:
            raise InvalidModel("It does not load.")
        nothing = cast("Any", None)
        return LoadedModel(version, nothing, "CPUExecutionProvider", self._size, nothing, nothing)


def test_once() -> None:
    """A version is loaded once, however many ask at the same time."""
    loads = Loads()
    cache = ModelCache(loads)

    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(lambda _: cache.get(version(1)), range(32)))

    assert len(set(map(id, models))) == 1
    assert loads.loaded == ["default/1"]


def test_least_recently_used_goes() -> None:
    """Where there is no room the version that was asked for longest ago goes."""
    loads = Loads()
    cache = ModelCache(loads, room=20)
    for number in (1, 2, 1, 3, 1, 2):
        cache.get(version(number))

    assert loads.loaded == ["default/1", "default/2", "default/3", "default/2"]


def test_larger_than_the_shelf() -> None:
    """One model is kept whatever its size."""
    loads = Loads(size=100)
    cache = ModelCache(loads, room=20)
    for _ in range(3):
        cache.get(version(1))

    assert loads.loaded == ["default/1"]


def test_names_are_told_apart() -> None:
    """The same number of another name is another model."""
    loads = Loads()
    cache = ModelCache(loads)

    assert cache.get(version(1)) is not cache.get(version(1, "dogs"))


def test_broken() -> None:
    """A version that does not load is tried again when it is asked for again."""
    loads = Loads()
    cache = ModelCache(loads)
    loads.broken = True
    with pytest.raises(InvalidModel):
        cache.get(version(1))
    loads.broken = False

    assert cache.get(version(1)).version == version(1)
