"""What is installed is what the service was made for."""

import importlib.metadata
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


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
