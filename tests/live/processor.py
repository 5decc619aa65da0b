"""How much of a processor processes had, which does not depend on what else the machine does."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Spent:
    """Seconds of a processor that processes had, together with the children that they have reaped."""

    seconds: float = 0.0


@contextmanager
def spent(pids: Sequence[int]) -> Iterator[Spent]:
    """Measure what processes spend while the block runs, to some hundredths of a second.

    Yields:
        The result, which is set when the block has ended.
    """
    found, before = Spent(), sum(map(_seconds, pids))
    yield found
    found.seconds = sum(map(_seconds, pids)) - before


def _seconds(pid: int) -> float:
    """User and system time, and that of reaped children, by proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
