"""What `nvidia-smi` tells of the machine's GPUs; nothing where there is none."""

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """One process on a GPU.

    Attributes:
        gpu: the GPU's UUID.
        megabytes: of its memory; 0 if the driver does not tell.
    """

    gpu: str
    megabytes: float


def gpus() -> list[str]:
    """Each GPU in words: name, memory, driver."""
    rows = _query("--query-gpu=name,memory.total,driver_version")
    return [f"{name}, {memory}, driver {driver}" for name, memory, driver in rows]


def used() -> float:
    """Megabytes of memory that are in use on all GPUs together."""
    return sum(_megabytes(memory) for (memory,) in _query("--query-gpu=memory.used"))


def processes(pids: Iterable[int]) -> Mapping[int, Use]:
    """Those of some processes that the driver sees; in a container it may know them by other numbers."""
    wanted = set(pids)
    rows = _query("--query-compute-apps=pid,gpu_uuid,used_memory")
    found = {int(pid): Use(gpu, _megabytes(memory)) for pid, gpu, memory in rows if pid.isdecimal()}
    return {pid: use for pid, use in found.items() if pid in wanted}


def _query(what: str) -> list[list[str]]:
    if (program := shutil.which("nvidia-smi")) is None:
        return []
    command = [program, what, "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [line.split(", ") for line in done.stdout.splitlines() if done.returncode == 0]
    # A sentence may stand in place of rows.
    return [row for row in rows if len(row) == what.count(",") + 1]


def _megabytes(text: str) -> float:
    """Of a text such as `1234 MiB`."""
    number, _, unit = text.partition(" ")
    return float(number) * 2**20 / 1e6 if unit == "MiB" else 0.0
