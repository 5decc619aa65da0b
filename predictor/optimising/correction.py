"""Biases that take back the mean error of rounded weights.

A weight that is rounded moves the mean of what its operator gives; by how much is known from the mean of
what goes in (M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, 2019, Data-Free Quantization Through
Weight Equalization and Bias Correction, section 4.2). The bias takes it back, at no cost at run time.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

_Array = npt.NDArray[Any]


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
