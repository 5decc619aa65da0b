"""What the kernel says of the service's processes."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def ticks(stat: str) -> int:
    """Processor time of a process, in its own code and in the kernel's, in clock ticks.

    Args:
        stat: `/proc/PID/stat`; the program's name in it may hold spaces and brackets.
    """
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def processor_seconds(pids: Iterable[int]) -> float:
    """Processor time that processes had so far, together; without those that have ended."""
    total = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            total += ticks(Path(f"/proc/{pid}/stat").read_text())
    return total / _TICKS
