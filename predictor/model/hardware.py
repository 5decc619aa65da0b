"""Which processor this machine has, and which GPUs `CUDA_VISIBLE_DEVICES` leaves visible.

Of the processor counts its name, and the instruction sets on which fast integers depend.

For the GPUs, in PCI order, the rules are those of the CUDA programming guide, "CUDA environment variables".
It leaves open what happens to a GPU named twice and to lists that mix numbers and names; there this follows
the NVIDIA driver as PyTorch's tests record it: no GPU at all, and the end of the list. Numbers are read in
PCI order, as nvidia-smi counts. With `CUDA_DEVICE_ORDER` unset CUDA itself puts the fastest GPU first, which
is the same order unless the models differ; `numbers_unclear` tells that case.
"""

import json
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from predictor.archives import shown
from predictor.errors import PredictorError
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

VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"


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


@dataclass(frozen=True)
class Gpu:
    """A GPU or a MIG instance as NVML describes it.

    `alias` is the older name of an instance, `MIG-<GPU UUID>/<GPU instance>/<compute instance>`.
    `instances` is None unless MIG divides the GPU.
    """

    uuid: str
    name: str = "NVIDIA GPU"
    alias: str | None = None
    instances: "tuple[Gpu, ...] | None" = None


class NoGpu(PredictorError):
    """No GPU can be used; the message is a clause that says why, to follow "because"."""


def visible(gpus: Sequence[Gpu | None], environment: Mapping[str, str]) -> list[Gpu | None]:
    """The devices that CUDA may use, in its order, a divided GPU replaced by its instances.

    Args:
        gpus: every GPU of the machine in PCI order, None for one that does not answer.
        environment: where `CUDA_VISIBLE_DEVICES` is looked up.

    Raises:
        NoGpu: none is left.
    """
    listed = environment.get(VISIBLE)
    if not (chosen := gpus if listed is None else _listed(gpus, listed)):
        raise NoGpu(f"{VISIBLE} leaves no GPU visible")
    if not (devices := [device for gpu in chosen for device in _parts(gpu)]):
        raise NoGpu("the visible GPUs are in MIG mode and have no MIG instance")
    return devices


def numbers_unclear(gpus: Sequence[Gpu | None], environment: Mapping[str, str], *, numbered: bool) -> bool:
    """Whether CUDA, left to itself, could count the GPUs in another order than was assumed here.

    `numbered` says that the caller picks by number, which matters where the variable names no order itself.
    """
    listed = environment.get(VISIBLE)
    numbers = numbered if listed is None else not listed.strip().startswith(("GPU-", "MIG-"))
    models = {gpu.name for gpu in gpus if gpu is not None}
    return numbers and len(models) > 1 and environment.get(ORDER) != "PCI_BUS_ID"


def _parts(gpu: Gpu | None) -> Sequence[Gpu | None]:
    return (gpu,) if gpu is None or gpu.instances is None else gpu.instances


def _listed(gpus: Sequence[Gpu | None], listed: str) -> list[Gpu | None]:
    """What a list names, up to the first entry that names nothing; nothing at all if one is named twice."""
    entries = [entry.strip() for entry in listed.split(",")]
    # The first entry sets the list's kind; an entry of another kind ends the list.
    kind = entries[0][:4]
    named = kind in {"GPU-", "MIG-"}
    candidates = (
        [*gpus, *(part for gpu in gpus for part in _parts(gpu) if part is not gpu)] if named else gpus
    )
    positions: list[int] = []
    for entry in entries:
        position = _by_name(entry, kind, candidates) if named else _by_number(entry, candidates)
        if position is None:
            break
        if position in positions:
            return []
        positions.append(position)
    return [candidates[position] for position in positions]


def _by_number(entry: str, gpus: Sequence[Gpu | None]) -> int | None:
    # The driver reads an entry as C's strtoul does: whatever follows the digits is ignored.
    digits = re.match(r"[+-]?[0-9]+", entry)
    number = int(digits[0]) if digits else -1
    return number if 0 <= number < len(gpus) else None


def _by_name(entry: str, kind: str, gpus: Sequence[Gpu | None]) -> int | None:
    if not entry.startswith(kind):
        return None
    known = [(position, gpu) for position, gpu in enumerate(gpus) if gpu is not None]
    found = [position for position, gpu in known if entry in {gpu.uuid, gpu.alias}]
    # The guide allows a UUID to be cut short as long as one GPU alone begins like that.
    found = found or [position for position, gpu in known if gpu.uuid.startswith(entry)]
    return found[0] if len(found) == 1 else None
