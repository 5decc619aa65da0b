"""Processes that work behind the requests, at a lower priority from their first moment.

Such a process takes as long to load its libraries as for most of what it does: one that gave way only after
that had predictions wait for 20 ms.
"""

import os
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


def lower(process: int) -> None:
    """Have a process give way to this one."""
    os.setpriority(os.PRIO_PROCESS, process, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


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
            lower(process.pid)
            out, errors = process.communicate(asked, timeout=seconds)
        finally:
            process.kill()  # which does nothing to one that has ended
    return subprocess.CompletedProcess(command, process.returncode, out, errors)
