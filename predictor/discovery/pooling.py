"""Find out whether a graph ends in an average over all places and a linear layer. Uses onnx.

What is found is how the graph is written; whether the scores are then what they should be is tried on numbers
by who uses it.
"""

from typing import Any

import onnx

from predictor.discovery.nodes import ONNX, STEPS, Nodes, attribute, nodes_of
from predictor.model.final_layers import FinalLayers

_ACTIVATIONS = {"Softmax", "LogSoftmax", "Sigmoid"}
# They leave every score and every average what it is.
_PASSING = {
    *("Identity", "Cast", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze"),
    *("QuantizeLinear", "DequantizeLinear"),
}
_LINEAR = {"Gemm", "MatMul", "Conv"}
# What the weights of a layer may be made by, of constants.
_OF_CONSTANTS = {"Cast", "Identity", "Transpose", "DequantizeLinear", "QuantizeLinear", "Reshape", "Constant"}
_DEPTH = 8


def final_layers(model: Any, scores: str) -> FinalLayers | None:
    """The end of an `onnx.ModelProto`; None if it ends otherwise.

    Args:
        model: the model; its large weights need not be there.
        scores: the output with the class scores.
    """
    nodes = nodes_of(model.graph)
    logits = _before_activation(nodes, scores)
    name, linear = logits, None
    for _ in range(STEPS):
        node = nodes.writers.get(name)
        if node is None or node.domain not in ONNX or not node.input:
            return None
        if (last := _averages(nodes, node)) is not None:
            found = _found(str(node.input[0]), last, logits, linear)
            return found.beside({one.name for one in model.graph.output})
        if node.op_type in _LINEAR:
            if linear is not None or not _is_plain(nodes, node):
                return None
            linear = node
        if (following := _before(nodes, node)) is None:
            return None
        name = following
    return None


def _found(features: str, last: bool, logits: str, linear: Any | None) -> FinalLayers:
    if linear is None:
        return FinalLayers(features, last, logits)
    by_channel = linear.op_type == "MatMul" or (linear.op_type == "Gemm" and not _number(linear, "transB", 0))
    return FinalLayers(features, last, logits, str(linear.input[1]), by_channel)


def _before_activation(nodes: Nodes, name: str) -> str:
    """The scores before an activation; what is only copied or cast behind it does not count."""
    start = name
    for _ in range(STEPS):
        node = nodes.writers.get(name)
        if node is None or node.domain not in ONNX or not node.input:
            break
        if node.op_type in _ACTIVATIONS:
            return str(node.input[0])
        if node.op_type not in _PASSING:
            break
        name = str(node.input[0])
    return start


def _before(nodes: Nodes, node: Any) -> str | None:
    """The tensor that a node makes its scores of; None if it does what is not known here."""
    if node.op_type in _PASSING | _LINEAR:
        return str(node.input[0])
    if node.op_type == "Add":
        others = [name for name in node.input if not _is_constant(nodes, name)]
        return str(others[0]) if len(others) == 1 else None
    return None


def _averages(nodes: Nodes, node: Any) -> bool | None:
    """Whether a node averages over all places: True if the channels are last, False if they are second."""
    if node.op_type in ("GlobalAveragePool", "AveragePool"):
        return False
    if node.op_type != "ReduceMean":
        return None
    given = attribute(node, "axes")
    axes = list(given.ints) if given is not None else _axes(nodes, node)
    places = sorted(axis % 4 for axis in axes)
    return places == [1, 2] if places in ([1, 2], [2, 3]) else None


def _axes(nodes: Nodes, node: Any) -> list[int]:
    constant = nodes.constant(node.input[1]) if len(node.input) > 1 else None
    return [] if constant is None else [int(axis) for axis in constant.ravel()]


def _is_plain(nodes: Nodes, node: Any) -> bool:
    """Whether a layer multiplies with constant weights, and does nothing else."""
    if len(node.input) < 2 or not _is_constant(nodes, node.input[1]):
        return False
    if node.op_type == "Gemm":
        return _number(node, "alpha", 1) == 1 and not _number(node, "transA", 0)
    return node.op_type == "MatMul" or _number(node, "group", 1) == 1


def _number(node: Any, name: str, default: float) -> float:
    found = attribute(node, name)
    if found is None:
        return default
    return float(found.f if found.type == onnx.AttributeProto.FLOAT else found.i)


def _is_constant(nodes: Nodes, name: str, depth: int = _DEPTH) -> bool:
    if name in nodes.tensors:
        return True
    node = nodes.writers.get(name)
    if node is None or depth == 0 or node.op_type not in _OF_CONSTANTS:
        return False
    return all(_is_constant(nodes, one, depth - 1) for one in node.input if one)
