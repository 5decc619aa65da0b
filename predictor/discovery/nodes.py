"""The nodes of an ONNX graph, by what they read and write. Uses onnx."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

Array = npt.NDArray[np.float64]
"""Numbers that were read of a graph."""

ONNX = ("", "ai.onnx")
"""The names of the domain of ONNX's own operators."""

RUNTIME = "com.microsoft"
"""The domain of the runtime's own operators."""

STEPS = 64
"""Nodes after which a walk along the graph ends."""

_TINY = 64


@dataclass
class Nodes:
    """The nodes of a graph by what they read and by what they write, and its tiny constants."""

    readers: dict[str, list[Any]] = field(default_factory=dict)
    writers: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Any] = field(default_factory=dict)

    def constant(self, name: str) -> Array | None:
        """The values of a small constant; None if the tensor is no constant, is large, or cannot be read."""
        tensor = self.tensors.get(name)
        if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
            return None
        if len(tensor.dims) > 8 or not 0 < math.prod(tensor.dims) <= _TINY:
            return None
        try:
            return np.asarray(numpy_helper.to_array(tensor), np.float64)
        except (ValueError, TypeError, KeyError):
            return None

    def source(self, name: str) -> str:
        """What a tensor is a copy of; itself if it is none."""
        for _ in range(STEPS):
            writer = self.writers.get(name)
            if writer is None or writer.op_type != "Identity" or not writer.input:
                break
            name = str(writer.input[0])
        return name


def nodes_of(graph: Any) -> Nodes:
    """Read the nodes of an `onnx.GraphProto`, but not those of graphs inside it."""
    nodes = Nodes(tensors={tensor.name: tensor for tensor in graph.initializer})
    for node in graph.node:
        for name in set(node.input):
            nodes.readers.setdefault(name, []).append(node)
        for name in node.output:
            nodes.writers[name] = node
        if node.op_type == "Constant" and node.output:
            value = attribute(node, "value")
            if value is not None:
                nodes.tensors[node.output[0]] = value.t
    return nodes


def attribute(node: Any, name: str) -> Any | None:
    """An attribute of a node; None if it has none of that name."""
    return next((one for one in node.attribute if one.name == name), None)


def read_inside(node: Any) -> Iterator[str]:
    """The names that the graphs inside a node read; some of them are their own."""
    pending = [one.g for one in node.attribute if one.HasField("g")]
    while pending:
        graph = pending.pop()
        yield from (one.name for one in graph.output)
        for inner in graph.node:
            yield from inner.input
            pending += [one.g for one in inner.attribute if one.HasField("g")]
