"""Weights that a model keeps in other files: checked, and joined into one where it can hold them. Uses onnx.

A reference is followed only to a file that came with the model, under the path that its uploader gave it or,
if tools dropped the folders of that path, under its last part; and only to bytes inside that file, as many as
the tensor takes.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from predictor.errors import InvalidModel

PROTOBUF_BYTES = 2**31 - 1
"""What protobuf can hold in one message."""
_NAME = r"\w[\w .()+=@-]{0,99}"
_PLACE = re.compile(rf"{_NAME}(?:/{_NAME}){{0,7}}")
_ONE_FILE = (
    "torch.onnx.export(..., external_data=False), or, where both files are, "
    'onnx.save(onnx.load("m.onnx"), "one.onnx").'
)
# For the graph itself, and what is added to it.
_ROOM = 64_000_000
_HALF_BYTES = {onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.FLOAT4E2M1}


@dataclass(frozen=True)
class Weights:
    """What a model's references to other files came to.

    Attributes:
        used: names of the files that hold its weights, as its uploader calls them.
        beside: the names of those on the disk that must stay beside the model; none if all are joined.
    """

    used: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Piece:
    tensor: Any
    name: str
    offset: int
    length: int


def is_external(tensor: Any) -> bool:
    """Whether a tensor's data lies, or says that it lies, in another file."""
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data)


def location(tensor: Any) -> str:
    """The name of the file that a tensor refers to; empty if it names none."""
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def elsewhere(tensor: Any) -> str:
    """Why a tensor is refused whose file did not come, and what to send."""
    place = location(tensor)
    if not _PLACE.fullmatch(place):
        return f"The model keeps data outside its file. Save it as one file: {_ONE_FILE}"
    return (
        f"The model keeps data outside its file, in {place}, which did not come with it. Send both files "
        f"together or in one ZIP, or save the model as one file: {_ONE_FILE}"
    )


def join(tensors: Iterable[Any], data: Mapping[str, str], model_bytes: int, most: int) -> Weights:
    """Read the weights of a model into it; above what protobuf can hold, only check them.

    Args:
        tensors: those of the model whose data lies in another file.
        data: the files that came with the model: the name of each on the disk by its uploader's name.
        model_bytes: size of the model's own file.
        most: bytes that the model may have with its weights.

    Raises:
        InvalidModel: a reference leads to another place, or outside its file.
    """
    sizes = {name: Path(file).stat().st_size for name, file in data.items()}
    tensors = list(tensors)
    names = _names([location(tensor) for tensor in tensors], sizes.keys())
    pieces = [_piece(tensor, names.get(location(tensor)), sizes) for tensor in tensors]
    used = tuple(dict.fromkeys(piece.name for piece in pieces))
    total = sum(piece.length for piece in pieces)
    # Layers may share weights. Else a small file could grow without end, by many tensors of the same bytes.
    different = {(piece.name, piece.offset, piece.length) for piece in pieces}
    apart = sum(length for _, _, length in different) <= sum(sizes[name] for name in used)
    if not apart or (model_bytes + total > most and len(different) < len(pieces)):
        raise InvalidModel("The tensors of the model overlap in its data file. Save the model again.")
    if model_bytes + total + _ROOM < PROTOBUF_BYTES:
        for piece in pieces:
            _read(piece, data[piece.name])
        return Weights(used)
    for piece in pieces:
        _point(piece, data[piece.name])
    return Weights(used, tuple(data[name] for name in used))


def _names(locations: Iterable[str], sent: Collection[str]) -> dict[str, str]:
    """The file that came for each location; that by its last part, if no other location is that file."""
    exact, parts = dict[str, str](), dict[str, set[str]]()
    for place in set(locations):
        path = place.removeprefix("./")
        if path in sent:
            exact[place] = path
        elif _PLACE.fullmatch(path):
            parts.setdefault(path.rpartition("/")[2], set()).add(place)
    free = {part: places for part, places in parts.items() if part in sent and part not in exact.values()}
    return exact | {places.pop(): part for part, places in free.items() if len(places) == 1}


def _piece(tensor: Any, name: str | None, sizes: Mapping[str, int]) -> _Piece:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if name is None:
        raise InvalidModel(elsewhere(tensor))
    offset, wanted = _number(entries.get("offset", "0")), _bytes(tensor)
    length = _number(entries.get("length", str(wanted)))
    if length != wanted or offset + length > sizes[name]:
        raise InvalidModel(
            "The model's data file does not have the weights that the model names: one of the two is "
            "damaged, incomplete or of another export. Send both files of one export."
        )
    return _Piece(tensor, name, offset, length)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise InvalidModel("The model has a reference to its data file that is not a place in it.")
    return int(text)


def _bytes(tensor: Any) -> int:
    """The bytes that a tensor takes.

    Raises:
        InvalidModel: its element type has no fixed size, or its shape is no shape.
    """
    if any(length < 0 for length in tensor.dims):
        raise InvalidModel("The model has a tensor with a negative length.")
    count: int = math.prod(tensor.dims)
    if tensor.data_type in _HALF_BYTES:
        return (count + 1) // 2
    if tensor.data_type == onnx.TensorProto.STRING:
        raise InvalidModel("The model keeps texts in its data file; only numbers may lie there.")
    try:
        itemsize: int = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        return count * itemsize
    except KeyError as error:
        raise InvalidModel("The model has a tensor of an unknown element type.") from error


def _read(piece: _Piece, file: str) -> None:
    with Path(file).open("rb") as stream:
        stream.seek(piece.offset)
        piece.tensor.raw_data = stream.read(piece.length)
    del piece.tensor.external_data[:]
    piece.tensor.data_location = onnx.TensorProto.DEFAULT


def _point(piece: _Piece, file: str) -> None:
    """Let a tensor name its file as that is called on the disk."""
    del piece.tensor.external_data[:]
    for key, value in (("location", file), ("offset", piece.offset), ("length", piece.length)):
        piece.tensor.external_data.add(key=key, value=str(value))
