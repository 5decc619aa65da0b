"""Why the runtime could not load a model, said by what stands in the model's file.

The runtime's own words only point at the cause. An operator or tensor that they name counts if the file has
it, and nothing else of them but numbers and the names of element types goes into a sentence.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import onnx

from predictor.checking import onnx_rules
from predictor.checking.operators import shown
from predictor.discovery.graph_prefix import ONNX

_UNKNOWN = "The runtime could not load the model."
_CONVERT = "Convert the model to float32 before it is exported."
_AGAIN = "Export the model again with another opset or a newer exporter."
# Element types that the runtime has kernels for almost everywhere.
_USUAL = {"float32", "int64", "bool"}
# What numpy calls otherwise than ONNX.
_NUMPY = {"float": "float32", "double": "float64"}

_Words = re.Match[str]


def explain(model: Any, message: str) -> str:
    """What in the file keeps the runtime from loading it, and what to do; else only that it could not be.

    Args:
        model: an `onnx.ModelProto`.
        message: what the runtime said.
    """
    return next(_explanations(model, message), _UNKNOWN)


def _explanations(model: Any, message: str) -> Iterator[str]:
    for pattern, of_file in _OF_THE_FILE:
        if (words := re.search(pattern, message)) and (sentence := of_file(model, words)):
            yield sentence
    for pattern, of_node in _OF_A_NODE:
        words = re.search(pattern, message)
        if words and (node := _node(model, words)) and (sentence := of_node(model, words, node)):
            yield sentence


def _newer_format(model: Any, words: _Words) -> str | None:
    most = int(words["most"])
    if model.ir_version <= most:
        return None
    return (
        f"The model has IR version {model.ir_version}, but the runtime reads versions up to {most}. Lower "
        f'the number: model = onnx.load("m.onnx"); model.ir_version = {most}; onnx.save(model, "lower.onnx").'
    )


def _newer_operators(model: Any, words: _Words) -> str | None:
    most, domain = int(words["most"]), words["domain"]
    version = max((one.version for one in model.opset_import if (one.domain or ONNX[1]) == domain), default=0)
    if version <= most:
        return None
    return (
        f"The model uses opset {version} of {shown(domain)}, but the runtime has opsets up to {most}. "
        f"Export it with opset_version={most} or less."
    )


def _unknown_operator(model: Any, _words: _Words, node: Any) -> str:
    domain = node.domain or ONNX[1]
    opset = next((f" of opset {one.version}" for one in model.opset_import if one.domain == node.domain), "")
    return (
        f"The runtime has no operator {shown(node.op_type)} in the domain {shown(domain)}{opset}. Export the "
        "model with another opset, or without the layer that the operator stands for; layers that change "
        "images at random are for training only."
    )


def _no_kernel(model: Any, _words: _Words, node: Any) -> str:
    types = sorted({name for name in _types(model, node.op_type) if name and name not in _USUAL})
    of = f"the element type {' or '.join(types)}" if types else "the element types that it gets"
    return f"The runtime cannot compute the operator {shown(node.op_type)} with {of}. {_CONVERT}"


def _wrong_type(_model: Any, words: _Words, node: Any) -> str | None:
    called = _called(words["type"])
    return (
        called and f"The operator {shown(node.op_type)} does not take the element type {called}. {_CONVERT}"
    )


def _mixed_types(_model: Any, words: _Words, node: Any) -> str | None:
    one, other = _called(words["one"]), _called(words["other"])
    if one is None or other is None:
        return None
    return f"The operator {shown(node.op_type)} gets inputs of two types, {one} and {other}. {_CONVERT}"


def _missing_tensor(_model: Any, _words: _Words, node: Any) -> str:
    return f"The operator {shown(node.op_type)} reads a tensor that is missing from the file. {_AGAIN}"


def _misused(_model: Any, _words: _Words, node: Any) -> str:
    return f"The operator {shown(node.op_type)} has invalid inputs or attributes. {_AGAIN}"


_OF_THE_FILE: tuple[tuple[str, Callable[[Any, _Words], str | None]], ...] = (
    (r"max supported IR version: (?P<most>\d{1,4})", _newer_format),
    (r"support for domain (?P<domain>[\w.]+) is till opset (?P<most>\d{1,4})", _newer_operators),
)
_DIFFERENT = r"bound to different types \(\w+\((?P<one>\w+)\) and \w+\((?P<other>\w+)\)"
_OF_A_NODE: tuple[tuple[str, Callable[[Any, _Words, Any], str | None]], ...] = (
    (r"No Op registered for (?P<operator>\w+) with domain_version", _unknown_operator),
    (r"Fatal error: (?:[\w.]+:)?(?P<operator>\w+)\(-?\d+\) is not a registered", _unknown_operator),
    (r"Could not find an implementation for (?P<operator>\w+)\(", _no_kernel),
    (r"Type '\w+\((?P<type>\w+)\)' of .* of operator \((?P<operator>\w+)\)", _wrong_type),
    (rf"Optype \((?P<operator>\w+)\) {_DIFFERENT}", _mixed_types),
    (r"Node input '(?P<tensor>[^']*)' is not a graph input", _missing_tensor),
    (r"In Node, \(\"[^\"]*\", (?P<operator>\w+), ", _misused),
    (r"Op \((?P<operator>\w+)\) \[\w+\]", _misused),
)
"""What to say by what the runtime's words are like; the first that fits the file counts."""


def _node(model: Any, words: _Words) -> Any | None:
    """The node of the file that the runtime speaks of; None if it speaks of one that it has made itself."""
    named = words.groupdict("")
    if "operator" in named:
        fitting = (node for node in onnx_rules.nodes(model) if node.op_type == named["operator"])
    else:
        fitting = (node for node in onnx_rules.nodes(model) if named["tensor"] in node.input)
    return next(fitting, None)


def _types(model: Any, operator: str) -> Iterator[str | None]:
    """The element types of what the nodes of an operator read, as far as the file says them."""
    known = dict(_declared(model.graph))
    for node in onnx_rules.nodes(model):
        if node.op_type == operator:
            yield from (known[name] for name in node.input if name in known)


def _declared(graph: Any) -> Iterator[tuple[str, str | None]]:
    for tensor in graph.initializer:
        yield tensor.name, _called(_names().get(tensor.data_type, ""))
    for value in (*graph.input, *graph.value_info):
        yield value.name, _called(_names().get(value.type.tensor_type.elem_type, ""))


def _called(type_: str) -> str | None:
    """What people call an element type that ONNX knows by a name; None if it knows none of that name."""
    return _NUMPY.get(type_, type_) if type_ in _names().values() else None


@cache
def _names() -> dict[int, str]:
    """ONNX's names of its element types by their numbers."""
    return {number: name.lower() for name, number in onnx.TensorProto.DataType.items() if number}
