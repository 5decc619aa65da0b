"""Golden images are those of all machines: a change, like that of a version, made by all or by none."""

from collections.abc import Callable

import pytest

from predictor.errors import ModelConflict
from tests.cluster.conftest import Machine, until
from tests.store.conftest import keep_as_before

Make = Callable[[str], Machine]


@pytest.fixture
def three(machine: Make) -> list[Machine]:
    """Three machines that follow the bucket."""
    return [machine(name).start() for name in ("a", "b", "c")]


def found(machines: list[Machine], name: str = "default") -> list[list[bytes]]:
    """The golden images that count on each machine."""
    return [one.store.found_golden(name) for one in machines]


def folders(one: Machine) -> int:
    """How many sets lie on a machine's disk."""
    return len(list((one.store.data / "golden").glob("*/*")))


def lose_blobs(one: Machine, *contents: bytes) -> None:
    """Have the bucket lose objects."""
    keys = [entry.key for entry in one.bucket.entries("blobs/")]
    one.bucket.remove([key for key in keys if one.bucket.get(key) in contents])


def stopped(one: Machine) -> Machine:
    """A machine whose service has ended."""
    one.follower.stop()
    return one


@pytest.mark.promise("C1")
def test_all_machines(three: list[Machine]) -> None:
    """Images set on one machine are those of all once that is answered, and so is their removal."""
    a, b, c = three
    a.store.set_golden(b"one", b"two")
    assert found(three) == [[b"one", b"two"]] * 3
    assert a.status.machines == (3, 3)

    c.store.set_golden(b"three")
    assert found(three) == [[b"three"]] * 3
    b.store.golden.remove("default")

    assert found(three) == [[]] * 3
    assert [folders(one) for one in three] == [0] * 3


def test_nothing_is_loaded(three: list[Machine]) -> None:
    """No machine loads or switches a version because golden images change, and versions keep them."""
    three[0].store.upload(b"one")
    before = [one.store.stamp.live for one in three]

    three[1].store.set_golden(b"one")
    assert [one.store.stamp.live for one in three] == before
    three[2].store.upload(b"two")

    assert found(three) == [[b"one"]] * 3


def test_deleted_name(three: list[Machine]) -> None:
    """A name takes its images with it on all machines."""
    a, b, c = three
    a.store.upload(b"dog", "dogs")
    b.store.set_golden(b"one", name="dogs")
    c.store.publisher.delete_name("dogs")
    a.store.upload(b"dog", "dogs")

    assert found(three, "dogs") == [[]] * 3
    assert [folders(one) for one in three] == [0] * 3


@pytest.mark.promise("C2")
def test_author_dies(three: list[Machine]) -> None:
    """Where the author dies before it decides, the former images count on, and no others stay."""
    author, *others = three
    author.store.set_golden(b"one")

    def before(key: str) -> None:
        if key.startswith("changes/"):
            author.bucket.before = lambda _: None
            author.die()
            raise KeyboardInterrupt

    author.bucket.before = before
    with pytest.raises(KeyboardInterrupt):
        author.store.set_golden(b"two")
    others[0].store.upload(b"next")

    assert found(others) == [[b"one"]] * 2
    assert [folders(one) for one in three] == [1] * 3


@pytest.mark.promise("C5")
def test_cold_machine(machine: Make) -> None:
    """A new machine has the images before it may be sent requests, also long after they were set."""
    a = machine("a").start()
    a.store.upload(b"dog", "dogs")
    a.store.set_golden(b"one", b"two", name="dogs")
    position = a.models.position()
    assert position is not None
    a.models.sweep(position, (a.status.store_time or 0.0) + 100_000)

    assert found([machine("b").start()], "dogs") == [[b"one", b"two"]]


@pytest.mark.promise("C6")
@pytest.mark.parametrize("lost", [b"one", None])
def test_lost_in_the_store(machine: Make, lost: bytes | None) -> None:
    """A machine that cannot have the images is not kept from serving; its gate is closed, not open."""
    a = machine("a").start()
    a.store.set_golden(b"one")
    index = next((a.store.data / "golden").glob("*/*/golden.json")).read_bytes()
    lose_blobs(a, lost or index)

    b = machine("b").start()

    with pytest.raises(ModelConflict, match="send them again"):
        b.store.found_golden()
    b.store.upload(b"next")
    assert a.content() == b"next"
    b.store.set_golden(b"one")
    assert found([a, b]) == [[b"one"]] * 2


def test_nothing_is_swept_blindly(machine: Make) -> None:
    """A machine that lacks a set removes nothing from the bucket: it cannot know what the set names."""
    a = machine("a").start()
    a.store.set_golden(b"one")
    before = len(a.bucket.entries("blobs/"))
    position = a.models.position()
    assert position is not None
    next((a.store.data / "golden").glob("*/*/golden.json")).unlink()

    a.models.sweep(position, (a.status.store_time or 0.0) + 100_000)

    assert len(a.bucket.entries("blobs/")) == before == 2


def test_missing_file_is_fetched_again(three: list[Machine]) -> None:
    """A file that is lost on one machine comes again from the store."""
    a, b, _ = three
    a.store.set_golden(b"one")
    next((b.store.data / "golden").glob("*/*/golden.json")).unlink()

    a.store.upload(b"next")

    assert found([b]) == [[b"one"]]


def test_first_machine_brings_its_images(machine: Make) -> None:
    """The images of the first machine of an empty store become those of all; a later machine's own do not."""
    a, b = machine("a"), machine("b")
    for one in (a, b):
        one.store.transactions.other_machines = None
        one.store.set_golden(one.name.encode())
        one.store.transactions.other_machines = one.coordinator

    a.start()
    until(lambda: a.status.serial == 1)
    b.start()

    assert found([a, b]) == [[b"a"]] * 2


@pytest.mark.parametrize("serial", [0, 1])
def test_former_release(machine: Make, serial: int) -> None:
    """What a former release kept on a machine becomes that of all, until it is removed on any."""
    a = machine("a").start()
    if serial:
        a.store.upload(b"one")
    keep_as_before(stopped(a).store.data, b"old")

    machines = [machine(name).start() for name in "ab"]

    assert machines[0].store.found_golden() == [b"old"]
    until(lambda: found(machines) == [[b"old"]] * 2)
    until(lambda: not (a.store.data / "golden" / "default" / "golden.json").exists())
    machines[1].store.golden.remove("default")
    assert found(machines) == [[]] * 2
    machines[0].store.upload(b"next")
    assert found(machines) == [[]] * 2


def test_former_release_elsewhere(machine: Make) -> None:
    """What a former release kept on a machine that is new to the store does not count."""
    a, b = machine("a").start(), machine("b")
    a.store.upload(b"one")
    keep_as_before(b.store.data, b"old")

    b.start()

    assert found([a, b]) == [[]] * 2
    assert folders(b) == 0
