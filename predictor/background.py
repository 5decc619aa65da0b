"""Processes that work behind the requests, at a lower priority from their first moment.

Such a process takes as long to load its libraries as for most of what it does: one that gave way only after
that had predictions wait for 20 ms.
"""

import contextlib
import ctypes
import os
import platform
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ENVIRONMENT: Mapping[str, str] = {
    "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
    # NumPy's library would start a thread for each core, and a check may start none.
    "OPENBLAS_NUM_THREADS": "1",
}
"""Nothing of the service's own environment, in which there are tokens."""
NICENESS = 5
"""By how much requests go first; on a busy machine the rest must come to its end as well."""
_LEAST = 19


# A thread that wakes interrupts a thread with a longer time slice at once; with an equal slice it waits up to
# 3 ms. The length of the slice does not change the share of the processor. Linux allows at most 100 ms.
_SLICE_NS = 100_000_000
# The number of the system call sched_setattr(2), for which older C libraries have no function. Linux before
# 6.12 ignores the slice.
_SET_ATTRIBUTES = {"x86_64": 314, "aarch64": 274}
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")


def give_way(task: int = 0) -> None:
    """Lower the priority of a process or of this thread, and lengthen its time slice where Linux can do that.

    Args:
        task: the id of the process; 0 is this thread.

    Raises:
        OSError: there is no such process.
    """
    niceness = min(os.getpriority(os.PRIO_PROCESS, 0) + NICENESS, _LEAST)
    os.setpriority(os.PRIO_PROCESS, task, niceness)
    call = _SET_ATTRIBUTES.get(platform.machine()) if platform.system() == "Linux" else None
    if call is not None and os.sched_getscheduler(task) == os.SCHED_OTHER:
        asked = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, niceness, 0, _SLICE_NS, 0, 0)
        ctypes.CDLL(None).syscall(ctypes.c_long(call), ctypes.c_int(task), asked, ctypes.c_uint(0))


def wait_for_idle(task: int) -> None:
    """Have a process use only what others leave of the processors, where the system lets us do that.

    A thread that wakes takes a core at which such a process works for a free one. Beside others that are
    always busy the process does not come to its end, and only root can undo this.

    Args:
        task: the id of the process.
    """
    if platform.system() == "Linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(task, os.SCHED_IDLE, os.sched_param(0))


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    seconds: float,
    asked: bytes = b"",
    *,
    stderr: int | None = None,
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command of the service's own, and read what it writes to standard output.

    Args:
        command: starts it.
        environment: its environment.
        seconds: it is killed after so many.
        asked: what it reads from standard input.
        stderr: where its standard error goes, as `subprocess.run` has it; by default to this process's.

    Raises:
        OSError: it could not be started.
        subprocess.TimeoutExpired: it was killed.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603 (each command is a constant of its module)
        command, stdin=pipe, stdout=pipe, stderr=stderr, env=environment
    ) as process:
        try:
            give_way(process.pid)
            out, errors = process.communicate(asked, timeout=seconds)
        finally:
            process.kill()  # which does nothing to one that has ended
    return subprocess.CompletedProcess(command, process.returncode, out, errors)
