"""What a machine downloads: nothing twice, and nothing for which others wait."""

import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from predictor.cluster.bucket import Unavailable
from predictor.errors import NotReady
from predictor.store.names import Loading
from tests.cluster.conftest import Machine, until

Make = Callable[[str], Machine]
Download = Callable[[Callable[..., str | None], str, Path, Callable[[], None]], str | None]


def have_download(one: Machine, download: Download) -> None:
    """Have the downloads of a machine made by a function, which is given the real one."""
    real = one.bucket.download

    def instead(key: str, path: Path, between: Callable[[], None] = lambda: None) -> str | None:
        return download(real, key, path, between)

    one.bucket.download = instead  # type: ignore[method-assign]


def key_of(one: Machine, content: bytes) -> str:
    """The key of the file with these bytes."""
    return next(entry.key for entry in one.bucket.entries("blobs/") if one.bucket.get(entry.key) == content)


@pytest.mark.promise("C5")
def test_catching_up_goes_on(machine: Make) -> None:
    """A machine that catches up over a store that refuses now and then downloads nothing twice."""
    a, b = machine("a").start(), machine("b")
    names = ("ants", "bees", "cats", "dogs")
    for name in names:
        a.store.upload(name.encode(), name)
    done, numbers = list[str](), itertools.count(1)

    def download(
        real: Callable[..., str | None], key: str, path: Path, *rest: Callable[[], None]
    ) -> str | None:
        if next(numbers) % 3 == 0:
            raise Unavailable("Busy.")
        done.append(key)
        return real(key, path, *rest)

    have_download(b, download)
    for _ in range(8):
        with suppress(Unavailable):
            b.follower.step()

    assert [b.content(name) for name in names] == [name.encode() for name in names]
    files = [key for key in done if b.bucket.get(key) in [name.encode() for name in names]]
    assert sorted(files) == sorted(set(files))
    assert list((b.store.data / "incoming").iterdir()) == []


@pytest.mark.promise("C5")
def test_old_versions_give_way(machine: Make) -> None:
    """A machine that downloads old versions takes part in a change at once, and goes on with them later."""
    a, b = machine("a").start(), machine("b")
    a.store.upload(b"old")
    a.store.upload(b"new")
    old, released = key_of(a, b"old"), threading.Event()

    def download(
        real: Callable[..., str | None], key: str, path: Path, between: Callable[[], None]
    ) -> str | None:
        while key == old and not released.wait(0.01):
            between()
        return real(key, path, between)

    have_download(b, download)
    b.start()

    a.store.upload(b"newer")
    assert (a.content(), b.content()) == (b"newer", b"newer")
    assert b.store.folders() == [3, 4]

    released.set()
    until(lambda: b.store.folders() == [2, 3, 4])


@pytest.mark.promise("C5")
@pytest.mark.parametrize("change", ["activate", "rollback", "load"])
def test_change_to_a_version_that_has_not_come(machine: Make, change: str) -> None:
    """A version that has not come yet is fetched for a change to it; a request is told to wait."""
    a, b = machine("a").start(), machine("b")
    a.store.upload(b"old")
    if change == "load":
        Loading(a.store.registry, a.store.transactions).unload("default")
    else:
        a.store.upload(b"new")
    old, there = key_of(a, b"old"), threading.Event()

    def download(real: Callable[..., str | None], key: str, *rest: object) -> str | None:
        return None if key == old and not there.is_set() else real(key, *rest)

    have_download(b, download)
    b.start()

    with pytest.raises(NotReady, match="not on this machine yet") as waiting:
        b.store.registry.version("default", 2)
    assert waiting.value.headers["Retry-After"]

    there.set()
    if change == "activate":
        b.store.publisher.activate("default", 2)
    elif change == "rollback":
        b.store.publisher.rollback("default")
    else:
        Loading(b.store.registry, b.store.transactions).load("default")
    assert (a.content(), b.content()) == (b"old", b"old")
