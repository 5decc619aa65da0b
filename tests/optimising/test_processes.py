"""The processes of an optimisation leave the processors to others, and come to their end all the same."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pydantic
import pytest

from predictor.model.device import Device
from predictor.optimising.job import Job
from predictor.optimising.processes import Processes

JOB = Job("judge", ("model.onnx",), ("image", "scores"))
# Half a second of work, and which class of the scheduler did it.
WORK = (
    "import json, os, time\n"
    "while time.process_time() < 0.5: pass\n"
    "print(json.dumps({'ok': True, 'policy': os.sched_getscheduler(0)}))"
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no idle class")


class Told(pydantic.BaseModel):
    """What the process tells of itself."""

    ok: Literal[True]
    policy: int


def processes(folder: Path, code: str = WORK) -> Processes:
    """Processes that run some code in place of a job."""
    return Processes(folder, Device("cpu"), (sys.executable, "-c", code))


def test_idle(tmp_path: Path) -> None:
    """A job gets what others leave of the processors, from its first moment."""
    code = 'import os; print(\'{"ok": true, "policy": %d}\' % os.sched_getscheduler(0))'

    assert processes(tmp_path, code).do(JOB, Told).policy == os.SCHED_IDLE


def test_starved(tmp_path: Path) -> None:
    """Where others leave nothing, the job is done beside them, and so are those after it."""
    asked, allowed = processes(tmp_path), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        found = [asked.do(JOB, Told).policy for _ in range(2)]
    finally:
        os.sched_setaffinity(0, allowed)
        busy.kill()
        busy.wait()

    assert found == [os.SCHED_OTHER] * 2


def test_gpu(tmp_path: Path) -> None:
    """On a GPU the pace is measured by the clock, for which a job may not wait for a processor."""
    job = Job("pace", ("model.onnx",), ("image", "scores"), provider="cuda")

    assert processes(tmp_path).do(job, Told).policy == os.SCHED_OTHER
