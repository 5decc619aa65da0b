"""Where in a model's file the runtime's words point, and what the file says of that place.

The words themselves are not repeated. An operator, node or tensor that they name counts only if the file has
it, and is shown only if its name is fit to stand in a sentence.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import onnx

from predictor.checking import onnx_rules
from predictor.checking.operators import shown
from predictor.discovery.nodes import ONNX, STEPS, attribute
from predictor.model import strict_text

Words = re.Match[str]
"""What a pattern found in the runtime's words. Its groups `operator` and `node` (a type and a name), `reads`
and `writes` (tensors) say which node they speak of."""

# What numpy calls otherwise than ONNX.
_NUMPY = {"float": "float32", "double": "float64"}
# Their results have the element type of their second input.
_TYPED_BY_SCALE = {"DequantizeLinear"}
_SHAPES_SHOWN = 3


def find_node(model: Any, words: Words) -> Any | None:
    """The first node of the file that the words speak of; None if they speak of one that it does not have."""
    wanted = {name: value for name, value in words.groupdict("").items() if name in _FITS and value}
    fitting = (
        node
        for node in onnx_rules.nodes(model)
        if all(_FITS[name](node, value) for name, value in wanted.items())
    )
    return next(fitting, None) if wanted else None


_FITS: dict[str, Callable[[Any, str], bool]] = {
    "operator": lambda node, value: node.op_type == value,
    "node": lambda node, value: node.name == value,
    "reads": lambda node, value: value in node.input,
    "writes": lambda node, value: value in node.output,
}


def called(node: Any) -> str:
    """An operator by its type, its domain unless that is ONNX's, and the name of its node if it has one."""
    domain = "" if node.domain in ONNX else f" of the domain {shown(node.domain)}"
    name = f" (node {node.name})" if named(node.name) else ""
    return f"{shown(node.op_type)}{domain}{name}"


def named(name: str) -> str:
    """A blank and the name of a tensor, node or attribute; empty if it is not fit to stand in a sentence."""
    return f" {name}" if name and strict_text.shown(name) == name else ""


def tensors(model: Any) -> set[str]:
    """The names of all tensors of a file."""
    graph = model.graph
    found = {one.name for one in (*graph.input, *graph.output, *graph.initializer)}
    for node in onnx_rules.nodes(model):
        found.update((*node.input, *node.output))
        found.update(one.name for held in node.attribute for one in held.g.output)
    return found


def untyped(model: Any) -> str | None:
    """The name of the first tensor whose element type has a number that ONNX does not know."""
    graph = model.graph
    numbers = {one.name: one.data_type for one in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.HasField("tensor_type"):
            numbers.setdefault(value.name, value.type.tensor_type.elem_type)
    for node in onnx_rules.nodes(model):
        held = (one.t.data_type for one in node.attribute if one.HasField("t"))
        numbers.update(zip(node.output, held, strict=False))
    return next((name for name, number in numbers.items() if number not in _names()), None)


def alike(model: Any, part: str) -> Any | None:
    """The first node with a part in its type, if all nodes with that part are of one type."""
    found = {node.op_type: node for node in onnx_rules.nodes(model) if part in node.op_type}
    return next(iter(found.values())) if len(found) == 1 else None


def opset(model: Any, domain: str) -> int | None:
    """The version of a domain's operators that a file was written for; None if it does not say."""
    same = ONNX if domain in ONNX else (domain,)
    return max((one.version for one in model.opset_import if one.domain in same), default=None)


def types(model: Any, node: Any) -> list[str]:
    """The element types of what a node reads, sorted, as far as the file shows them."""
    declared = {name: type_ for name, (type_, _) in _declared(model)}
    writers = {name: one for one in onnx_rules.nodes(model) for name in one.output}
    found = {_type_of(name, declared, writers) for name in node.input if name} | {_made(node)}
    return sorted(name for name in found if name)


def shapes(model: Any, node: Any) -> str:
    """The shapes of what a node reads, as far as the file declares them, such as `3 x 8 and ? x 4`."""
    declared = {name: shape for name, (_, shape) in _declared(model)}
    found = [shape for name in node.input if (shape := declared.get(name))]
    return " and ".join(found[:_SHAPES_SHOWN])


def element_type(name: str) -> str | None:
    """What people call an element type that ONNX knows by a name; None if it knows none of that name."""
    return _NUMPY.get(name, name) if name in _names().values() else None


def by_axes(axes: list[str]) -> str:
    """A shape in a sentence."""
    return " x ".join(axes) or "scalar"


def _type_of(name: str, declared: dict[str, str | None], writers: dict[str, Any]) -> str | None:
    """The element type of a tensor: declared, or that of what it was made of."""
    for _ in range(STEPS):
        if name in declared:
            return declared[name]
        node = writers.get(name)
        if node is None:
            return None
        if (made := _made(node)) is not None:
            return made
        if not (place := int(node.op_type in _TYPED_BY_SCALE)) < len(node.input):
            return None
        name = node.input[place]
    return None


def _made(node: Any) -> str | None:
    """The element type that a node's attributes name."""
    to, value = attribute(node, "to"), attribute(node, "value")
    if node.op_type == "Cast" and to is not None:
        return element_type(_names().get(to.i, ""))
    if node.op_type == "Constant" and value is not None:
        return element_type(_names().get(value.t.data_type, ""))
    return None


def _declared(model: Any) -> Iterator[tuple[str, tuple[str | None, str]]]:
    """For each tensor that the main graph declares its element type and its shape."""
    for tensor in model.graph.initializer:
        yield (
            tensor.name,
            (
                element_type(_names().get(tensor.data_type, "")),
                by_axes([str(length) for length in tensor.dims]),
            ),
        )
    for value in (*model.graph.input, *model.graph.value_info):
        of = value.type.tensor_type
        axes = [str(axis.dim_value) if axis.HasField("dim_value") else "?" for axis in of.shape.dim]
        yield (
            value.name,
            (
                element_type(_names().get(of.elem_type, "")),
                by_axes(axes) if of.HasField("shape") else "",
            ),
        )


@cache
def _names() -> dict[int, str]:
    """ONNX's names of its element types by their numbers."""
    return {number: name.lower() for name, number in onnx.TensorProto.DataType.items() if number}
