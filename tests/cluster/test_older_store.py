"""A store that was restored from a backup or emptied: who serves what, and how one machine's models win."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from predictor.cluster.inspection import Adopted, Inspection
from predictor.config import BUNDLED_MODEL, Settings
from predictor.errors import NotReady, StorageFull
from tests.cluster.conftest import DEAD_SECONDS, Machine, until

Make = Callable[[str], Machine]
Adopt = Callable[[str], Adopted]
LOG = ("changes/", "pending/", "acks/", "blobs/")


@pytest.fixture
def adopt(tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch) -> Adopt:
    """Have the store adopt the models of a machine."""
    monkeypatch.setattr("predictor.cluster.bucket._opened", lambda *_: memory)

    def run(name: str) -> Adopted:
        settings = Settings(store="file:///unused", data=tmp_path / name, machine=name)
        return Inspection(settings, BUNDLED_MODEL).adopt()

    return run


def backup(one: Machine) -> dict[str, bytes]:
    """The bucket at this moment."""
    found = {entry.key: one.bucket.get(entry.key) for entry in one.bucket.entries("")}
    return {key: data for key, data in found.items() if data is not None}


def restore(one: Machine, kept: dict[str, bytes], prefixes: Iterable[str] = LOG) -> None:
    """Have the bucket as it was."""
    for prefix in prefixes:
        one.bucket.remove([entry.key for entry in one.bucket.entries(prefix)])
    for key, data in kept.items():
        one.bucket.put(key, data)


@pytest.mark.promise("C4")
def test_adopted_by_one_that_was_behind(machine: Make, adopt: Adopt) -> None:
    """Machines that served more changes than the adopting one neither block it nor stay behind."""
    a, b, c = (machine(name).start() for name in ("a", "b", "c"))
    a.store.upload(b"one")
    kept = backup(a)
    c.die()
    a.store.upload(b"two")
    b.store.upload(b"three")
    restore(a, kept)
    until(lambda: a.status.fault and b.status.fault)

    assert adopt("c") == Adopted(4, [])

    again = machine("c").start()
    again.store.upload(b"four")
    until(lambda: [one.content() for one in (a, b, again)] == [b"four"] * 3)
    assert [a.status.fault, b.status.fault] == [None, None]


def test_nobody_waits_for_those_that_lost_the_store(machine: Make) -> None:
    """A machine that serves more changes than the store has counts as gone soon."""
    a = machine("a").start()
    kept = backup(a)
    a.store.upload(b"lost")
    restore(a, kept)
    until(lambda: a.status.fault)

    until(lambda: not a.machines.alive("a"))
    assert a.status.lag > DEAD_SECONDS
    with pytest.raises(StorageFull, match="adopt"):
        a.store.upload(b"no")


def without_files_of_an_old_version(one: Machine) -> None:
    """Have a machine that stopped lack a version that does not serve."""
    one.store.upload(b"old")
    one.store.upload(b"new")
    one.follower.stop()
    shutil.rmtree(one.store.registry.folder("default", 2))


def test_adopted_with_a_version_of_the_store(machine: Make, adopt: Adopt) -> None:
    """A version whose files are in the store, but not on the machine, stays."""
    without_files_of_an_old_version(machine("a").start())

    assert adopt("a") == Adopted(3, [])

    again = machine("a").start()
    until(lambda: again.store.folders() == [2, 3])
    assert again.content() == b"new"


def test_adopted_without_a_lost_version(machine: Make, adopt: Adopt) -> None:
    """A version whose files are nowhere is left out, if it does not serve."""
    a = machine("a").start()
    without_files_of_an_old_version(a)
    restore(a, {})

    assert adopt("a") == Adopted(3, [("default", 2)])

    again = machine("a").start()
    assert again.store.registry.read().names["default"].versions == (1, 3)
    assert again.content() == b"new"


@pytest.mark.parametrize("damaged", [False, True])
def test_lost_file_of_a_version_that_serves(machine: Make, adopt: Adopt, damaged: bool) -> None:
    """A file of a serving version that the store lost, or has damaged, comes back with an adoption."""
    a = machine("a").start()
    a.store.upload(b"one")
    (key,) = [entry.key for entry in a.bucket.entries("blobs/") if a.bucket.get(entry.key) == b"one"]
    a.bucket.remove([key])
    if damaged:
        a.bucket.put(key, b"something else")
    new = machine("new")
    new.follower.start()
    until(lambda: new.status.fault)
    assert not new.status.caught_up
    assert a.status.fault is None

    assert adopt("a") == Adopted(2, [])

    until(lambda: new.status.caught_up)
    assert (a.content(), new.content()) == (b"one", b"one")
    assert new.status.fault is None


def test_served_version_is_lost(machine: Make, adopt: Adopt) -> None:
    """Models of which one that serves is nowhere are not adopted."""
    a = machine("a").start()
    a.store.upload(b"one")
    a.follower.stop()
    restore(a, {})
    shutil.rmtree(a.store.registry.folder("default", 2))

    with pytest.raises(NotReady, match="version 2 of default are missing"):
        adopt("a")


@pytest.mark.promise("C5")
def test_new_machine_in_an_emptied_store(machine: Make, adopt: Adopt) -> None:
    """A new machine is not ready while others serve changes that the store has lost; then it has theirs."""
    a, b = machine("a").start(), machine("b").start()
    a.store.upload(b"of all")
    restore(a, {})
    until(lambda: a.status.fault and b.status.fault)

    new = machine("new")
    new.follower.start()
    until(lambda: new.status.fault)
    assert not new.status.caught_up

    adopt("a")
    until(lambda: new.status.caught_up)
    assert [one.content() for one in (a, b, new)] == [b"of all"] * 3
    assert new.status.fault is None
    until(lambda: not (a.status.fault or b.status.fault))


def test_returned_to_a_store_with_other_models(machine: Make) -> None:
    """A machine that comes with more changes than the store has keeps no other from serving or joining."""
    away = machine("away").start()
    for content in (b"one", b"two", b"three"):
        away.store.upload(content)
    away.follower.stop()
    restore(away, {})
    b = machine("b").start()
    b.store.upload(b"other")

    again = machine("away").start()
    until(lambda: again.status.fault)

    b.store.upload(b"another")
    assert (b.content(), again.content()) == (b"another", b"three")
    assert machine("new").start().content() == b"another"
    assert again.status.fault
