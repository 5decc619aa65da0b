"""What images that are run in single precision tell about a graph's tensors, and biases corrected by it.

A weight that is rounded moves the mean of what its operator gives; by how much is known from the mean of
what goes in (M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, 2019, Data-Free Quantization Through
Weight Equalization and Bias Correction, section 4.2). The bias takes it back, at no cost at run time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from predictor.optimising.quantisers import LEARNED, Outputs

_Array = npt.NDArray[Any]


@dataclass
class Observed:
    """What was seen of the tensors.

    Attributes:
        ranges: the least and the highest number of each.
        means: the mean of each channel, of those that a convolution or matrix product reads.
        scores: what the graph answered, image by image.
        images: how many there were.
    """

    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    means: dict[str, _Array] = field(default_factory=dict)
    scores: list[_Array] = field(default_factory=list)
    images: int = 0

    def _add(self, name: str, tensor: _Array, *, read: bool) -> None:
        low, high = self.ranges.get(name, (np.inf, -np.inf))
        self.ranges[name] = min(low, float(tensor.min())), max(high, float(tensor.max()))
        if read:
            share = len(tensor) / (self.images + len(tensor))
            mean = _channel_means(tensor)
            self.means[name] = (1 - share) * self.means.get(name, np.zeros_like(mean)) + share * mean


def observe(model: ModelProto, names: tuple[str, str], batches: Iterable[_Array]) -> Observed:
    """Run images, and see what the tensors of a graph hold.

    Args:
        model: the graph in single precision.
        names: of its input and its scores.
        batches: images as the graph takes them; at least one.
    """
    inferred = onnx.shape_inference.infer_shapes(model)
    watched = _floats(inferred)
    read = {node.input[0] for node in inferred.graph.node if node.op_type in LEARNED}
    found, image = Observed(), names[0]
    session = Outputs(_with_outputs(inferred, watched), [*watched, names[1]])
    for batch in batches:
        values = session.run({image: batch})
        tensors = dict(zip(watched, values, strict=False))
        if batch.dtype == np.float32:
            tensors[image] = batch
        for name, tensor in tensors.items():
            if tensor.size:
                found._add(name, tensor, read=name in read)  # noqa: SLF001 (of this module)
        found.scores.append(values[-1])
        found.images += len(batch)
    return found


def _floats(model: ModelProto) -> list[str]:
    """The tensors in single precision that operators of the main graph make."""
    types = {
        one.name: one.type.tensor_type.elem_type for one in (*model.graph.value_info, *model.graph.output)
    }
    made = [name for node in model.graph.node for name in node.output if name]
    return [name for name in made if types.get(name) == TensorProto.FLOAT]


def _with_outputs(model: ModelProto, names: Iterable[str]) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    present = {one.name for one in copy.graph.output}
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in present
    )
    return copy


def _channel_means(tensor: _Array) -> _Array:
    """The mean over all axes but that of the channels: the second of images, the last of anything else."""
    channel = 1 if tensor.ndim == 4 else tensor.ndim - 1
    axes = tuple(axis for axis in range(tensor.ndim) if axis != channel)
    return np.asarray(tensor.mean(axis=axes, dtype=np.float64))


def corrected(
    model: ModelProto, quantised: ModelProto, means: Mapping[str, _Array]
) -> tuple[ModelProto, int]:
    """A graph with other biases, to be quantised again, and how many operators were corrected.

    Args:
        model: the graph in single precision.
        quantised: what the quantiser made of it.
        means: the mean of each channel of the tensors that operators read.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    constants = {one.name: one for one in copy.graph.initializer}
    rounded = _rounded(quantised)
    count = 0
    for node in copy.graph.node:
        weight = constants.get(node.input[1]) if node.op_type in ("Conv", "Gemm") else None
        if weight is None or node.name not in rounded or node.input[0] not in means:
            continue
        shift = _shift(node, rounded[node.name] - _array(weight), means[node.input[0]])
        count += _subtract(copy, node, constants, shift)
    return copy, count


def _rounded(model: ModelProto) -> dict[str, _Array]:
    """The weights that operators get in a quantised graph, as numbers again, by the operator's name."""
    constants = {one.name: one for one in model.graph.initializer}
    makers = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    found = {}
    for node in model.graph.node:
        maker = makers.get(node.input[1]) if node.op_type in ("Conv", "Gemm") else None
        if maker is not None and maker.input[0] in constants:
            found[node.name] = _dequantised(maker, constants)
    return found


def _dequantised(node: NodeProto, constants: Mapping[str, TensorProto]) -> _Array:
    values, scale, zero = (_array(constants[name]) for name in node.input)
    axis = next((one.i for one in node.attribute if one.name == "axis"), 1)
    shape = [1] * values.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    numbers = values.astype(np.float64) - zero.astype(np.float64).reshape(shape)
    return np.asarray(numbers * scale.astype(np.float64).reshape(shape))


def _shift(node: NodeProto, error: _Array, means: _Array) -> _Array:
    """By how much the mean of each channel that an operator gives is too high."""
    if node.op_type == "Gemm":
        transposed = any(one.name == "transB" and one.i for one in node.attribute)
        return np.asarray((error if transposed else error.T) @ means)
    groups = next((one.i for one in node.attribute if one.name == "group"), 1)
    of_kernel = error.reshape(*error.shape[:2], -1).sum(axis=2)
    each = len(of_kernel) // groups
    group = np.arange(len(of_kernel)) // each
    channels = group[:, np.newaxis] * of_kernel.shape[1] + np.arange(of_kernel.shape[1])
    return np.asarray((of_kernel * means[channels]).sum(axis=1))


def _subtract(model: ModelProto, node: NodeProto, constants: dict[str, TensorProto], shift: _Array) -> int:
    """Subtract from a bias, which becomes the operator's own; how many that were."""
    has = len(node.input) > 2 and bool(node.input[2])
    if has and (node.input[2] not in constants or _array(constants[node.input[2]]).shape != shift.shape):
        return 0
    before = _array(constants[node.input[2]]) if has else np.zeros(len(shift))
    own = numpy_helper.from_array((before - shift).astype(np.float32), f"{node.output[0]}_corrected_bias")
    model.graph.initializer.append(own)
    if has:
        node.input[2] = own.name
    else:
        node.input.append(own.name)
    return 1


def _array(tensor: TensorProto) -> _Array:
    return np.asarray(numpy_helper.to_array(tensor))
