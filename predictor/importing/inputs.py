"""Give a graph an input that takes images: four axes, and a type that images are prepared in. Uses onnx.

The new input stands before the old one, which a node makes of it, so that nothing else changes: the scores
stay the same bit by bit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

_TYPES = onnx.TensorProto
# What an image is prepared in, in place of what the graph wants.
_CAST = {
    _TYPES.INT32: (_TYPES.UINT8, "int32"),
    _TYPES.INT64: (_TYPES.UINT8, "int64"),
    _TYPES.INT16: (_TYPES.UINT8, "int16"),
    _TYPES.UINT16: (_TYPES.UINT8, "uint16"),
    _TYPES.UINT32: (_TYPES.UINT8, "uint32"),
    _TYPES.UINT64: (_TYPES.UINT8, "uint64"),
    _TYPES.DOUBLE: (_TYPES.FLOAT, "float64"),
    _TYPES.BFLOAT16: (_TYPES.FLOAT, "bfloat16"),
}
_SERVED = {_TYPES.UINT8: "uint8", _TYPES.FLOAT: "float32"}
_DEPTHS = (1, 3)
# A smaller image of a flat input would be a table's row.
_LEAST_SIDE = 8
_ONE = "The input has no batch axis: one image runs at a time."
# Since opset 13 the axes of Squeeze and Unsqueeze are an input.
_AXES_AS_INPUT = 13

Shape = list[int | str | None]


@dataclass(frozen=True)
class Wanted:
    """What was declared of a model, or seen in its first layers.

    Attributes:
        size: height and width, if they were declared.
        layout: `NCHW` or `NHWC`, if it was declared or seen.
        channels: how many the graph's first layers take, if that was seen.
        output: the output that holds the class scores, if it was declared.
        labels: whether labels came beside the model.
    """

    size: tuple[int, int] | None = None
    layout: str | None = None
    channels: int | None = None
    output: str | None = None
    labels: bool = False


@dataclass(frozen=True)
class _Form:
    """The input that is to be: its shape, the operator that makes the old one of it, and why."""

    shape: Shape
    operator: str | None
    axes: tuple[int, ...]
    sentence: str


def fit(model: Any, wanted: Wanted) -> tuple[str, ...]:
    """Give a graph the input that images need; what was done, in sentences.

    Nothing changes where the graph has another number of inputs, or an input that cannot take images.
    """
    constants = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in constants]
    if len(inputs) != 1 or inputs[0].type.WhichOneof("value") != "tensor_type":
        return ()
    image = inputs[0]
    form = _form(model, image, wanted)
    sentences = [] if form is None else [form.sentence]
    if form is not None:
        _reshape(model, image, form)
    kind = image.type.tensor_type.elem_type
    if kind in _CAST and len(image.type.tensor_type.shape.dim) == 4:
        served, name = _CAST[kind]
        _before(model, image, "Cast", served, _dims(image), to=kind)
        sentences.append(f"The input takes {name}: images are given to it as {_SERVED[served]} and cast.")
    return tuple(sentences)


def _form(model: Any, image: Any, wanted: Wanted) -> _Form | None:
    if not image.type.tensor_type.HasField("shape"):
        return _of_unknown_rank(wanted)
    shape = _dims(image)
    if len(shape) == 3:
        return _of_three(shape)
    if len(shape) == 2:
        return _of_two(shape, wanted, model.producer_name)
    if len(shape) == 1:
        flat = _of_flat(1, shape[0], wanted, model.producer_name)
        return flat and _Form(flat.shape, "Reshape", (), flat.sentence)
    return None


def _of_unknown_rank(wanted: Wanted) -> _Form | None:
    if wanted.size is None:
        return None
    depth, (height, width) = wanted.channels or 3, wanted.size
    last = wanted.layout == "NHWC"
    shape: Shape = [None, height, width, depth] if last else [None, depth, height, width]
    return _Form(shape, None, (), "The input's shape is taken from the size given.")


def _of_three(shape: Shape) -> _Form | None:
    """Of three axes: one image without a batch axis, or grey images without one for channels."""
    first, second, last = shape
    if first in _DEPTHS:
        return _Form([1, *shape], "Squeeze", (0,), _ONE)
    # A free first axis before one of a known length is that of a batch.
    if last in _DEPTHS and (isinstance(first, int) or not isinstance(second, int)):
        return _Form([1, *shape], "Squeeze", (0,), _ONE)
    if last in _DEPTHS or None in (second, last):
        return None
    sentence = "The input has no axis for channels: images are grey."
    return _Form([first, 1, second, last], "Squeeze", (1,), sentence)


def _of_two(shape: Shape, wanted: Wanted, producer: str) -> _Form | None:
    """Of two axes: one grey image, or one axis for all pixels after that of the batch."""
    height, width = shape
    square = wanted.size is None and height == width and isinstance(height, int) and height >= _LEAST_SIDE
    if square or (height, width) == wanted.size:
        return _Form([1, 1, height, width], "Squeeze", (0, 1), f"{_ONE} Images are grey.")
    return _of_flat(height, width, wanted, producer)


def _of_flat(batch: Any, length: Any, wanted: Wanted, producer: str) -> _Form | None:
    """Of one axis for all pixels of an image."""
    if not isinstance(length, int) or (found := _sides(length, wanted.size)) is None:
        return None
    depth, height, width = found
    first = wanted.layout == "NCHW" or (wanted.layout is None and producer == "pytorch")
    shape: Shape = [batch, depth, height, width] if first else [batch, height, width, depth]
    order = "" if depth == 1 else f", with channels {'first' if first else 'last'}"
    sentence = f"The input's {length} numbers are the pixels of {height} x {width} images{order}."
    return _Form(shape, "Flatten", (), sentence)


def _sides(length: int, size: tuple[int, int] | None) -> tuple[int, int, int] | None:
    """Channels, height and width of so many numbers; None if they are of no image."""
    for depth in _DEPTHS:
        if size is not None and depth * math.prod(size) == length:
            return depth, *size
    for depth in _DEPTHS:
        side = math.isqrt(max(length, 0) // depth)
        if size is None and depth * side**2 == length and side >= _LEAST_SIDE:
            return depth, side, side
    return None


def _reshape(model: Any, image: Any, form: _Form) -> None:
    kind = image.type.tensor_type.elem_type
    if form.operator is None:
        image.CopyFrom(helper.make_tensor_value_info(image.name, kind, form.shape))
    elif form.operator == "Squeeze":
        _before(model, image, "Squeeze", kind, form.shape, axes=list(form.axes))
    elif form.operator == "Flatten":
        _before(model, image, "Flatten", kind, form.shape, axis=1)
    else:
        _before(model, image, "Reshape", kind, form.shape, shape=[-1])


def _before(model: Any, image: Any, operator: str, kind: int, new_shape: Shape, **given: Any) -> None:
    """Put an operator before an input, which becomes what the operator makes of a new one."""
    graph, old = model.graph, image.name
    new = _free_name(graph, f"{old}_image")
    tensors = [
        name for name in given if name == "shape" or (name == "axes" and opset(model) >= _AXES_AS_INPUT)
    ]
    inputs = [new, *(_constant(graph, f"{new}_{name}", given.pop(name)) for name in tensors)]
    graph.node.insert(0, helper.make_node(operator, inputs, [old], name=f"{new}_{operator}", **given))
    image.CopyFrom(helper.make_tensor_value_info(new, kind, new_shape))


def _constant(graph: Any, name: str, values: Sequence[int]) -> str:
    fresh = _free_name(graph, name)
    graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), fresh))
    return fresh


def _free_name(graph: Any, name: str) -> str:
    """A name that no tensor of a graph has; those of graphs inside it may, for they are their own."""
    taken = {one.name for one in (*graph.input, *graph.initializer)}
    taken |= {output for node in graph.node for output in node.output}
    return next(one for one in (name, *(f"{name}_{number}" for number in range(2, 1000))) if one not in taken)


def opset(model: Any) -> int:
    """The version of ONNX's own operators that a model uses."""
    return max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=1)


def _dims(value: Any) -> Shape:
    """The lengths of a tensor's axes; a name or None where one is free."""
    return [
        int(dim.dim_value) if dim.WhichOneof("value") == "dim_value" else (dim.dim_param or None)
        for dim in value.type.tensor_type.shape.dim
    ]
