"""Golden images change with the state of their name, and nothing that serves is touched."""

from pathlib import Path
from typing import Any

import pytest

from predictor.errors import ModelConflict, ModelNotFound
from predictor.store.registry import DEFAULT
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
