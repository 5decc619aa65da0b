"""A small convolutional network made without a training library, and the runtime's answers to images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from PIL import Image

from tools.real_models.makers.case import Answer, Array, last_layer, opened, samples, softmax

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
SIDE = 224
OPSET, IR_VERSION = 17, 8

Prepare = Callable[[Image.Image], Array]
"""From an image to the input of a network, shape [1, ...]."""


def cropped(image: Image.Image, side: int = SIDE) -> Array:
    """The part that torchvision's preset keeps, as pixels [side, side, 3]."""
    short = round(side / 0.875)
    width, height = image.size
    sizes = (short, int(short * height / width)) if width < height else (int(short * width / height), short)
    left, top = (round((length - side) / 2) for length in sizes)
    resized = image.resize(sizes, Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def stretched(image: Image.Image, side: int = SIDE) -> Array:
    """The whole image as pixels [side, side, 3], as TensorFlow's tools prepare it."""
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def first(pixels: Array) -> Array:
    """Normalised pixels with the channels first, as torchvision's preset makes them, [1, 3, side, side]."""
    values = (pixels.astype(np.float32) / np.float32(255) - MEAN) / STD
    return values.transpose(2, 0, 1)[None]


def usual(image: Image.Image) -> Array:
    """The preprocessing of torchvision, [1, 3, 224, 224]."""
    return first(cropped(image))


def runtime_answer(
    path: Path, prepare: Prepare, confidences: Callable[[Array], Array] = softmax, output: int = 0
) -> Answer:
    """What the runtime answers with a file; what comes out is one image's scores."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_inputs()[:1])

    def answer(photograph: Path) -> Array:
        half = session.get_inputs()[0].type == "tensor(float16)"
        values = prepare(opened(photograph))
        answers = session.run(None, {name: values.astype(np.float16) if half else values})
        return confidences(np.asarray(answers[output], np.float64).flatten())

    return answer


def network(photographs: Sequence[Path], prepare: Prepare = usual, *, channels: int = 3) -> ModelProto:
    """A network of three convolutions with logits of 12 classes, fit for images as they are prepared.

    Its input is `input`, [N, channels, height, width] of any size; its output is `logits`, [N, 12].
    """
    weights = _convolutions(channels)
    body = _model(_BODY, weights, "features", 48, channels)
    session = onnxruntime.InferenceSession(body.SerializeToString(), providers=["CPUExecutionProvider"])
    seen = [session.run(None, {"input": prepare(part)})[0] for part in samples(photographs)]
    weight, bias = last_layer(np.concatenate(seen))
    gemm = helper.make_node("Gemm", ["features", "last.weight", "last.bias"], ["logits"], "last")
    return _model(
        [*_BODY, gemm], weights | {"last.weight": weight, "last.bias": bias}, "logits", 12, channels
    )


def extended(
    model: ModelProto, nodes: Sequence[NodeProto], outputs: Sequence[Any], constants: Any = None
) -> ModelProto:
    """The network with something behind it.

    Args:
        model: the network; it is not changed.
        nodes: what comes behind `logits`.
        outputs: the value infos of the outputs that it has from now on.
        constants: arrays by their names.
    """
    whole = ModelProto()
    whole.CopyFrom(model)
    whole.graph.node.extend(nodes)
    whole.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in (constants or {}).items()
    )
    del whole.graph.output[:]
    whole.graph.output.extend(outputs)
    return whole


def behind(
    model: ModelProto, nodes: Sequence[NodeProto], image: Any, constants: Any = None, ends: str = "pixels"
) -> ModelProto:
    """The network with something before it, whose last result is named `ends`."""
    whole = extended(model, (), model.graph.output, constants)
    rest = [helper.make_node("Identity", [ends], ["input"]), *whole.graph.node]
    del whole.graph.node[:], whole.graph.input[:]
    whole.graph.node.extend([*nodes, *rest])
    whole.graph.input.append(image)
    return whole


def tensor(name: str, shape: Sequence[int | str], dtype: int = TensorProto.FLOAT) -> Any:
    """The description of an input or an output."""
    return helper.make_tensor_value_info(name, dtype, shape)


def _convolutions(channels: int) -> dict[str, Array]:
    chance = np.random.default_rng(7)
    shapes = {"a": (24, channels, 7, 7), "b": (48, 24, 3, 3), "c": (48, 48, 3, 3)}
    return {
        f"{name}.weight": chance.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    } | {f"{name}.bias": np.full(shape[0], 0.01, np.float32) for name, shape in shapes.items()}


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs, [output], output, **attributes)


_BODY = (
    _node("Conv", ["input", "a.weight", "a.bias"], "a", strides=[3, 3]),
    _node("Relu", ["a"], "a.relu"),
    _node("Conv", ["a.relu", "b.weight", "b.bias"], "b", strides=[2, 2]),
    _node("Relu", ["b"], "b.relu"),
    _node("Conv", ["b.relu", "c.weight", "c.bias"], "c", pads=[1, 1, 1, 1]),
    _node("Add", ["b.relu", "c"], "d"),
    _node("Relu", ["d"], "d.relu"),
    _node("GlobalAveragePool", ["d.relu"], "pooled"),
    _node("Flatten", ["pooled"], "features"),
)


def _model(
    nodes: Sequence[NodeProto], weights: dict[str, Array], output: str, width: int, channels: int
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "network",
        [tensor("input", ["batch", channels, SIDE, SIDE])],
        [tensor(output, ["batch", width])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="network")
    onnx.checker.check_model(model)
    return model
