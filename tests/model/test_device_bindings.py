"""Choosing the device through the real NVML bindings, with a fake driver library built from C."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(code: str, **environment: str) -> Any:
    """What the code prints as JSON in a fresh interpreter where every warning is an error."""
    base = {
        name: os.environ[name] for name in ("PATH", "HOME", "COVERAGE_PROCESS_START") if name in os.environ
    }
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=base | environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


CHOOSE = """
import ctypes, dataclasses, json, sys
from predictor.errors import NotReady
from predictor.model.device import choose, memory
def tell(setting):
    try:
        device = choose(setting)
    except NotReady as error:
        return str(error)
    return [device.uuid, device.name, memory(device)]
users = ctypes.CDLL("libnvidia-ml.so.1").fake_nvml_users
print(json.dumps([tell(%r), users()]))
"""
GIB = 1 << 30
B = ["GPU-bbbb1111-0000-0000-0000-000000000000", "Fake GPU", [20 * GIB, 80 * GIB]]
C = ["GPU-cccc2222-0000-0000-0000-000000000000", "Fake GPU", [1 * GIB, 80 * GIB]]
SMALL = ["MIG-dddd3333-0000-0000-0000-000000000000", "Fake GPU MIG 1g", [1 * GIB, 10 * GIB]]
LARGE = ["MIG-eeee4444-0000-0000-0000-000000000000", "Fake GPU MIG 3g", [2 * GIB, 40 * GIB]]


@pytest.mark.parametrize(
    ("setting", "environment", "expected"),
    [
        ("auto", {}, B),
        ("cuda:2", {}, SMALL),
        ("cuda:3", {}, LARGE),
        ("auto", {"CUDA_VISIBLE_DEVICES": "2"}, LARGE),
        ("auto", {"CUDA_VISIBLE_DEVICES": "MIG-GPU-cccc2222-0000-0000-0000-000000000000/7/0"}, SMALL),
        ("cuda", {"FAKE_NVML_SILENT": "1"}, LARGE),
        ("cuda:1", {"FAKE_NVML_SILENT": "1"}, [*B[:2], None]),
        ("cuda", {"FAKE_NVML_LOST": "1"}, LARGE),
        ("cuda:1", {"FAKE_NVML_LOST": "1"}, "PREDICTOR_DEVICE is cuda:1, but that GPU does not answer."),
        ("cuda", {"FAKE_NVML_INIT": "9"}, "PREDICTOR_DEVICE is cuda, but the NVIDIA driver is not loaded."),
        (
            "cuda",
            {"FAKE_NVML_INIT": "15"},
            "PREDICTOR_DEVICE is cuda, but the NVIDIA driver answered with NVMLError_GpuIsLost.",
        ),
    ],
)
def test_real_bindings(
    driver: Callable[..., dict[str, str]], setting: str, environment: dict[str, str], expected: object
) -> None:
    """Through the real bindings the same rules hold, and the library is closed as often as it is opened."""
    assert run(CHOOSE % setting, **driver(), **environment) == [expected, 0]


def test_driver_older_than_mig(driver: Callable[..., dict[str, str]]) -> None:
    """A driver that lacks the MIG functions has only whole GPUs."""
    assert run(CHOOSE % "auto", **driver("-DBEFORE_MIG")) == [C, 0]


def test_machine_without_driver(tmp_path: Path) -> None:
    """Where no driver library loads, importing is silent, `auto` is the CPU and `cuda` is a clear error."""
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    code = """
import json
from predictor.errors import NotReady
from predictor.model.device import choose
try:
    choose("cuda")
except NotReady as error:
    print(json.dumps([choose("auto").reason, str(error)]))
"""
    reason, error = run(code, LD_LIBRARY_PATH=str(tmp_path))
    assert reason == "The CPU is used because no NVIDIA driver was found."
    assert error == "PREDICTOR_DEVICE is cuda, but no NVIDIA driver was found."
    assert not re.search(r"/|NVML|\.so", reason + error)
