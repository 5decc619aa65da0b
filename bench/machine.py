"""What the figures of a run depend on, in words."""

import datetime as dt
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from predictor.cores import cores

# As the markers of requirements.txt choose.
_RUNTIME = "onnxruntime-gpu" if platform.machine() == "x86_64" else "onnxruntime"
_OWN = ("gunicorn", "flask", _RUNTIME, "numpy", "pillow")


def machine() -> str:
    """The machine, the day and the versions of this project's environment, as lines of Markdown."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _OWN)
    processor = model[1] if model else platform.machine()
    return (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC; {processor}, {cores()} cores, {memory:.0f} GiB; "
        f"Linux {platform.release()}; Python {platform.python_version()}.\nThis service: {versions}."
    )


def versions(interpreter: Path, packages: Sequence[str]) -> str:
    """What a virtual environment has of some packages."""
    program = (
        "import sys; from importlib.metadata import version; "
        "print(', '.join(f'{name} {version(name)}' for name in sys.argv[1:]))"
    )
    names = [re.split(r"[\[<>=~!]", package)[0] for package in packages]
    done = subprocess.run(
        [str(interpreter), "-c", program, *names], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
