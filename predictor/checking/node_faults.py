"""What is wrong with one operator of a model that the runtime could not load, in a sentence."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from predictor.checking import onnx_rules
from predictor.checking.operators import shown
from predictor.checking.places import (
    Words,
    alike,
    called,
    element_type,
    find_node,
    named,
    opset,
    shapes,
    types,
)
from predictor.discovery.nodes import ONNX, RUNTIME

AGAIN = "Export the model again with another opset or a newer exporter."
CHECK = 'onnx.checker.check_model("m.onnx", full_check=True) says more.'
CONVERT = "Convert the model to float32 before it is exported."
# Element types that the runtime has kernels for almost everywhere.
_USUAL = {"float32", "int64", "bool"}
_NOT_CONVERTED = {*_USUAL, "int32", "uint8", "string"}
_OLD_OPSET = 7
# What the runtime's classes are called by beside the operator that they compute.
_AFFIXES = re.compile(r"^(?:Nchwc|Fused)|(?:Attributes|Base|Common|Op|Impl|Helper|Kernel)+$")
_OTHERWISE = {"Upsample": "Resize"}


def sentences(model: Any, message: str) -> Iterator[str]:
    """What the operators of a file have that the runtime's words point at, the likeliest first."""
    for pattern, of_node in _TABLE:
        words = re.search(pattern, message, re.DOTALL)
        if words and (node := find_node(model, words)) and (sentence := of_node(model, words, node)):
            yield sentence
    if (node := _set_up(model, message)) is not None:
        yield _misused(model, None, node)


def _set_up(model: Any, message: str) -> Any | None:
    """The operator whose class in the runtime refused to be made."""
    named_ = re.search(r"onnxruntime::(?:\w+::)*([A-Z]\w+?)(?:<[^>]*>)?::\w+\(", message)
    part = _AFFIXES.sub("", named_[1]) if named_ else ""
    return alike(model, _OTHERWISE.get(part, part)) if part else None


def _unknown_operator(model: Any, _words: Words, node: Any) -> str:
    domain, version = node.domain or ONNX[1], opset(model, node.domain)
    return (
        f"The runtime has no operator {shown(node.op_type)} in the domain {shown(domain)}"
        f"{'' if version is None else f' of opset {version}'}. Export the "
        "model with another opset, or without the layer that the operator stands for; layers that change "
        "images at random are for training only."
    )


def _removed_operator(model: Any, _words: Words, node: Any) -> str:
    return (
        f"Opset {opset(model, node.domain)} has no operator {called(node)} any more. Export the model with "
        "an older opset, or with a newer exporter, which writes another operator in its place."
    )


def _no_kernel(model: Any, _words: Words, node: Any) -> str:
    of = [name for name in types(model, node) if name not in _USUAL]
    if not of and node.domain == RUNTIME:
        return (
            f"The runtime cannot compute the operator {called(node)} on this device: the model was optimised "
            "for another one. Upload the model as it was before that."
        )
    version = opset(model, node.domain)
    if not of and version is not None and version < _OLD_OPSET and node.domain in ONNX:
        return (
            f"The runtime cannot compute the operator {called(node)} of opset {version}. "
            "Export it with opset 17, or convert it: onnx.version_converter.convert_version(model, 17)."
        )
    what = f"the element type {' or '.join(of)}" if of else "the element types that it gets"
    return f"The runtime cannot compute the operator {called(node)} with {what}. {CONVERT}"


def _wrong_type(_model: Any, words: Words, node: Any) -> str | None:
    type_ = element_type(words["type"])
    return type_ and f"The operator {called(node)} does not take the element type {type_}. {_for(type_)}"


def _mixed_types(_model: Any, words: Words, node: Any) -> str | None:
    one, other = element_type(words["one"]), element_type(words["other"])
    if one is None or other is None:
        return None
    return f"The operator {called(node)} gets inputs of two types, {one} and {other}. {_for(one, other)}"


def _wrong_result(_model: Any, words: Words, node: Any) -> str | None:
    one, other = element_type(words["one"]), element_type(words["other"])
    if one is None or other is None:
        return None
    return (
        f"The file declares the result{named(words['writes'])} of the operator {called(node)} as {one}, "
        f"but it is {other}: a conversion of the model's types is not finished. {_for(one, other)}"
    )


def _unknown_result(_model: Any, words: Words, node: Any) -> str:
    return (
        f"The operator {called(node)} has no such result as{named(words['writes']) or ' the file names'}, or "
        f"one whose element type is not told. {AGAIN}"
    )


def _for(*types_: str) -> str:
    """What to do about element types: those of numbers with a point become float32."""
    return AGAIN if _NOT_CONVERTED.issuperset(types_) else CONVERT


def _missing_tensor(model: Any, words: Words, node: Any) -> str:
    name = named(words["reads"])
    what = f"the tensor{name}, which is" if name else "a tensor that is"
    if any(words["reads"] in one.output for one in onnx_rules.nodes(model)):
        return f"The operator {called(node)} reads {what} made only after it, or elsewhere. {AGAIN}"
    return f"The operator {called(node)} reads {what} missing from the file. {AGAIN}"


def _same_name(_model: Any, words: Words, node: Any) -> str:
    what = f"Two operators, one of them {shown(node.op_type)}, have the same node name{named(words['node'])}."
    return f"{what} Give each another, or none. {CHECK}"


def _unknown_attribute(model: Any, words: Words, node: Any) -> str:
    version = opset(model, node.domain)
    return (
        f"The operator {called(node)} has the attribute{named(words['attribute'])}, which opset {version} "
        f"does not know: the file says a wrong opset, or was converted by half. {AGAIN}"
    )


def _missing_attribute(_model: Any, words: Words, node: Any) -> str:
    return f"The operator {called(node)} lacks its attribute{named(words['attribute'])}. {AGAIN}"


def _count(_model: Any, words: Words, node: Any) -> str:
    least, most = int(words["least"]), int(words["most"])
    wanted = f"{least}" if least == most else f"{least} to {most}" if most < 100 else f"at least {least}"
    ends = f"{words['count']} {words['end']}puts"
    return f"The operator {called(node)} has {ends}, but must have {wanted}. {AGAIN}"


def _misfit(model: Any, _words: Words, node: Any) -> str:
    known = shapes(model, node)
    declared = f"; of its inputs the file declares {known}" if known else ""
    return (
        f"The shapes, types or attributes of the operator {called(node)} do not fit each other{declared}. "
        f"{AGAIN} {CHECK}"
    )


def _misused(_model: Any, _words: Words | None, node: Any) -> str:
    return f"The operator {called(node)} has invalid inputs or attributes. {AGAIN} {CHECK}"


_DIFFERENT = r"bound to different types \(\w+\((?P<one>\w+)\) and \w+\((?P<other>\w+)\)"
_IN_NODE = r"In Node, \(\"(?P<node>[^\"]*)\", (?P<operator>\w+), "
_OF_NODE = r" of node \((?P<node>[^)]*)\)"
_TYPES = r"Type \(\w+\((?P<one>\w+)\)\) of output arg \((?P<writes>[^)]*)\)"
_RANGE = r"\[min=(?P<least>\d+), max=(?P<most>\d+)\]"
_TABLE: tuple[tuple[str, Callable[[Any, Words, Any], str | None]], ...] = (
    (r"No Op registered for (?P<operator>\w+) with domain_version", _unknown_operator),
    (r"Fatal error: (?:[\w.]+:)?(?P<operator>\w+)\(-?\d+\) is not a registered", _unknown_operator),
    (r"Op registered for (?P<operator>\w+) is deprecated in domain_version", _removed_operator),
    (r"find an implementation for (?P<operator>\w+)\(\d+\) node with name '(?P<node>[^']*)'", _no_kernel),
    (
        r"Type '\w+\((?P<type>\w+)\)' of input .*\((?P<reads>[^)]*)\) of operator \((?P<operator>\w+)\)",
        _wrong_type,
    ),
    (rf"Optype \((?P<operator>\w+)\) {_DIFFERENT}(?: in node \((?P<node>[^)]*)\))?", _mixed_types),
    (rf"{_TYPES}{_OF_NODE} does not match expected type \(\w+\((?P<other>\w+)\)\)", _wrong_result),
    (r"two nodes with same node name \((?P<node>[^)]+)\)", _same_name),
    (r"Node input '(?P<reads>[^']*)' is not a graph input", _missing_tensor),
    (r"input arg \((?P<reads>[^)]*)\) does not have type information", _missing_tensor),
    (r"(?:that subgraph consumes|in all parent graphs)\. Name=(?P<reads>\S+)", _missing_tensor),
    (r"however input '(?P<reads>[^']*)' of node", _missing_tensor),
    (r"Op \((?P<operator>\w+)\) output arg \((?P<writes>[^)]*)\) type inference failed", _unknown_result),
    (rf"{_IN_NODE}.*Unrecognized attribute: (?P<attribute>\w+) for operator", _unknown_attribute),
    (rf"{_IN_NODE}.*Required attribute '(?P<attribute>\w+)' is missing", _missing_attribute),
    (r"Node \((?P<node>[^)]+)\) attribute \((?P<attribute>\w+)\) is required", _missing_attribute),
    (rf"{_IN_NODE}.*has (?P<end>in|out)put size (?P<count>\d+) not in range {_RANGE}", _count),
    (_IN_NODE, _misused),
    (r".*Node \((?P<node>[^)]*)\) Op \((?P<operator>\w+)\) \[\w+\]", _misfit),
)
"""What to say by what the runtime's words are like; the first that fits the file counts."""
