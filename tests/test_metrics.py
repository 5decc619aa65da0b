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
from predictor.metrics import Metrics, exporter
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


_MANY = """
import os
from predictor.metrics import Metrics, exporter
owner = exporter(lambda: None)
metrics = Metrics(owner.registry)
metrics.cache_requests.labels("hit").inc()
for number in range(20_000):
    metrics.images.labels("model-" + "m" * 50, str(number), "ok").inc()
metrics.cache_requests.labels("hit").inc()
print(owner.generate_metrics()[0])
"""


def _grown(folder: Path) -> str:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder), "WORKER_SLOT": "0"}
    return subprocess.run(
        [sys.executable, "-c", _MANY], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_more_series_than_foreseen(folder: Path) -> None:
    """More series than the files were made for are counted as well."""
    shown = _grown(folder)

    assert shown.count("predictor_images_total{") == 20_000
    assert 'predictor_cache_requests_total{result="hit"} 2.0' in shown


def test_folder_is_gone(folder: Path) -> None:
    """A worker whose files were removed before it counted anything goes on as if they were there."""
    program = _PROGRAM.format(enospc=errno.ENOSPC).replace(
        "metrics.images",
        "import shutil; shutil.rmtree(os.environ['PROMETHEUS_MULTIPROC_DIR'])\nmetrics.images",
    )
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder), "WORKER_SLOT": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program, "free"], env=environment, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
