"""Tensors of the Open Inference Protocol: from JSON and from bytes to arrays, and back.

Numbers are little-endian and in row-major order; a text or an image among bytes has its length before it.
"""

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.errors import InvalidRequest
from predictor.model import strict_text

BYTES = "BYTES"
"""The datatype of encoded images and of texts."""
DATATYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
"""numpy's name of each datatype."""
_NAMES = {dtype: name for name, dtype in DATATYPES.items()}
_LENGTH_BYTES = 4
# Axes of a shape, and digits of a number in it, that a sentence repeats.
_AXES, _DIGITS = 8, 20
# What a list may hold in JSON, by numpy's kind of the element type.
_TYPES: dict[str, set[type]] = {"b": {bool}, "u": {int}, "i": {int}, "f": {int, float}}

Array = npt.NDArray[Any]


def datatype(dtype: str) -> str:
    """The protocol's name of an element type of numpy."""
    return _NAMES.get(dtype, dtype.upper())


def size(dtype: str, shape: Sequence[int]) -> int:
    """Bytes of a tensor."""
    return math.prod(shape) * np.dtype(dtype).itemsize


def misfit(given: str, sent: Sequence[int], dtype: str, shape: Sequence[int]) -> str:
    """The sentence on what of an input is wrong: the datatype, the shape, or both.

    Args:
        given: the datatype that was sent.
        sent: the shape that was sent.
        dtype: the element type of the model's own tensor.
        shape: its shape for one image.
    """
    wrong = [] if given == datatype(dtype) else [f"datatype {strict_text.shown(given)}"]
    if list(sent[1:]) != list(shape):
        wrong.append(f"shape {_written(sent)}" if len(sent) <= _AXES else f"shape of {len(sent)} axes")
    return (
        f"The input has the {' and the '.join(wrong)}; it must be BYTES of shape [N], or {datatype(dtype)} "
        f"of shape {_written(('N', *shape))}."
    )


def _written(shape: Sequence[object]) -> str:
    texts = ("..." if isinstance(one, int) and one >= 10**_DIGITS else str(one) for one in shape)
    return f"[{','.join(texts)}]"


def from_json(data: list[Any], dtype: str, shape: Sequence[int]) -> Array:
    """The array of a list of numbers, nested or flat.

    Args:
        data: parsed JSON.
        dtype: numpy's name of the element type.
        shape: of the array.

    Raises:
        InvalidRequest: the numbers are too few, too many, or cannot be of this type.
    """
    if dtype == "float16":
        raise InvalidRequest("JSON cannot hold FP16; send the tensor as binary data.")
    values = _flat(data, _TYPES[np.dtype(dtype).kind], f"values of the datatype {datatype(dtype)}")
    if len(values) != math.prod(shape):
        raise InvalidRequest(f"data has {len(values)} values, but shape wants {math.prod(shape)}.")
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype)
    except OverflowError as error:
        raise InvalidRequest(f"data has a value that is out of the range of {datatype(dtype)}.") from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidRequest(f"data has a value that is out of the range of {datatype(dtype)}.")
    return array.reshape(shape)


def texts(data: list[Any]) -> list[str]:
    """The strings of a list, nested or flat.

    Raises:
        InvalidRequest: it holds something else.
    """
    return _flat(data, {str}, "strings")


def _flat(data: list[Any], wanted: set[type], described: str) -> list[Any]:
    """The values of a list, nested or flat; their types are compared before an array is made of them."""
    while (types := set(map(type, data))) == {list}:
        data = list(chain.from_iterable(data))
    if types - wanted:
        raise InvalidRequest(f"data must hold {described}, in a flat or nested list.")
    return data


def from_bytes(data: bytes, dtype: str, shape: Sequence[int]) -> Array:
    """The array of a tensor's bytes.

    Raises:
        InvalidRequest: they are too few or too many, or no booleans where these are wanted.
    """
    if len(data) != size(dtype, shape):
        raise InvalidRequest(f"The tensor has {len(data)} bytes, but its shape wants {size(dtype, shape)}.")
    if dtype == "bool" and data.strip(b"\x00\x01"):
        raise InvalidRequest("Each byte of a BOOL tensor must be 0 or 1.")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


def elements(data: bytes, count: int) -> list[bytes]:
    """The elements of a tensor of datatype BYTES.

    Raises:
        InvalidRequest: their lengths do not fit the bytes, or there are more or fewer of them.
    """
    found, place = list[bytes](), 0
    while place < len(data) and len(found) < count:
        start = place + _LENGTH_BYTES
        place = start + int.from_bytes(data[place:start], "little")
        if start > len(data) or place > len(data):
            raise InvalidRequest("An element of the BYTES tensor is longer than the bytes that follow.")
        found.append(data[start:place])
    if place < len(data) or len(found) < count:
        raise InvalidRequest(f"The BYTES tensor does not hold exactly {count} elements with their lengths.")
    return found


def to_bytes(values: Array | list[str]) -> bytes:
    """A tensor as bytes: numbers, or texts in UTF-8 with their lengths."""
    if isinstance(values, list):
        encoded = [text.encode() for text in values]
        return b"".join(len(one).to_bytes(_LENGTH_BYTES, "little") + one for one in encoded)
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def to_json(values: Array | list[str]) -> list[Any]:
    """A tensor as a flat list; the numbers that it is read back as have the same bits.

    Raises:
        InvalidRequest: JSON has no form for the values.
    """
    if isinstance(values, list):
        return values
    if values.dtype == np.float16:
        raise InvalidRequest("JSON cannot hold FP16; ask for the output as binary_data.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InvalidRequest(
            "JSON cannot hold values that are not numbers; ask for the output as binary_data."
        )
    found: list[Any] = values.reshape(-1).tolist()
    return found
