"""The processes of an optimisation leave the processors to others, and come to their end all the same."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pydantic
import pytest

from predictor.errors import NotReady
from predictor.model.device import Device
from predictor.optimising.job import Job
from predictor.optimising.processes import Processes
from tests.patience import PATIENCE

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


def children() -> set[int]:
    """The process ids of this process's children, whichever of its threads started them."""
    found = set[int]()
    for task in Path("/proc/self/task").iterdir():
        # A thread that ends meanwhile hands its children to another one.
        with suppress(OSError):
            found.update(map(int, (task / "children").read_text().split()))
    return found


def policy(process: int) -> int | None:
    """The scheduler's class of a process; None if it has ended."""
    with suppress(OSError):
        return os.sched_getscheduler(process)
    return None


def test_idle(tmp_path: Path) -> None:
    """A job gets what others leave of the processors, before it has done anything."""
    asked, before = processes(tmp_path, "import time; time.sleep(600)"), children()
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(asked.do, JOB, Told)
        try:
            deadline = time.monotonic() + PATIENCE
            # It is looked at from outside: on a busy machine it comes to nothing in this class.
            while os.SCHED_IDLE not in map(policy, children() - before):
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            asked.stop()
        with pytest.raises(NotReady, match="stopped"):
            job.result(PATIENCE)


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
