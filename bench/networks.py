"""The networks that contestants serve besides the bundled one; their weights are random.

They take the bundled network's own input, so that every contestant serves them with the same code.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from predictor.config import BUNDLED_MODEL

_SIZE, _CLASSES = 224, 1000
# The blocks of ResNet-50 (He et al. 2015, table 1): width, number and stride of each stage.
_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
# ViT-Ti/16 (Touvron et al. 2021, table 1).
_WIDTH, _DEPTH, _HEADS, _PATCH = 192, 12, 3, 16


def resnet50(path: Path) -> Path:
    """Write a ResNet-50, whose run takes some 25 ms of a current core or more."""
    graph = _Graph()
    x = graph.relu(graph.conv(graph.pixels(), 3, 64, 7, 2))
    x = graph.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for width, blocks, stride in _STAGES:
        for number in range(blocks):
            x = graph.bottleneck(x, channels, width, stride if number == 0 else 1)
            channels = 4 * width
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    return graph.save(pooled, channels, path)


def small_vit(path: Path) -> Path:
    """Write a ViT-Ti/16 that averages its tokens."""
    graph = _Graph()
    patches = graph.conv(graph.pixels(), 3, _WIDTH, _PATCH, _PATCH, padded=False)
    flat = graph.add("Reshape", patches, graph.numbers([0, _WIDTH, -1]))
    tokens = (_SIZE // _PATCH) ** 2
    x = graph.add("Add", graph.add("Transpose", flat, perm=[0, 2, 1]), graph.weights(1, tokens, _WIDTH))
    for _ in range(_DEPTH):
        x = graph.add("Add", x, graph.attention(graph.norm(x)))
        hidden = graph.add("Gelu", graph.linear(graph.norm(x), _WIDTH, 4 * _WIDTH))
        x = graph.add("Add", x, graph.linear(hidden, 4 * _WIDTH, _WIDTH))
    mean = graph.add("ReduceMean", graph.norm(x), graph.numbers([1]), keepdims=0)
    return graph.save(mean, _WIDTH, path)


class _Graph:
    """Nodes and weights, one after the other."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []
        self._random = np.random.default_rng(1)

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        """A node; its output."""
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, values: npt.NDArray[np.generic]) -> str:
        """A tensor of the file; its name."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def numbers(self, values: list[int]) -> str:
        """A list of whole numbers."""
        return self.constant(np.array(values, np.int64))

    def weights(self, *shape: int, fan: int = _WIDTH) -> str:
        """Random weights with which numbers stay of the same size."""
        return self.constant((self._random.normal(0, 1, shape) / np.sqrt(fan)).astype(np.float32))

    def pixels(self) -> str:
        """The image as numbers about zero, channels first."""
        cast = self.add("Cast", self.add("Transpose", "image", perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
        centred = self.add("Sub", cast, self.constant(np.float32(127).reshape(1)))
        return self.add("Mul", centred, self.constant(np.float32(1 / 64).reshape(1)))

    def conv(
        self, x: str, inputs: int, outputs: int, size: int, stride: int = 1, *, padded: bool = True
    ) -> str:
        """A convolution with bias."""
        kernel = self.weights(outputs, inputs, size, size, fan=inputs * size * size)
        pads = [size // 2 if padded else 0] * 4
        return self.add("Conv", x, kernel, self.weights(outputs), strides=[stride] * 2, pads=pads)

    def relu(self, x: str) -> str:
        """A rectifier."""
        return self.add("Relu", x)

    def bottleneck(self, x: str, inputs: int, width: int, stride: int) -> str:
        """A block of ResNet-50 with its shortcut."""
        inner = self.relu(self.conv(x, inputs, width, 1))
        inner = self.relu(self.conv(inner, width, width, 3, stride))
        outer = self.conv(inner, width, 4 * width, 1)
        same = stride == 1 and inputs == 4 * width
        return self.relu(self.add("Add", outer, x if same else self.conv(x, inputs, 4 * width, 1, stride)))

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        """A layer for each token."""
        return self.add(
            "Add", self.add("MatMul", x, self.weights(inputs, outputs, fan=inputs)), self.weights(outputs)
        )

    def norm(self, x: str) -> str:
        """Layer normalisation."""
        one, zero = np.ones(_WIDTH, np.float32), np.zeros(_WIDTH, np.float32)
        return self.add("LayerNormalization", x, self.constant(one), self.constant(zero))

    def attention(self, x: str) -> str:
        """Attention of several heads."""
        query, key, value = (
            self._heads(self.linear(x, _WIDTH, _WIDTH), perm)
            for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
        )
        scale = self.constant(np.float32((_WIDTH / _HEADS) ** -0.5).reshape(1))
        shares = self.add("Softmax", self.add("Mul", self.add("MatMul", query, key), scale), axis=-1)
        together = self.add("Transpose", self.add("MatMul", shares, value), perm=[0, 2, 1, 3])
        return self.linear(self.add("Reshape", together, self.numbers([0, 0, _WIDTH])), _WIDTH, _WIDTH)

    def _heads(self, x: str, perm: list[int]) -> str:
        return self.add("Transpose", self.add("Reshape", x, self.numbers([0, 0, _HEADS, -1])), perm=perm)

    def save(self, features: str, width: int, path: Path) -> Path:
        """End the network with its classes, and write it with the bundled one's labels."""
        logits = self.add("Gemm", features, self.weights(width, _CLASSES, fan=width), self.weights(_CLASSES))
        self._nodes.append(helper.make_node("Softmax", [logits], ["probabilities"], axis=-1))
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", _SIZE, _SIZE, 3])
        scores = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", _CLASSES])
        graph = helper.make_graph(self._nodes, path.stem, [image], [scores], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        model.metadata_props.extend(onnx.load(BUNDLED_MODEL).metadata_props)
        onnx.save(model, path)
        return path
