"""Which GPUs `CUDA_VISIBLE_DEVICES` leaves visible. Pure: GPUs in PCI order and the variable in, GPUs out.

The rules are those of the CUDA programming guide, "CUDA environment variables". It leaves open what happens
to a GPU named twice and to lists that mix numbers and names; there this follows the NVIDIA driver as
PyTorch's tests record it: no GPU at all, and the end of the list.

Numbers are read in PCI order, as nvidia-smi counts. With `CUDA_DEVICE_ORDER` unset CUDA itself puts the
fastest GPU first, which is the same order unless the models differ; `numbers_unclear` tells that case.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from predictor.errors import PredictorError

VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"


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
