"""Which processor this machine has: its name, and the instruction sets on which fast integers depend."""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_CPUINFO = Path("/proc/cpuinfo")
# As Linux names them, on x86-64 and on ARM.
_SETS = (
    *("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx_vnni_int8"),
    *("avx512_bf16", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
_NAMES = ("model name", "Hardware", "cpu model", "CPU implementer")


@dataclass(frozen=True)
class Processor:
    """A kind of processor.

    Attributes:
        name: as the processor says it.
        machine: the architecture, such as `x86_64`.
        instruction_sets: those that matter for the speed and the rounding of integers.
    """

    name: str
    machine: str
    instruction_sets: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The form that `differs` compares."""
        return {
            "name": self.name,
            "machine": self.machine,
            "instruction_sets": list(self.instruction_sets),
        }

    def differs(self, other: object) -> bool:
        """Whether another processor, in its JSON form, has another architecture or other instruction sets.

        Only these decide which kernels run. What is not of that form tells nothing, and does not differ.
        """
        if not isinstance(other, Mapping):
            return False
        mine = self.to_json()
        return any(other.get(name, mine[name]) != mine[name] for name in ("machine", "instruction_sets"))


@cache
def this_machine() -> Processor:
    """The processor of this machine."""
    return read(_CPUINFO)


def read(cpuinfo: Path, machine: str = platform.machine()) -> Processor:
    """The first processor of a file like /proc/cpuinfo (proc(5)).

    Args:
        cpuinfo: the file; without it nothing but the architecture is known.
        machine: the architecture.
    """
    facts = dict(_facts(cpuinfo))
    known = set(facts.get("flags", facts.get("Features", "")).split())
    name = next((facts[one] for one in _NAMES if facts.get(one)), machine)
    return Processor(name, machine, tuple(one for one in _SETS if one in known))


def _facts(cpuinfo: Path) -> Iterator[tuple[str, str]]:
    try:
        first = cpuinfo.read_text(errors="replace").split("\n\n")[0]
    except OSError:
        return
    for line in first.splitlines():
        name, _, value = line.partition(":")
        yield name.strip(), value.strip()
