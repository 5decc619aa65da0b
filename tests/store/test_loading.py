"""A name is taken out of service and put back without the loss of its files."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from predictor.errors import InvalidModel, ModelConflict, ModelNotFound, NotReady
from predictor.store.loading import Loading
from predictor.store.registry import DEFAULT, Registry


@pytest.fixture
def loading(store: Any) -> Loading:
    """Loads and unloads the names of the store."""
    return Loading(store.registry, store.transactions)


def test_there_and_back(store: Any, loading: Loading) -> None:
    """The version that was live serves again; files, versions and the way back stay."""
    store.upload()
    before = store.registry.name(DEFAULT)

    loading.unload(DEFAULT)
    away = store.registry.name(DEFAULT)
    version = loading.load(DEFAULT)
    after = store.registry.name(DEFAULT)

    assert (away.live, away.versions, store.folders()) == (None, (1, 2), [2])
    assert version.version == after.live == before.live == 2
    assert after.former == before.former
    assert [event.action for event in after.history[-2:]] == ["unload", "load"]


def test_twice(store: Any, loading: Loading) -> None:
    """A second unload or load changes nothing."""
    loading.unload(DEFAULT)
    serial = store.registry.read().serial
    loading.unload(DEFAULT)
    assert store.registry.read().serial == serial

    loading.load(DEFAULT)
    loading.load(DEFAULT)
    assert store.registry.read().serial == serial + 1


def test_other_ways_back(store: Any, loading: Loading) -> None:
    """An upload, an activation and a rollback load a name as well."""
    store.upload()
    ways: list[Callable[[], int]] = [
        lambda: int(store.upload().version),
        lambda: int(store.publisher.activate(DEFAULT, 1).version),
        lambda: int(store.publisher.rollback(DEFAULT).version),
    ]
    for back in ways:
        loading.unload(DEFAULT)
        assert back() == store.registry.name(DEFAULT).live


def test_restart(store: Any, loading: Loading) -> None:
    """A service that starts again finds the name unloaded."""
    loading.unload(DEFAULT)

    again = Registry(store.data, store.registry.bundled.path)

    assert again.read().live() == {}
    assert json.loads(json.loads((store.data / "state.json").read_text())["state"])["names"][DEFAULT]


def test_refused(store: Any, loading: Loading, follow: Callable[..., Any]) -> None:
    """Where a worker cannot serve it, the name stays unloaded."""
    loading.unload(DEFAULT)
    follow(NotReady("No memory is left."))

    with pytest.raises(NotReady, match="memory"):
        loading.load(DEFAULT)

    assert store.registry.read().live() == {}


def test_nothing_to_load(store: Any, loading: Loading) -> None:
    """An unknown name, a name without a version that may serve, and damaged files are told apart."""
    version = store.upload(name="dogs")
    loading.unload("dogs")
    version.path.write_bytes(b"other")
    with pytest.raises(InvalidModel):
        loading.load("dogs")
    store.publisher.quarantine("dogs", 1, "It crashed.")
    with pytest.raises(ModelConflict):
        loading.load("dogs")
    for change in (loading.load, loading.unload):
        with pytest.raises(ModelNotFound):
            change("cats")
