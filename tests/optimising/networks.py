"""A small convolutional network and images for it."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from predictor.evaluation.images import LabelledImage
from predictor.image.decode import Limits, decode
from predictor.image.preprocess import Preprocessing, to_tensor
from predictor.model.labels import Label
from predictor.model.spec import ModelSpec, Tensor

SIDE, CLASSES, CHANNELS = 32, 4, 24
_LOGITS = 4.0


def network(outlier: float = 1.0) -> onnx.ModelProto:
    """A network of three convolutions with random weights, softmax inside.

    Args:
        outlier: how many times larger the weights of the first channel of each layer are than those of the
            others. Its numbers are cut off at 6, so that only the range of the weights gets larger.
    """
    # Of twelve seeds one whose answers 8-bit and 7-bit weights keep: with others noise is near a border.
    generator = np.random.default_rng(10)
    weights = {
        "w1": generator.normal(0, 0.7, (CHANNELS, 3, 3, 3)),
        "b1": generator.normal(0, 0.3, CHANNELS),
        "w2": generator.normal(0, 0.5, (CHANNELS, 1, 3, 3)),
        "b2": generator.normal(0, 0.3, CHANNELS),
        "w3": generator.normal(0, 0.3, (32, CHANNELS, 1, 1)),
        "b3": generator.normal(0, 0.3, 32),
        "w4": generator.normal(0, 1.0, (CLASSES, 32)),
        "b4": np.zeros(CLASSES),
    }
    for name in ("w1", "w2", "w3"):
        weights[name][0] *= outlier
    return _model(weights | _spread_over_classes(weights), "scores")


def _spread_over_classes(weights: dict[str, Any]) -> dict[str, Any]:
    """The last layer, changed so that images of noise are of many classes, and not all of one."""
    session = onnxruntime.InferenceSession(
        _model(weights, "logits").SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (logits,) = session.run(None, {"image": tensors(64)})
    gain = _LOGITS / logits.std(axis=0)
    return {"w4": weights["w4"] * gain[:, None], "b4": -gain * logits.mean(axis=0)}


def _model(weights: dict[str, Any], output: str) -> onnx.ModelProto:
    """The graph, up to one of its tensors."""
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["c1", "zero", "six"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], group=CHANNELS, pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["c2", "zero", "six"], ["r2"]),
        helper.make_node("Conv", ["r2", "w3", "b3"], ["c3"], strides=[2, 2]),
        helper.make_node("Clip", ["c3", "zero", "six"], ["r3"]),
        helper.make_node("GlobalAveragePool", ["r3"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w4", "b4"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    constants = weights | {"zero": np.array(0.0), "six": np.array(6.0)}
    last = next(place for place, node in enumerate(nodes) if output in node.output)
    graph = helper.make_graph(
        nodes[: last + 1],
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def spec() -> ModelSpec:
    """How that network is fed, and what it answers."""
    form = Preprocessing(
        height=SIDE,
        width=SIDE,
        resize="stretch",
        resize_to=SIDE,
        interpolation="bilinear",
        channels="RGB",
        layout="NCHW",
        dtype="float32",
        scale=1 / 255,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
    )
    return ModelSpec(
        Tensor("image", "float32", (None, 3, SIDE, SIDE)),
        Tensor("scores", "float32", (None, CLASSES)),
        form,
        "none",
        tuple(Label(f"class {index}") for index in range(CLASSES)),
    )


def tensors(count: int) -> npt.NDArray[np.float32]:
    """The same images as the network takes them."""
    limits, form = Limits(("PNG",), 1_000_000, 1_000_000), spec().preprocessing
    return np.stack([to_tensor(decode(one.read(), limits), form) for one in images(count)])


def images(count: int) -> list[LabelledImage]:
    """Images of coloured tiles, each of another colour, without labels."""
    found = []
    for number in range(count):
        generator = np.random.default_rng(number)
        colour, tiles = generator.integers(0, 256, 3), generator.integers(0, 256, (4, 4, 3))
        pixels = (0.8 * colour + 0.2 * np.kron(tiles, np.ones((8, 8, 1)))).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG")
        found.append(LabelledImage(f"{number}.png", (), out.getvalue))
    return found
