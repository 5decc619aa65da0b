"""How much memory processes take at their peak, as the kernel counts it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_KB = 1024
# Written to clear_refs, it sets the peak back to what is resident now (proc(5)).
_RESET_PEAK = "5"
_LOOK_SECONDS = 0.005


@dataclass
class Growth:
    """By how many bytes a process, or all together, were at their peak above their size before."""

    most: int = 0


@contextmanager
def growth(pids: Sequence[int]) -> Iterator[Growth]:
    """Measure by how much processes grow at most while the block runs.

    Yields:
        The result, which is set when the block has ended.
    """
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)
    before = {pid: _status(pid, "VmRSS") for pid in pids}
    found = Growth()
    yield found
    found.most = max(_status(pid, "VmHWM") - size for pid, size in before.items())


@contextmanager
def growth_together(pids: Sequence[int]) -> Iterator[Growth]:
    """Measure by how much processes grow together at most while the block runs, by looking again and again.

    Yields:
        The result, which is set when the block has ended.
    """
    found, ended, before = Growth(), threading.Event(), resident(pids)

    def watch() -> None:
        while not ended.wait(_LOOK_SECONDS):
            found.most = max(found.most, resident(pids) - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()


def resident(pids: Sequence[int]) -> int:
    """Bytes that are resident of all these processes together."""
    return sum(_status(pid, "VmRSS") for pid in pids)


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * _KB for line in lines if line.startswith(f"{name}:"))
