"""A worker's metrics lie in files that are mapped into memory, and never end the worker."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: how values are kept is decided once for a whole process.
_PROGRAM = """
import os
import sys
from predictor.runtime.metrics import Metrics, exporter
if sys.argv[1] == "full":
    def posix_fallocate(descriptor, offset, length):
        raise OSError({enospc}, "No space left on device")
    os.posix_fallocate = posix_fallocate
owner = exporter(lambda: None)
metrics = Metrics(owner.registry)
metrics.images.labels("default", "1", "ok").inc(3)
print(owner.generate_metrics()[0])
"""
_COUNTED = 'predictor_images_total{model="default",outcome="ok",version="1"} 3.0'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files of metrics lie."""
    made = tmp_path / "metrics"
    made.mkdir()
    return made


def _export(folder: Path, disk: str) -> str:
    program = _PROGRAM.format(enospc=errno.ENOSPC)
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder), "WORKER_SLOT": "0"}
    return subprocess.run(
        [sys.executable, "-c", program, disk], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_files_have_their_room_beforehand(folder: Path) -> None:
    """Every file that a worker maps takes its room on the disk at once: a later want of it would be fatal."""
    assert _COUNTED in _export(folder, "free")
    sizes = {file.name: file.stat().st_blocks * 512 for file in folder.iterdir()}
    assert sizes
    assert all(size >= 1 << 20 for size in sizes.values()), sizes


def test_full_disk(folder: Path) -> None:
    """Without room for the files a worker counts for itself, and writes to none of them."""
    assert _COUNTED in _export(folder, "full")
    assert all(file.stat().st_size == 0 for file in folder.iterdir())


def test_damaged_file_of_the_former_worker(folder: Path) -> None:
    """A worker replaces a file that its slot's former worker left damaged."""
    (folder / "counter_0.db").write_bytes(b"\xff" * 64)
    assert _COUNTED in _export(folder, "free")


def test_counts_of_the_former_worker(folder: Path) -> None:
    """A worker goes on from the counts of its slot's former worker."""
    _export(folder, "free")
    assert _COUNTED.replace("3.0", "6.0") in _export(folder, "free")
