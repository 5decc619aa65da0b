"""`python -m tools.mutate_models SEED FILE`: write a damaged model, the same one for the same seed.

A mutant is a small model of this folder's other modules, or one of a real exporter, with
one to three changes: of its bytes, as a bad disk or line makes them, or of a field, as a bad exporter or a
malicious uploader does.
"""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from tools import bad_models, external_models, runtime_models
from tools.mutate_fields import KINDS, change_field
from tools.sample_models import classifier

_MAX_CHANGES = 3
_LONGEST = 2_000_000
_EXPORTS = Path(__file__).parent.parent / "tests" / "data" / "exports"
_BASES: tuple[Callable[[], bytes], ...] = (
    lambda: classifier(bad_models.COLOURS),
    lambda: classifier(bad_models.COLOURS, layout="NHWC", dtype="uint8"),
    lambda: classifier(bad_models.COLOURS, dtype="float16", batch=2),
    lambda: classifier(bad_models.COLOURS, metadata=False),
    lambda: bad_models.time_bomb("crash"),
    lambda: bad_models.time_bomb("loop"),
    lambda: bad_models.troubled("crash"),
    lambda: bad_models.troubled("kernel"),
    lambda: bad_models.chained_functions(10),
    bad_models.huge_at_run,
    bad_models.wrong_labels_at_run,
    bad_models.not_finite,
    bad_models.one_answer,
    bad_models.failing,
    lambda: external_models.external_data("weights.bin"),
    # Convolutions and attention, which the runtime rewrites as it loads them.
    (_EXPORTS / "keras_uint8.onnx").read_bytes,
    (_EXPORTS / "timm_softmax.onnx").read_bytes,
    (_EXPORTS / "hf_vit.onnx").read_bytes,
    runtime_models.fused_classifier,
    runtime_models.tree_classifier,
)


@dataclass(frozen=True)
class Mutant:
    """A damaged model.

    Attributes:
        seed: makes it again.
        changes: the kinds of its changes, in their order.
        content: the file.
    """

    seed: int
    changes: tuple[str, ...]
    content: bytes


def mutant(seed: int) -> Mutant:
    """The mutant of a seed."""
    chance = random.Random(seed)  # noqa: S311 - it has to be the same each time
    content = _base(chance.randrange(len(_BASES)))
    kinds = [*_OF_BYTES, *KINDS]
    changes = tuple(chance.choice(kinds) for _ in range(chance.randint(1, _MAX_CHANGES)))
    for kind in changes:
        content = _OF_BYTES[kind](content, chance) if kind in _OF_BYTES else _of_field(content, kind, chance)
    return Mutant(seed, changes, content[:_LONGEST])


@cache
def _base(number: int) -> bytes:
    return _BASES[number]()


def _flip(content: bytes, chance: random.Random) -> bytes:
    """Change some bits, anywhere or side by side."""
    changed = bytearray(content)
    if changed:
        start, spread = chance.randrange(len(changed)), chance.choice((1, 8, len(changed)))
        for _ in range(chance.randint(1, 8)):
            changed[(start + chance.randrange(spread)) % len(changed)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(content: bytes, chance: random.Random) -> bytes:
    """Leave out the end, the beginning or a piece of the middle."""
    first, last = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return chance.choice((content[:last], content[first:], content[:first] + content[last:]))


def _splice(content: bytes, chance: random.Random) -> bytes:
    """Put a piece of another model, or of itself, into the middle."""
    other = chance.choice((content, _base(chance.randrange(len(_BASES)))))
    first, last = sorted(chance.randrange(len(other) + 1) for _ in range(2))
    place = chance.randrange(len(content) + 1)
    over = chance.choice((0, last - first))
    return content[:place] + other[first:last] + content[place + over :]


_OF_BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flip": _flip,
    "cut": _cut,
    "splice": _splice,
}


def _of_field(content: bytes, kind: str, chance: random.Random) -> bytes:
    """Change one field of a kind; bytes that are no model any more have some bits changed instead."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        return _flip(content, chance)
    change_field(model, kind, chance)
    return bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(mutant(int(sys.argv[1])).content)
