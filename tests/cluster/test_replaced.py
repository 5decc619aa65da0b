"""Models whose place those of another store take are kept; ordinary changes leave no copies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore

from predictor.cluster.log import KEPT
from predictor.errors import ModelConflict
from tests.cluster.conftest import Machine, until

Make = Callable[[str], Machine]
Elsewhere = Callable[[int], Machine]


@pytest.fixture
def another() -> Any:
    """Another store."""
    return MemoryStore()


@pytest.fixture
def elsewhere(tmp_path: Path, another: Any) -> Elsewhere:
    """Make so many changes in the other store; its only machine, which has stopped."""

    def make(changes: int) -> Machine:
        other = Machine(tmp_path / "other", another, "other").start()
        for number in range(changes):
            other.store.upload(b"theirs %d" % number)
        other.follower.stop()
        return other

    return make


def served(one: Machine) -> str | None:
    """The attempt that made the change that a machine serves."""
    position = one.models.position()
    return None if position is None else position.token


def kept(one: Machine) -> set[bytes]:
    """The models that a machine keeps since a store took their place."""
    return {path.read_bytes() for path in (one.store.data / "before-store").rglob("model.onnx")}


def replace_store(one: Machine, other: Machine) -> None:
    """Have the objects of another store in the place of a machine's, the announcements last."""
    for entry in sorted(other.bucket.entries(""), key=lambda entry: entry.key.replace("machines/", "a/")):
        if (data := other.bucket.get(entry.key)) is not None:
            one.bucket.put(entry.key, data)


@pytest.mark.parametrize("changes", [2, 4])
def test_started_with_another_store(
    machine: Make, elsewhere: Elsewhere, tmp_path: Path, another: Any, changes: int
) -> None:
    """A machine that is started with another store keeps its models, if that has as many changes or more."""
    a = machine("a").start()
    elsewhere(changes)
    a.store.upload(b"mine")
    a.store.upload(b"precious", "mine")
    a.follower.stop()

    again = Machine(tmp_path / "a", another, "a").start()
    until(lambda: again.status.serial == changes)
    again.follower.stop()

    assert again.content() == b"theirs %d" % (changes - 1)
    assert again.live("mine") is None
    assert kept(again) == {b"mine", b"precious"}


@pytest.mark.parametrize("changes", [2, 3])
def test_replaced_under_a_machine(machine: Make, elsewhere: Elsewhere, changes: int) -> None:
    """A machine that runs while another store takes the place of its own keeps its models, too."""
    a, other = machine("a").start(), elsewhere(changes)
    a.store.upload(b"mine")
    a.store.upload(b"also mine")

    replace_store(a, other)
    until(lambda: served(a) == served(other))

    assert a.content() == b"theirs %d" % (changes - 1)
    assert kept(a) == {b"mine", b"also mine"}


def test_change_of_another_store(machine: Make, elsewhere: Elsewhere, tmp_path: Path, memory: Any) -> None:
    """A machine that takes part in a change of another store, before it noticed that, keeps its models."""
    a, other = machine("a").start(), elsewhere(1)
    a.store.upload(b"mine")
    replace_store(a, other)
    author = Machine(tmp_path / "other", memory, "other").start()

    author.store.upload(b"next")
    author.follower.stop()

    until(lambda: served(a) == served(author))
    assert a.content() == b"next"
    assert kept(a) == {b"mine"}
    assert kept(author) == set()


def test_author_in_another_store(machine: Make, elsewhere: Elsewhere) -> None:
    """A machine makes no change in another store before it serves what that says."""
    a, other = machine("a").start(), elsewhere(1)
    a.store.upload(b"mine")
    a.follower.stop()
    replace_store(a, other)

    with a.store.transactions.exclusive() as state, pytest.raises(ModelConflict, match="Another store"):
        a.coordinator.current(state)


def test_abort_in_another_store(machine: Make, elsewhere: Elsewhere) -> None:
    """A machine that still serves a change of its former store ends no change of another with that state."""
    a, other = machine("a").start(), elsewhere(1)
    a.store.upload(b"mine")
    a.follower.stop()
    position, theirs = a.models.position(), other.models.position()
    assert position is not None
    assert theirs is not None
    replace_store(a, other)
    pending = theirs.followed(theirs.names, theirs.manifests, "gone", "default")
    a.log.announce(pending)

    assert a.coordinator.end_for_dead(pending, position)
    assert a.log.outcome(2) is None
    a.coordinator.end_for_dead(pending, theirs)

    ended = a.log.outcome(2)
    assert ended is not None
    assert (ended.aborted, ended.manifests) == ("a", theirs.manifests)


def test_change_while_the_log_is_looked_through(machine: Make) -> None:
    """An upload between two requests of a look through the log leaves no copy of the models."""
    a = machine("a").start()
    a.store.upload(b"one")
    latest, looks = a.log.latest, list[int]()

    def before_an_upload(after: int = 0) -> int:
        looks.append(latest(after))
        if len(looks) == 1:
            a.store.upload(b"two")
        return looks[-1]

    a.log.latest = before_an_upload  # type: ignore[method-assign]
    until(lambda: len(looks) > 1)

    assert a.content() == b"two"
    assert list(a.store.data.glob("before-store")) == []


def test_away_for_long(machine: Make) -> None:
    """A machine whose last change the log keeps no more takes the store's models, and leaves no copy."""
    a, b = machine("a").start(), machine("b").start()
    a.store.upload(b"one")
    b.die()
    for number in range(6):
        a.store.upload(b"later %d" % number)
    a.follower.stop()
    position = a.models.position()
    assert position is not None
    for serial in (later := range(position.serial + 1, position.serial + KEPT + 1)):
        a.log.decide(position.followed(position.names, position.manifests, "a", "default"))
        position = a.log.outcome(serial)
        assert position is not None
    a.log.trim(later[-1], 0.0)

    again = machine("b").start()

    assert again.content() == b"later 5"
    assert list(b.store.data.glob("before-store")) == []
