"""Which processor this machine has: its name, and the instruction sets on which fast integers depend."""

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from predictor.archives import shown
from predictor.model import strict_text

KEY = "predictor.processor"
"""The key in a model's metadata that says for which processor it was made faster."""
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


def elsewhere(other: object) -> str | None:
    """Why what was made faster for a processor, in its JSON form, may do badly here; None if it may not."""
    if not isinstance(other, Mapping) or not this_machine().differs(other):
        return None
    return (
        f"This version was made faster for another processor ({shown(str(other.get('name', 'unknown')))}). "
        "On this one it may be slower or less accurate. Optimise the original version here."
    )


def metadata() -> str:
    """What stands under `KEY` in a model that is made faster on this machine."""
    return json.dumps(this_machine().to_json())


def said_in(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """What `elsewhere` says of the processor that a model's metadata name, if it says anything."""
    try:
        sentence = elsewhere(strict_text.load_json(metadata.get(KEY, "null")))
    except ValueError:
        return ()
    return () if sentence is None else (sentence,)


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
