"""Changes of single fields of an ONNX model, of a kind and by chance.

Fields are found by reflection: every field of every message can be changed, and none has to be named here
but to choose between kinds.
"""

import math
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import onnx

# Which fields a kind of change is about: by the type of their message, or by their names.
_FIELDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "shape": (frozenset({"Dimension", "TensorShapeProto"}), frozenset()),
    "type": (frozenset(), frozenset({"elem_type", "data_type"})),
    "operator": (frozenset(), frozenset({"op_type", "domain", "overload"})),
    "attribute": (frozenset({"AttributeProto"}), frozenset({"attribute"})),
    "initializer": (frozenset({"TensorProto"}), frozenset({"initializer", "sparse_initializer"})),
    "edge": (frozenset(), frozenset({"input", "output", "name"})),
    "text": (frozenset({"StringStringEntryProto"}), frozenset({"metadata_props"})),
    "version": (frozenset({"OperatorSetIdProto"}), frozenset({"ir_version", "opset_import"})),
    "graph": (frozenset({"GraphProto", "ModelProto", "FunctionProto"}), frozenset({"node"})),
}
KINDS = tuple(_FIELDS)
"""What a change can be about."""

_POWERS = (2**24, 2**31 - 1, -(2**31), 2**32, 2**40, 2**63 - 1, -(2**63))
_NUMBERS = (-1, 0, 1, 2, 3, 4, 7, 16, 31, 255, 256, *_POWERS)
_REALS = (0.0, -1.0, 1e-45, 1e38, math.inf, -math.inf, math.nan)
_TEXTS = ("", "scores", "image", "\x00", "é" * 50, "x" * 10_000, "../../etc/passwd", "[" * 5000, "{}")
_MANY = 50


def change_field(model: Any, kind: str, chance: random.Random) -> None:
    """Change one field of a kind, if the model has any."""
    owners, names = _FIELDS[kind]
    places = [
        (owner, field)
        for owner, field in _places(model)
        if owner.DESCRIPTOR.name in owners or field.name in names
    ]
    if places:
        _change(*chance.choice(places), chance)


def _places(message: Any) -> Iterator[tuple[Any, Any]]:
    """Every field of a message and of those within it, whether it is set or not."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                yield from _places(inner)


def _change(owner: Any, field: Any, chance: random.Random) -> None:
    if field.is_repeated:
        _change_list(getattr(owner, field.name), field, chance)
    elif field.message_type is None:
        setattr(owner, field.name, _value(field, getattr(owner, field.name), chance))
    elif owner.HasField(field.name):
        owner.ClearField(field.name)
    else:
        getattr(owner, field.name).SetInParent()


def _change_list(values: Any, field: Any, chance: random.Random) -> None:
    """Remove, repeat, exchange, add or change an element."""
    if not values:
        if field.message_type is None:
            values.append(_value(field, None, chance))
        else:
            values.add()
        return
    elements = [_copied(value) for value in values]
    one, other = chance.randrange(len(elements)), chance.randrange(len(elements))
    action = chance.choice(("remove", "repeat", "change"))
    if action == "remove":
        del elements[one]
    elif action == "repeat":
        elements[other:other] = [elements[one]] * chance.choice((1, 1, 2, _MANY))
    elif field.message_type is None:
        elements[one] = _value(field, elements[one], chance)
    else:
        elements[one], elements[other] = elements[other], elements[one]
    del values[:]
    values.extend(elements)


def _copied(element: Any) -> Any:
    """The element itself if it is a plain value, else one that lives on when its list is emptied."""
    if not hasattr(element, "CopyFrom"):
        return element
    copy = type(element)()
    copy.CopyFrom(element)
    return copy


def _value(field: Any, former: Any, chance: random.Random) -> Any:
    """Another value of a plain field, now and then one near to the former."""
    if field.enum_type is not None:
        return chance.choice(sorted(field.enum_type.values_by_number))
    if field.type == field.TYPE_BYTES:
        return _bytes(former or b"", chance)
    if field.type == field.TYPE_STRING:
        return chance.choice(_words())
    if field.cpp_type in {field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE}:
        return chance.choice(_REALS)
    number = chance.choice((*_NUMBERS, int(former or 0) + 1, int(former or 0) * 2))
    bits = 32 if field.cpp_type == field.CPPTYPE_INT32 else 64
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    # A tensor can hold unsigned numbers, too.
    return min(max(number, 0 if field.cpp_type == field.CPPTYPE_UINT64 else low), high)


def _bytes(content: bytes, chance: random.Random) -> bytes:
    """Less of it, more of it, or as much with other values."""
    place = chance.randrange(len(content) + 1)
    noise = chance.randbytes(min(8, len(content) - place))
    return chance.choice(
        (
            content[:place],
            content * 2,
            content + b"\xff",
            content[:place] + noise + content[place + len(noise) :],
        )
    )


@cache
def _words() -> tuple[str, ...]:
    """Odd texts, and the names of all operators that there are."""
    return (*_TEXTS, *sorted({schema.name for schema in onnx.defs.get_all_schemas()}))
