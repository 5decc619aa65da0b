"""What the nodes of a graph show of its pictures and its scores. Uses onnx, so workers do not import it.

From the picture's input it follows the one path of operators that change no pixel's place: types, axes,
scales and shifts. From each output it goes back through operators that change no value. It trusts nothing:
what it does not know ends the walk, and constants are read only if they are tiny.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from predictor.model.graph_nodes import ONNX, STEPS, Nodes, nodes_of
from predictor.model.graph_path import Path, walk
from predictor.model.spec import Structure

_Last = Literal["softmax", "sigmoid", "linear"]

_LINEAR = {"Gemm", "MatMul", "Conv", "LogSoftmax"}
_ENDINGS: dict[str, _Last] = {"Softmax": "softmax", "Sigmoid": "sigmoid", "HardSigmoid": "sigmoid"}
_SAME_SCORES = {
    "Identity",
    "Cast",
    "Dropout",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "QuantizeLinear",
    "DequantizeLinear",
}
_MEANS = {"GlobalAveragePool", "ReduceMean", "AveragePool"}


def examine(model: Any) -> Structure:
    """What the nodes of an `onnx.ModelProto` show."""
    graph = model.graph
    nodes = nodes_of(graph)
    pictures = [one.name for one in graph.input if one.name not in nodes.tensors]
    path = walk(nodes, pictures[0]) if len(pictures) == 1 else Path()
    layouts: dict[int | None, Literal["NCHW", "NHWC"]] = {1: "NCHW", 3: "NHWC"}
    finite = path.seen and bool(np.isfinite(path.factor).all() and np.isfinite(path.offset).all())
    endings = {one.name: _ending(nodes, one.name) for one in graph.output}
    return Structure(
        layout=layouts.get(path.channel_axis),
        channels=path.channels,
        factor=tuple(path.factor.tolist()) if finite else None,
        offset=tuple(path.offset.tolist()) if finite else None,
        last={name: ending for name, ending in endings.items() if ending is not None},
    )


def _ending(nodes: Nodes, name: str) -> _Last | None:
    for _ in range(STEPS):
        node = nodes.writers.get(name)
        if node is None or node.domain not in ONNX or not node.input:
            return None
        if node.op_type in _ENDINGS:
            return _ENDINGS[node.op_type]
        if node.op_type in _LINEAR:
            return "linear"
        if _is_softmax(nodes.writers, node):
            return "softmax"
        following = _before(nodes, node)
        if following is None:
            return None
        name = following
    return None


def _before(nodes: Nodes, node: Any) -> str | None:
    """Where the scores of a node come from, if it leaves their meaning alone."""
    if node.op_type in _SAME_SCORES or node.op_type in _MEANS:
        return str(node.input[0])
    if node.op_type == "Add":
        # A bias is a constant of any size.
        others = [name for name in node.input if name not in nodes.tensors]
        return str(others[0]) if len(others) == 1 else None
    return None


def _is_softmax(writers: Mapping[str, Any], node: Any) -> bool:
    """Whether a node divides an exponential by its sum."""
    if node.op_type != "Div" or len(node.input) != 2:
        return False
    over, under = (writers.get(name) for name in node.input)
    if over is None or under is None or over.op_type != "Exp" or under.op_type != "ReduceSum":
        return False
    return bool(under.input) and under.input[0] == node.input[0]
