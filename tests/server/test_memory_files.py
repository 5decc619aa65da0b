"""Files that a server keeps in memory: in a folder of its own, where there is room, and not for ever."""

import os
from pathlib import Path

import pytest

from predictor.server.memory_files import heartbeats, make_metrics


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """Stands for the file system in memory."""
    made = tmp_path / "memory"
    made.mkdir()
    return made


def test_in_memory(tmp_path: Path, memory: Path) -> None:
    """The folder lies in memory, and is private."""
    folder = make_metrics(tmp_path / "data", 2, memory)

    assert folder is not None
    assert folder.parent == memory
    assert folder.stat().st_mode & 0o777 == 0o700


def test_no_room_in_memory(tmp_path: Path, memory: Path) -> None:
    """Where memory has no room for the files of all workers, the folder lies on the disk."""
    folder = make_metrics(tmp_path / "data", 1 << 40, memory)

    assert folder is not None
    assert folder.parent == tmp_path / "data" / "metrics"


def test_no_memory(tmp_path: Path) -> None:
    """So it does where no file system is in memory."""
    folder = make_metrics(tmp_path / "data", 2, tmp_path / "missing")

    assert folder is not None
    assert folder.parent == tmp_path / "data" / "metrics"


def test_nowhere(tmp_path: Path) -> None:
    """Where no folder can be made at all, there is none."""
    (tmp_path / "data").write_bytes(b"a file")

    assert make_metrics(tmp_path / "data", 2, tmp_path / "missing") is None


def test_left_behind(tmp_path: Path, memory: Path) -> None:
    """What a dead server left is removed; what a living one has is not, nor what others call their own."""
    mine = make_metrics(tmp_path, 2, memory)
    assert mine is not None
    prefix = mine.name.rsplit(f"{os.getpid()}-", 1)[0]
    dead, alive, other = (memory / name for name in (f"{prefix}99999999-x", f"{prefix}1-x", "other-1"))
    for folder in (dead, alive, other):
        folder.mkdir()
        (folder / "counter_1.db").write_bytes(b"counts")

    again = make_metrics(tmp_path, 2, memory)

    assert set(memory.iterdir()) == {alive, other, again}


def test_heartbeats(tmp_path: Path, memory: Path) -> None:
    """Heartbeats lie in memory; where no file can be made there, in the data folder; else gunicorn's."""
    assert heartbeats(tmp_path, memory) == str(memory)
    assert heartbeats(tmp_path, tmp_path / "missing") == str(tmp_path)
    assert heartbeats(tmp_path / "missing", tmp_path / "missing") is None


def test_only_dead_servers_are_cleaned_up(tmp_path: Path, memory: Path) -> None:
    """Whether a server lives is asked of the kernel: where there is no `/proc`, its metrics stay as well."""
    mine = make_metrics(tmp_path, 2, memory)
    assert mine is not None
    prefix = mine.name.rsplit(f"{os.getpid()}-", 1)[0]
    alive, odd = memory / f"{prefix}{os.getppid()}-x", memory / f"{prefix}word-x"
    for folder in (alive, odd):
        folder.mkdir()

    make_metrics(tmp_path, 2, memory)

    assert alive.exists()
    assert not odd.exists()
