"""What is installed is what the service was made for."""

import importlib.metadata
import re
from pathlib import Path

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
    "flask": "3.1.3",  # CVE-2026-27205
    "werkzeug": "3.1.6",  # reading of multipart forms
    "gunicorn": "26.1",  # reading of requests
}
# Packages that others bring along.
SAFE_IF_INSTALLED = SAFE | {"filelock": "4.2.1"}  # CVE-2025-68146, CVE-2026-22701


def requirements(name: str) -> dict[str, Requirement]:
    """The packages that a file of requirements names, with their bounds."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    read = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {one.name.lower(): one for one in read}


def test_one_onnxruntime() -> None:
    """The CPU distribution never stands beside the GPU one: they overwrite each other's files."""
    installed = {dist.metadata["Name"].lower() for dist in importlib.metadata.distributions()}

    assert "onnxruntime-gpu" in installed
    assert "onnxruntime" not in installed


def test_every_requirement_is_explained() -> None:
    """Each run-time package has a lower bound and a comment that says what it is for."""
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]

    assert len(lines) >= 10
    assert all(re.fullmatch(r"[a-z0-9-]+>=[\d.]+(,<\d+)?\s+# .{10,}", line) for line in lines)


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

    assert extra.specifier == requirements("requirements.txt")["onnxruntime-gpu"].specifier


def test_installed_versions() -> None:
    """What is installed here is none of the versions with a known vulnerability."""
    installed = {dist.metadata["Name"].lower(): dist.version for dist in importlib.metadata.distributions()}

    assert {
        name: installed[name]
        for name, first in SAFE_IF_INSTALLED.items()
        if name in installed and Version(installed[name]) < Version(first)
    } == {}
