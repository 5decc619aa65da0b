"""An author is killed before every step of a change: the old state or the new one is there, never a mix."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.store.conftest import Follower, Store
from tests.store.kill_at import NEW

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# More than any change has.
_MAX_STEPS = 400


class Killer:
    """Has changes made by processes that are killed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def __call__(self, data: Path, change: str, step: int) -> tuple[int, bool]:
        """Make a change and be killed before a step; how many steps were made, and whether it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(data), change, step]) + "\n")
        self._process.stdin.flush()
        steps, killed = json.loads(self._process.stdout.readline())
        return steps, killed


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    """One process starts all authors."""
    command = [sys.executable, "-m", "tests.store.kill_at"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield Killer(process)


Contents = tuple[bytes, bytes]


def content(store: Store) -> Contents:
    """The files that a reader is given for `default` and `dogs`, which must be those of their manifests.

    The one of `dogs` is empty where the name is gone.
    """
    live = store.registry.read().live()
    return _file(store, "default", live["default"]), _file(store, "dogs", live.get("dogs"))


def _file(store: Store, name: str, live: int | None) -> bytes:
    if live is None:
        return b""
    version = store.registry.version(name, live)
    version.verify()
    return version.path.read_bytes()


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A store of three versions, of which the third is live, and of one of another name."""
    data = tmp_path / "prepared"
    store = Store(data)
    store.upload(b"second")
    store.upload(b"third")
    store.upload(b"dog", "dogs")
    store.set_golden(b"one")
    return data


@contextmanager
def _following(store: Store, followed: bool) -> Iterator[None]:
    """Have a worker of the store do what it is told, if one is wanted."""
    if not followed:
        yield
        return
    follower = Follower(store)
    follower.start()
    try:
        yield
    finally:
        follower.ended.set()
        follower.join()
        follower.record.deregister()


BEFORE = b"third", b"dog"
AFTERWARDS: dict[str, Contents] = {
    "upload": (NEW, b"dog"),
    "upload again": BEFORE,
    "activate": (b"second", b"dog"),
    "rollback": (b"second", b"dog"),
    "delete": BEFORE,
    "delete name": (b"third", b""),
    "quarantine": (b"second", b"dog"),
    "golden": BEFORE,
    "no golden": BEFORE,
}
GOLDEN = {"golden": [b"other"], "no golden": list[bytes]()}
"""The golden images after a change that replaces them."""


@pytest.mark.promise("U2", "U7")
@pytest.mark.parametrize(
    ("change", "followed"),
    [
        *((change, False) for change in AFTERWARDS),
        ("upload", True),
        ("rollback", True),
        ("delete name", True),
    ],
)
def test_killed_before_each_step(
    prepared: Path, tmp_path: Path, killer: Killer, change: str, followed: bool
) -> None:
    """What serves is whole, and all agree on it; the next change is made, and no leftovers stay."""
    for step in range(_MAX_STEPS):
        data = tmp_path / f"step-{step}"
        shutil.copytree(prepared, data, ignore=shutil.ignore_patterns("workers"))
        store = Store(data)
        with _following(store, followed):
            steps, killed = killer(data, change, step)
            assert steps == step or not killed

            readers = store, Store(data)
            found = {content(reader) for reader in readers}
            assert found <= {BEFORE, AFTERWARDS[change]}, step
            assert len(found) == 1, step
            golden = store.found_golden()
            assert golden in ([b"one"], GOLDEN.get(change, [b"one"])), step
            with store.transactions.commit_lock():
                assert store.stamp.live == store.registry.read().serial, step
            assert {content(reader) for reader in readers} == found, step

            store.transactions.recover()
            assert not store.transactions.in_progress, step
            assert {content(reader) for reader in readers} == found, step
            store.upload(b"another")
        (dogs,) = {dogs for _, dogs in found}
        assert {content(reader) for reader in readers} == {(b"another", dogs)}, step
        assert list((data / "incoming").iterdir()) == [], step
        assert [path for path in data.rglob(".*") if path.is_file()] == [], step
        known = store.registry.read().names["default"].versions
        assert store.folders() == [version for version in known if version != 1], step
        assert (data / "models" / "dogs").exists() == bool(dogs), step
        assert store.found_golden() == golden, step
        assert len(list(data.glob("golden/*/*"))) == len(golden), step
        shutil.rmtree(data)
        if not killed:
            break
    assert not killed
    assert step > 10
