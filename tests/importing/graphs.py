"""Small classifiers of which each test changes one part, as tools write it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

CLASSES = 5
SIDE = 8
Array = npt.NDArray[Any]


def image(kind: int = TensorProto.FLOAT, shape: Sequence[Any] = ("N", 3, SIDE, SIDE)) -> Any:
    """The input of a classifier."""
    return helper.make_tensor_value_info("image", kind, shape)


def layers(pixels: str = "image", *, depth: int = 3) -> list[Any]:
    """Operators from images, [N, depth, rows, columns], to `logits` and `probabilities`, [N, 5]."""
    return [
        helper.make_node("GlobalAveragePool", [pixels], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["features"], axis=1),
        helper.make_node("MatMul", ["features", f"weights_{depth}"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]


def constants() -> list[Any]:
    """The weights of `layers`."""
    random = np.random.default_rng(0)
    return [
        numpy_helper.from_array(random.normal(size=(depth, CLASSES)).astype(np.float32), f"weights_{depth}")
        for depth in (1, 3)
    ]


def scores(name: str = "probabilities", shape: Sequence[Any] = ("N", CLASSES)) -> Any:
    """An output of numbers."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], **options: Any) -> Any:
    """A model of these parts, with the weights of `layers`."""
    more = options.pop("constants", [])
    graph = helper.make_graph(nodes, "test", inputs, outputs, [*constants(), *more])
    opsets = [helper.make_opsetid("", options.pop("opset", 17)), helper.make_opsetid("ai.onnx.ml", 3)]
    options.setdefault("ir_version", 8)
    return helper.make_model(graph, opset_imports=opsets, **options)


def run(made: Any, pixels: Array, *outputs: str) -> list[Any]:
    """What the runtime answers."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(list(outputs) or None, {session.get_inputs()[0].name: pixels}))


def pixels(batch: int = 2) -> Array:
    """Random images."""
    return np.random.default_rng(1).integers(0, 256, (batch, 3, SIDE, SIDE)).astype(np.float32)


def copied(made: Any) -> Any:
    """The same model once more."""
    return onnx.ModelProto.FromString(made.SerializeToString())
