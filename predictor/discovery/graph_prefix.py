"""The part of a graph from its image to the first layer that learns, cut out to be run alone. Uses onnx."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import helper

from predictor.discovery.nodes import ONNX, RUNTIME, Nodes, attribute, read_inside
from predictor.errors import InvalidModel
from predictor.model.part import Runner, part_of

_MOVING = {
    "Cast", "CastLike", "Concat", "DepthToSpace", "DequantizeLinear", "Dropout", "Expand", "Flatten",
    "Gather", "GatherElements", "GatherND", "Identity", "Pad", "QuantizeLinear", "Reshape", "Resize", "Slice",
    "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Upsample",
}  # fmt: skip
_COMPUTING = {
    "Abs", "Add", "BatchNormalization", "Clip", "Div", "Max", "Min", "Mul", "Neg", "Pow", "QLinearAdd",
    "QLinearMul", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Sqrt", "Sub", "Sum",
}  # fmt: skip
# Which input has the weights of a convolution.
_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "FusedConv": 1, "QLinearConv": 3}
# They read integers; their next two inputs say for which numbers these stand.
_QUANTISED = {"QLinearConv", "QLinearMatMul", "QGemm"}
_REAL = "_real_numbers"
_MOST_NODES = 256
_MOST_BYTES = 64_000_000


@dataclass(frozen=True)
class Prefix:
    """What a graph does to its images before the first layer that learns.

    Attributes:
        depth: how many channels that layer reads, if it is a convolution.
        computing: the operators on the way that do more than move or resize.
        run: computes from a batch of images what the layer reads, or raises a PredictorError; None if that
            part of the graph cannot run alone.
    """

    depth: int | None
    computing: tuple[str, ...]
    run: Runner | None


def cut_prefix(model: Any, nodes: Nodes, image: Any) -> Prefix | None:
    """Cut the part out; None if no layer learns.

    Args:
        model: an `onnx.ModelProto`.
        nodes: those of its graph.
        image: the graph's input for images, an `onnx.ValueInfoProto`.
    """
    known, computing = {image.name}, dict[str, None]()
    for node in model.graph.node:
        reads = next((name for name in (*node.input, *read_inside(node)) if name in known), None)
        if reads is None or node.op_type in ("Shape", "Size"):
            continue
        if node.domain not in (*ONNX, RUNTIME) or node.op_type not in _MOVING | _COMPUTING:
            first = bool(node.input) and node.input[0] == reads
            depth = _depth(nodes, node) if first else None
            quantised = node.input[1:3] if first and node.op_type in _QUANTISED else ()
            return Prefix(depth, tuple(computing), _runner(model, nodes, image, [reads, *quantised]))
        known.update(filter(None, node.output))
        if node.op_type in _COMPUTING:
            computing[node.op_type] = None
    return None


def _depth(nodes: Nodes, node: Any) -> int | None:
    """How many channels a convolution reads. Returns None for any other node."""
    place = _CONVOLUTIONS.get(node.op_type, len(node.input))
    weights, group = node.input[place] if place < len(node.input) else "", attribute(node, "group")
    for _ in range(4):
        if weights in nodes.tensors or weights not in nodes.writers:
            break
        weights = next(iter(nodes.writers[weights].input), "")
    dims: Sequence[int] = nodes.tensors[weights].dims if weights in nodes.tensors else ()
    return int(dims[1]) * (group.i if group is not None else 1) if len(dims) == 4 else None


def _runner(model: Any, nodes: Nodes, image: Any, ends: Sequence[str]) -> Runner | None:
    """What computes a tensor, whose scale and zero point may be given, too; None if nothing can."""
    made, tensors = _ancestors(model, nodes, image.name, ends)
    if len(made) > _MOST_NODES or sum(one.ByteSize() for one in tensors) > _MOST_BYTES:
        return None
    if any(one.data_location == onnx.TensorProto.EXTERNAL for one in tensors):
        return None
    chosen, end = [node for node in model.graph.node if id(node) in made], ends[0]
    if len(ends) > 1:
        end += _REAL
        chosen.append(helper.make_node("DequantizeLinear", list(ends), [end]))
    graph = helper.make_graph(chosen, "prefix", [image], [onnx.ValueInfoProto(name=end)], tensors)
    try:
        part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
        return part_of(part.SerializeToString())
    except InvalidModel:
        return None


def _ancestors(model: Any, nodes: Nodes, image: str, ends: Sequence[str]) -> tuple[set[int], list[Any]]:
    """The identities of the nodes that tensors are made by, and the constants that these read."""
    constants = {one.name: one for one in model.graph.initializer}
    wanted, seen, made = [*ends], {image}, set[int]()
    while wanted:
        if (name := wanted.pop()) in seen:
            continue
        seen.add(name)
        node = nodes.writers.get(name)
        if node is not None and id(node) not in made:
            made.add(id(node))
            wanted += (*node.input, *read_inside(node))
    return made, [constants[name] for name in seen if name in constants]
