"""The file lock keeps others out, and is free when its holder is gone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from predictor.store.files import locked
from tests.patience import PATIENCE

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from predictor.store.files import locked
with locked(Path(sys.argv[1])):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], close_fds=True)
    print(child.pid, flush=True)
    time.sleep(3600)
"""


def test_excludes(tmp_path: Path) -> None:
    """Who comes second waits, and gives up when the time is over."""
    with locked(tmp_path / "lock"), pytest.raises(TimeoutError), locked(tmp_path / "lock", 0.05):
        pass


def test_free_again(tmp_path: Path) -> None:
    """A released lock can be taken, with and without a limit of time."""
    with locked(tmp_path / "lock", 1):
        pass
    with locked(tmp_path / "lock"):
        pass


@pytest.mark.promise("U5")
def test_killed_holder(tmp_path: Path) -> None:
    """The lock of a killed process is free at once, although a program that it started goes on."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    child = int(holder.stdout.readline())
    try:
        holder.kill()
        holder.wait(PATIENCE)
        with locked(tmp_path / "lock", PATIENCE):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()
