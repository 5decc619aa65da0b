"""A disk that becomes full in the middle of an optimisation ends it with a sentence, and no process."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SPACE = ("unshare", "--map-root-user", "--mount")
PREPARE = """
import sys
from pathlib import Path
from predictor.image.decode import Limits
from predictor.optimising.samples import prepared
from tests.optimising.networks import images, spec
try:
    list(prepared(images(40), spec(), Limits(("PNG",), 10**6, 10**6), Path(sys.argv[1]), 1))
except OSError as error:
    print(error.strerror)
"""
OPTIMISE = """
import sys
from pathlib import Path
import onnx
from predictor.errors import StorageFull
from predictor.image.decode import Limits
from predictor.model.device import Device
from predictor.optimising.optimiser import Optimiser, Source
from predictor.optimising.processes import Processes
from tests.optimising.networks import images, network, spec
folder = Path(sys.argv[1])
model = folder.with_name("model.onnx")
onnx.save(network(), model)
source = Source(model, spec(), Device("cpu"))
made = Optimiser(source, folder, Processes(folder, Device("cpu")), pace_seconds=0.1)
try:
    *_, report = made.steps(images(4), Limits(("PNG",), 10**6, 10**6))
except StorageFull as error:
    print(error.detail)
else:
    print(sorted(one["key"] for one in report["candidates"]), report["skipped"])
"""


def on_disk_of(kilobytes: int, code: str, folder: Path) -> str:
    """What a program prints that works on a disk of that size, which is mounted for it alone."""
    (disk := folder / "disk").mkdir()
    mount = f"mount -t tmpfs -o size={kilobytes}k tmpfs {disk}"
    if shutil.which("unshare") is None or subprocess.run([*SPACE, "sh", "-c", mount], check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    (program := folder / "program.py").write_text(code)
    command = [*SPACE, "sh", "-c", f"{mount} && exec {sys.executable} {program} {disk}"]
    environment = {"PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_images(tmp_path: Path) -> None:
    """While images are prepared it is an error like that of any file."""
    assert on_disk_of(100, PREPARE, tmp_path) == "No space left on device"


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [64, 72, 80, 100, 120])
def test_candidates(tmp_path: Path, kilobytes: int) -> None:
    """While candidates are made or judged it is an error that says so, whichever tool writes."""
    assert "The disk is full" in on_disk_of(kilobytes, OPTIMISE, tmp_path)
