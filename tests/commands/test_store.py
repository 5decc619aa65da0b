"""The commands for a store that machines share: a fault is found, and an emptied store is filled again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from obstore.store import LocalStore

from predictor import cli
from tests.cluster.conftest import Machine, until

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command as on machine a of a store in a folder."""
    monkeypatch.setenv("PREDICTOR_STORE", f"file://{tmp_path}/bucket")
    monkeypatch.setenv("PREDICTOR_DATA", str(tmp_path / "a"))
    monkeypatch.setenv("PREDICTOR_MACHINE", "a")
    return lambda *arguments: CliRunner().invoke(cli.main, ["store", *arguments])


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], Machine]:
    """Start machines of that store."""
    shared = LocalStore(str(tmp_path / "bucket"), mkdir=True)
    return lambda name: Machine(tmp_path / name, shared, name).start()


def test_fresh(run: Run) -> None:
    """A store that keeps its word is in order before any change."""
    found = run("check")

    assert (found.exit_code, "No change was made yet." in found.output) == (0, True)


def test_makes_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first start of the service nothing is made in its data folder, nor the folder itself."""
    monkeypatch.delenv("PREDICTOR_MACHINE")
    assert "This machine, not started yet, with" in run("check").output
    assert not (tmp_path / "a").exists()

    (tmp_path / "a").mkdir()

    assert run("check").exit_code == 0
    assert run("adopt", "--yes").exit_code == 1
    assert list((tmp_path / "a").iterdir()) == []


def test_leaves_a_data_folder_as_it_is(
    run: Run, machine: Callable[[str], Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name that the data folder keeps is shown, and neither command writes there."""
    a = machine("a")
    a.store.upload(b"one")
    a.follower.stop()
    monkeypatch.delenv("PREDICTOR_MACHINE")
    (tmp_path / "a" / "machine").write_text("kept-1")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")}

    assert "This machine, kept-1, with" in run("check").output
    assert run("adopt", "--yes").exit_code == 0

    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")} == before


def test_missing_file(run: Run, machine: Callable[[str], Machine], tmp_path: Path) -> None:
    """A file that the last change needs and the store lacks is named."""
    a = machine("a")
    a.store.upload(b"one")
    a.follower.stop()
    assert "serves change 1" in run("check").output

    (blob, *_) = sorted((tmp_path / "bucket" / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    blob.unlink()
    found = run("check")

    assert found.exit_code == 1
    assert "The store lacks a file of default/2" in found.output


def test_missing_golden_image(run: Run, machine: Callable[[str], Machine], tmp_path: Path) -> None:
    """So is a golden image."""
    a = machine("a")
    a.store.set_golden(b"one")
    a.follower.stop()
    assert run("check").exit_code == 0

    (blob,) = [path for path in (tmp_path / "bucket" / "blobs").iterdir() if path.read_bytes() == b"one"]
    blob.unlink()
    found = run("check")

    assert found.exit_code == 1
    assert "The store lacks a file of default, golden images" in found.output


def test_adopt(run: Run, machine: Callable[[str], Machine], tmp_path: Path) -> None:
    """An emptied store is noticed; after the adoption all machines follow it and make changes again."""
    a, b = machine("a"), machine("b")
    a.store.upload(b"one")
    b.store.upload(b"two")
    b.store.set_golden(b"golden")
    empty(tmp_path / "bucket")
    until(lambda: a.status.fault and b.status.fault)
    assert "adopt" in run("check").output

    assert "Change 4" in run("adopt", "--yes").output

    until(lambda: a.status.serial == b.status.serial == 4)
    until(lambda: not (a.status.fault or b.status.fault))
    b.store.upload(b"three")
    assert (a.content(), a.live()) == (b"three", 4)
    c = machine("c")
    assert c.store.found_golden() == [b"golden"]
    for one in (a, b, c):
        one.follower.stop()


def test_adopt_elsewhere(
    run: Run, machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is not the service's, as where PREDICTOR_DATA is forgotten, takes no machine's models."""
    a = machine("a")
    a.store.upload(b"one")
    service, other = a.store.registry.data, a.store.registry.data.with_name("instance")
    monkeypatch.setenv("PREDICTOR_DATA", str(other))
    assert f"PREDICTOR_DATA={other}, has served no change" in run("check").output

    found = run("adopt", "--yes")

    assert (found.exit_code, f"PREDICTOR_DATA={other} have never" in found.output) == (1, True)
    monkeypatch.setenv("PREDICTOR_DATA", str(service))
    assert "Last change: 1," in run("check").output
    a.follower.stop()


def test_without_a_store(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the setting the commands say what is missing."""
    monkeypatch.delenv("PREDICTOR_STORE")

    found = run("check")

    assert found.exit_code == 1
    assert "PREDICTOR_STORE" in found.output


def empty(bucket: Path) -> None:
    """Take away all that is in a bucket, at once: machines write on while files are removed."""
    for folder in ("changes", "pending", "blobs", "acks"):
        (bucket / folder).rename(bucket.with_name(f"taken-{folder}"))


def copied(bucket: Path, backup: Path, between: Callable[[], object] = lambda: None) -> None:
    """Copy a bucket in the order of the guide: the files, the log, and the files again."""
    for folder in ("blobs", "changes", "pending", "blobs"):
        if folder == "changes":
            between()
        shutil.copytree(bucket / folder, backup / folder, dirs_exist_ok=True)


def test_restored_bucket_for_new_machines(
    run: Run, machine: Callable[[str], Machine], tmp_path: Path
) -> None:
    """A copy that was made while a model was uploaded is whole, and gives new machines its models."""
    old = machine("old")
    old.store.upload(b"one")
    copied(tmp_path / "bucket", tmp_path / "backup", lambda: old.store.upload(b"two"))
    old.die()
    shutil.rmtree(tmp_path / "bucket")

    copied(tmp_path / "backup", tmp_path / "bucket")
    a, b = machine("a"), machine("b")

    assert [one.content() for one in (a, b)] == [b"two"] * 2
    assert run("check").exit_code == 0
    b.store.upload(b"three")
    assert a.content() == b"three"
    for one in (a, b):
        one.follower.stop()


def test_restored_bucket_under_machines(run: Run, machine: Callable[[str], Machine], tmp_path: Path) -> None:
    """Machines that serve more than the copy has go on, and follow again once one of them was adopted."""
    a, b = machine("a"), machine("b")
    a.store.upload(b"one")
    copied(tmp_path / "bucket", tmp_path / "backup")
    b.store.upload(b"two")
    empty(tmp_path / "bucket")
    copied(tmp_path / "backup", tmp_path / "bucket")
    until(lambda: a.status.fault and b.status.fault)
    assert [one.content() for one in (a, b)] == [b"two"] * 2

    assert run("adopt", "--yes").exit_code == 0
    until(lambda: not (a.status.fault or b.status.fault))
    a.store.upload(b"three")

    assert [one.content() for one in (a, b)] == [b"three"] * 2
    for one in (a, b):
        one.follower.stop()
