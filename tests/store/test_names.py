"""Golden images change with the state of their name, and nothing that serves is touched."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from predictor.errors import InvalidModel, ModelConflict, ModelNotFound, NotReady
from predictor.store.names import Loading
from predictor.store.registry import DEFAULT, Registry
from tests.store.conftest import Store, keep_as_before


def sets(store: Store) -> list[str]:
    """The folders that lie on the disk."""
    return sorted(path.name for path in (store.data / "golden").glob("*/*"))


def test_replaced(store: Store) -> None:
    """Another set takes the place of the one that a name has, whose files go."""
    assert store.found_golden() == []

    store.set_golden(b"one", b"two")
    assert store.found_golden() == [b"one", b"two"]
    store.set_golden(b"two", b"three")

    assert store.found_golden() == [b"two", b"three"]
    assert sets(store) == [store.registry.name(DEFAULT).golden]


def test_removed(store: Store) -> None:
    """What is removed is gone with its files; nothing happens where nothing is."""
    store.set_golden(b"one")

    store.golden.remove(DEFAULT)
    store.golden.remove(DEFAULT)

    assert (store.found_golden(), sets(store)) == ([], [])


def test_workers_are_left_alone(store: Store, follow: Any) -> None:
    """No worker loads or switches anything because golden images change, and each sees them at once."""
    follow(ModelConflict("Nothing can be loaded now."))
    before, other = store.stamp.live, Store(store.data)

    store.set_golden(b"one")

    assert (store.stamp.live, store.stamp.preparing) == (before, before)
    assert other.found_golden() == [b"one"]


def test_unknown_name(store: Store) -> None:
    """A name that is not there gets none, and nothing is left of them."""
    with pytest.raises(ModelNotFound):
        store.set_golden(b"one", name="dogs")
    with pytest.raises(ModelNotFound):
        store.golden.remove("dogs")

    assert sets(store) == []


def test_stay_with_the_name(store: Store) -> None:
    """They outlive uploads and rollbacks, and go with the name."""
    store.upload(name="dogs")
    store.set_golden(b"one", name="dogs")
    store.upload(name="dogs")
    store.publisher.rollback("dogs")
    assert store.found_golden("dogs") == [b"one"]

    store.publisher.delete_name("dogs")
    store.upload(name="dogs")

    assert (store.found_golden("dogs"), sets(store)) == ([], [])


def test_left_by_a_dead_author(store: Store) -> None:
    """A set that no state ever knew is removed before the next change."""
    store.set_golden(b"one")
    (store.data / "golden" / DEFAULT / "left").mkdir()

    store.upload()

    assert sets(store) == [store.registry.name(DEFAULT).golden]


def test_lost_state(store: Store) -> None:
    """Where the state is lost the set that lies there counts: a gate is not opened by damage."""
    store.upload(name="dogs")
    for name in (DEFAULT, "dogs"):
        store.set_golden(name.encode(), name=name)
    for name in ("state.json", "state.copy.json"):
        (store.data / name).write_bytes(b"?")

    found = Store(store.data)

    assert [found.found_golden(name) for name in (DEFAULT, "dogs")] == [[b"default"], [b"dogs"]]


def test_former_release(store: Store) -> None:
    """What a former release kept counts, also after other changes, until others take its place."""
    keep_as_before(store.data, b"old")
    assert store.found_golden() == [b"old"]
    store.upload()
    assert store.found_golden() == [b"old"]

    store.set_golden(b"new")
    assert store.found_golden() == [b"new"]
    store.golden.remove(DEFAULT)

    assert (store.found_golden(), sets(store)) == ([], [])


def test_former_release_removed(store: Store) -> None:
    """What a former release kept is removed like any other."""
    keep_as_before(store.data, b"old")

    store.golden.remove(DEFAULT)

    assert (store.found_golden(), sets(store)) == ([], [])


def test_former_release_damaged(store: Store, tmp_path: Path) -> None:
    """Damage to what a former release kept is noticed, too."""
    keep_as_before(store.data, b"old")
    (store.data / "golden" / DEFAULT / "golden.json").write_bytes(b"?")

    with pytest.raises(ModelConflict, match="damaged"):
        store.found_golden()


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
