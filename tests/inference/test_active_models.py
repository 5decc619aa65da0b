"""Which models serve is one reference, exchanged at the moment the stamp says so."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from predictor.errors import InvalidModel, NotReady
from predictor.inference.active_models import ActiveModels, ModelCache
from predictor.inference.loader import LoadedModel
from predictor.store.registry import ModelVersion
from predictor.store.stamp import Stamp

OLD, NEW = cast("Any", "the old model"), cast("Any", "the new model")


@pytest.fixture
def stamp(tmp_path: Path) -> Stamp:
    """The stamp of a store that had one change."""
    made = Stamp(tmp_path / "stamp")
    made.commit(1)
    return made


@pytest.fixture
def live(stamp: Stamp) -> ActiveModels:
    """A worker that serves the old model."""
    made = ActiveModels(stamp)
    made.activate(1, {"default": OLD})
    return made


def test_nothing_loaded(stamp: Stamp) -> None:
    """Before anything is loaded nothing serves."""
    with pytest.raises(NotReady, match="No model"):
        ActiveModels(stamp).models()


def test_announced(live: ActiveModels, stamp: Stamp) -> None:
    """What is announced and prepared does not serve yet."""
    stamp.prepare(2)
    live.prepare(2, {"default": NEW})

    assert live.models() == {"default": OLD}


def test_switch(live: ActiveModels, stamp: Stamp) -> None:
    """From the moment the stamp says so the prepared models serve, with no further call."""
    live.prepare(2, {"default": NEW})
    stamp.commit(2)

    assert live.models() == {"default": NEW}
    assert not live.outdated
    assert not live.forget()


def test_not_taken_back(live: ActiveModels, stamp: Stamp) -> None:
    """What was prepared for a change that has just taken effect is not dropped, whoever asks for it first."""
    live.prepare(2, {"default": NEW})
    stamp.commit(2)

    assert not live.forget()
    assert live.models() == {"default": NEW}


def test_taken_back(live: ActiveModels, stamp: Stamp) -> None:
    """What was prepared for a change that was taken back is dropped, and never serves."""
    live.prepare(2, {"default": NEW})
    assert live.forget()
    stamp.commit(3)

    with pytest.raises(NotReady, match="is loading"):
        live.models()
    assert live.outdated


def test_other_number(live: ActiveModels, stamp: Stamp) -> None:
    """What was prepared for one change does not serve for another, nor does the old model."""
    live.prepare(2, {"default": NEW})
    stamp.commit(3)

    with pytest.raises(NotReady):
        live.models()

    live.activate(3, {"default": NEW})
    assert live.models() == {"default": NEW}


def test_problem(live: ActiveModels) -> None:
    """A worker that cannot serve says why."""
    live.problem = NotReady("The device is gone.")

    with pytest.raises(NotReady, match="gone"):
        live.models()


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
