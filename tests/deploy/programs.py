"""Programs that check files of `deploy/`; tools/install_test_servers.sh installs most of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
_PATH = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def program(name: str) -> str:
    """Where a program is; without it the test is skipped, except in continuous integration."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"no {name} in continuous integration")
        pytest.skip(f"{name} is not installed: files of deploy/ are NOT checked by it")
    return found


def run(*command: object, folder: Path = ROOT) -> str:
    """What a command says that must succeed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
