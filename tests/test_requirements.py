"""What is installed is what the service was made for, and there is something to install on other machines."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
# The first version of each without a vulnerability that matters to a service like this one.
SAFE = {
    "urllib3": "2.8.0",  # CVE-2026-97689, CVE-2026-21441, CVE-2025-66418, CVE-2025-66471
    "requests": "2.33.0",  # CVE-2026-25645, CVE-2024-47081
    "pillow": "13.0.0",  # CVE-2026-96639, CVE-2026-96643, CVE-2026-40192, CVE-2026-55379
    "onnx": "1.23",  # CVE-2026-44512, CVE-2026-27489, CVE-2026-34445
    "onnxruntime-gpu": "1.30",  # data outside the model's file
    "onnxruntime": "1.30",  # the same
    "flask": "3.1.3",  # CVE-2026-27205
    "werkzeug": "3.1.6",  # reading of multipart forms
    "gunicorn": "26.1",  # reading of requests
}
# Packages that others bring along.
SAFE_IF_INSTALLED = SAFE | {"filelock": "4.2.1"}  # CVE-2025-68146, CVE-2026-22701


RUNTIMES = {"onnxruntime", "onnxruntime-gpu"}
# For each machine, what markers see of it, and the kinds of wheels that it takes.
MACHINES = {
    "Linux on aarch64, glibc 2.28": (
        {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
        ["manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 29))],
    ),
    "macOS 14 on arm64": (
        {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
        ["macosx_14_0_arm64"],
    ),
}


def requirements(name: str) -> dict[str, Requirement]:
    """The packages that a file of requirements names, with their bounds."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    read = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {one.name.lower(): one for one in read}


def needed(markers: dict[str, str]) -> list[Requirement]:
    """The packages that are needed where markers have these values, and else those of this machine."""
    read = requirements("requirements.txt").values()
    return [one for one in read if one.marker is None or one.marker.evaluate(dict(markers))]


def chosen(markers: dict[str, str]) -> set[str]:
    """Their names."""
    return {one.name.lower() for one in needed(markers)}


def pip(*options: object) -> subprocess.CompletedProcess[str]:
    """Have pip say what it would install."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    words = [*command, "--retries", "1", "--timeout", "15", "--report", "-", *map(str, options)]
    return subprocess.run(words, check=False, capture_output=True, text=True, timeout=300)


def test_one_onnxruntime() -> None:
    """The CPU distribution never stands beside the GPU one: they overwrite each other's files."""
    installed = {dist.metadata["Name"].lower() for dist in importlib.metadata.distributions()}

    assert installed & RUNTIMES == chosen({}) & RUNTIMES
    assert len(installed & RUNTIMES) == 1


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "arm64", "AMD64"])
def test_one_onnxruntime_anywhere(system: str, machine: str) -> None:
    """On every machine exactly one distribution is chosen: with CUDA only on Linux on x86-64."""
    found = chosen({"sys_platform": system, "platform_machine": machine}) & RUNTIMES

    gpu = (system, machine) == ("linux", "x86_64")
    assert found == {"onnxruntime-gpu" if gpu else "onnxruntime"}


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_other_machines(machine: str, tmp_path: Path) -> None:
    """The requirements can be installed from wheels on machines of other kinds; nothing is installed here."""
    markers, tags = MACHINES[machine]
    wanted = [f"{one.name}{one.specifier}" for one in needed(markers)]
    platforms = [option for tag in tags for option in ("--platform", tag)]

    answer = pip("--only-binary=:all:", "--target", tmp_path, *platforms, *wanted)

    if answer.returncode and pip("--no-deps", "--no-cache-dir", "-r", ROOT / "requirements.txt").returncode:
        pytest.skip("The package index cannot be reached: pip finds no packages for this machine either.")
    assert answer.returncode == 0, answer.stderr
    names = {one["metadata"]["name"].lower() for one in json.loads(answer.stdout)["install"]}
    assert names & RUNTIMES == {"onnxruntime"}
    assert list(tmp_path.iterdir()) == []


def test_every_requirement_is_explained() -> None:
    """Each run-time package has a lower bound and a comment that says what it is for."""
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]

    assert len(lines) >= 10
    assert all(re.fullmatch(r"[a-z0-9-]+>=[\d.]+(,<\d+)?(; [^#]+)?\s+# .{10,}", line) for line in lines)


def test_known_bad_versions_are_excluded() -> None:
    """No version with a known vulnerability may be installed: each lower bound lies above it."""
    required = requirements("requirements.txt")
    bounds = {
        name: [Version(bound.version) for bound in required[name].specifier if bound.operator == ">="]
        for name in SAFE
    }

    assert {
        name: found for name, found in bounds.items() if not found or max(found) < Version(SAFE[name])
    } == {}


def test_cuda_wheels_are_no_older() -> None:
    """The second file for GPU machines asks for the same version as the first."""
    extra = requirements("requirements-cuda.txt")["onnxruntime-gpu"]

    first = requirements("requirements.txt")["onnxruntime-gpu"]
    assert (extra.specifier, extra.marker) == (first.specifier, first.marker)


def test_installed_versions() -> None:
    """What is installed here is none of the versions with a known vulnerability."""
    installed = {dist.metadata["Name"].lower(): dist.version for dist in importlib.metadata.distributions()}

    assert {
        name: installed[name]
        for name, first in SAFE_IF_INSTALLED.items()
        if name in installed and Version(installed[name]) < Version(first)
    } == {}
