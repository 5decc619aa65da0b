"""What the nodes of a graph do to images before the first layer that learns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from predictor.discovery.nodes import STEPS, Array, Nodes, attribute

_SAME = {"Identity", "Cast", "Dropout", "Pad", "QuantizeLinear", "Clip"}


@dataclass
class PrefixTransform:
    """What a graph does to its input before the first layer that learns, as far as it was followed.

    Attributes:
        axes: for each axis of the present tensor, which axis of the input it is.
        channel_axis: the axis of the input that has the channels, once that is seen.
        channels: how many there are, once that is seen.
        backwards: whether the present tensor has the channels in reverse.
        seen: whether the graph scales or shifts its input.
        factor: what each channel of the input is multiplied with; one number stands for all.
        offset: what is added then.
    """

    axes: list[int] = field(default_factory=lambda: [0, 1, 2, 3])
    channel_axis: int | None = None
    channels: int | None = None
    backwards: bool = False
    seen: bool = False
    factor: Array = field(default_factory=lambda: np.ones(1))
    offset: Array = field(default_factory=lambda: np.zeros(1))

    def apply(self, factor: Array, offset: Array) -> None:
        """Let `x * factor + offset` follow, given for each channel of the present tensor."""
        order = slice(None, None, -1) if self.backwards else slice(None)
        factor, offset = factor[order], offset[order]
        self.seen = True
        self.factor, self.offset = self.factor * factor, self.offset * factor + offset


def follow_prefix(nodes: Nodes, name: str) -> PrefixTransform:
    """Follow a graph's input as far as only types, axes, scales and shifts change."""
    prefix = PrefixTransform()
    for _ in range(STEPS):
        node = nodes.next(name)
        if node is None or not node.output or not _step(nodes, prefix, node, name):
            break
        name = node.output[0]
    return prefix


def _step(nodes: Nodes, prefix: PrefixTransform, node: Any, name: str) -> bool:
    """Take a node into the prefix; False if the prefix ends with it."""
    if node.op_type in _SAME:
        return str(node.input[0]) == name
    take = _STEPS.get(node.op_type)
    return take is not None and take(nodes, prefix, node, name)


def _take_transposition(_nodes: Nodes, prefix: PrefixTransform, node: Any, _name: str) -> bool:
    order = attribute(node, "perm")
    if order is None or sorted(order.ints) != [0, 1, 2, 3]:
        return False
    prefix.axes = [prefix.axes[axis] for axis in order.ints]
    return True


def _take_convolution(nodes: Nodes, prefix: PrefixTransform, node: Any, _name: str) -> bool:
    """A convolution learns, so it ends the prefix; its second axis has the channels."""
    prefix.channel_axis = prefix.axes[1]
    weights, group = node.input[1] if len(node.input) > 1 else "", attribute(node, "group")
    for _ in range(4):
        if weights in nodes.tensors or weights not in nodes.writers:
            break
        weights = next(iter(nodes.writers[weights].input), "")
    dims: Sequence[int] = nodes.tensors[weights].dims if weights in nodes.tensors else ()
    if len(dims) == 4:
        prefix.channels = int(dims[1]) * (group.i if group is not None else 1)
    return False


def _take_arithmetic(nodes: Nodes, prefix: PrefixTransform, node: Any, name: str) -> bool:
    if len(node.input) != 2:
        return False
    first = node.input[0] == name
    other = node.input[1] if first else node.input[0]
    if not first and node.op_type in ("Sub", "Div"):
        return False
    numbers = _by_channel(prefix, nodes.constant(other))
    if numbers is None and node.op_type in ("Sub", "Add"):
        # What MATLAB and Caffe subtract may be a whole image, the mean of all.
        numbers = _by_channel(prefix, nodes.channel_means(other))
    if numbers is None or (node.op_type == "Div" and not numbers.all()):
        return False
    one, zero = np.ones_like(numbers), np.zeros_like(numbers)
    line = {"Sub": (one, -numbers), "Add": (one, numbers), "Mul": (numbers, zero)}
    prefix.apply(*(line[node.op_type] if node.op_type in line else (1 / numbers, zero)))
    return True


def _by_channel(prefix: PrefixTransform, constant: Array | None) -> Array | None:
    """A constant's number for each channel, or for all; None if it differs along other axes."""
    if constant is None:
        return None
    if constant.size == 1:
        return constant.reshape(1)
    long = [axis for axis, length in enumerate(constant.shape) if length > 1]
    place = 4 - constant.ndim + long[0]
    if (
        len(long) != 1
        or constant.ndim > 4
        or prefix.axes[place] not in (1, 3)
        or not _fits(prefix, constant.size)
    ):
        return None
    prefix.channel_axis = prefix.axes[place]
    return constant.reshape(-1)


def _fits(prefix: PrefixTransform, channels: int) -> bool:
    return channels == 3 and prefix.factor.size in (1, 3) and prefix.offset.size in (1, 3)


def _take_batch_normalisation(nodes: Nodes, prefix: PrefixTransform, node: Any, _name: str) -> bool:
    constants = [nodes.constant(name) for name in node.input[1:5]]
    epsilon = attribute(node, "epsilon")
    scale, bias, mean, variance = constants if len(constants) == 4 else (None,) * 4
    if scale is None or bias is None or mean is None or variance is None:
        return False
    sizes = {one.size for one in (scale, bias, mean, variance)}
    if len(sizes) != 1 or not (sizes == {1} or _fits(prefix, scale.size)) or prefix.axes[1] not in (1, 3):
        return False
    prefix.channel_axis = prefix.axes[1]
    with np.errstate(all="ignore"):
        factor = scale.ravel() / np.sqrt(variance.ravel() + (1e-5 if epsilon is None else epsilon.f))
        prefix.apply(factor, bias.ravel() - mean.ravel() * factor)
    return True


def _take_dequantisation(nodes: Nodes, prefix: PrefixTransform, node: Any, _name: str) -> bool:
    """Integers become numbers; right after a quantisation that only undoes it."""
    before = nodes.writers.get(node.input[0])
    if before is not None and before.op_type == "QuantizeLinear":
        return True
    scale = nodes.constant(node.input[1]) if len(node.input) > 1 else None
    zero = nodes.constant(node.input[2]) if len(node.input) > 2 else np.zeros(1)
    if scale is None or zero is None or scale.size != 1 or zero.size != 1:
        return False
    prefix.apply(scale.reshape(1), -zero.reshape(1) * scale.reshape(1))
    return True


def _take_reversal(nodes: Nodes, prefix: PrefixTransform, node: Any, _name: str) -> bool:
    """Whether a node turns red-green-blue around, and nothing else."""
    inputs = list(node.input)
    if node.op_type == "Gather":
        indices = nodes.constant(inputs[1]) if len(inputs) > 1 else None
        axis = attribute(node, "axis")
        places = [axis.i if axis is not None else 0]
        turned = indices is not None and indices.tolist() == [2, 1, 0]
    else:
        axes, steps = (nodes.constant(inputs[place]) if len(inputs) == 5 else None for place in (3, 4))
        places = [] if axes is None else [int(axis) for axis in axes.ravel()]
        # Of the axes that a strided slice lists, all but the channels are kept as they are.
        turned = steps is not None and sorted(steps.ravel().tolist()) == [-1.0] + [1.0] * (steps.size - 1)
        if turned and steps is not None:
            places = [
                place for place, step in zip(places, steps.ravel().tolist(), strict=False) if step == -1
            ]
    if not turned or len(places) != 1 or not -4 <= places[0] < 4 or prefix.axes[places[0]] not in (1, 3):
        return False
    prefix.channel_axis = prefix.axes[places[0]]
    prefix.backwards = not prefix.backwards
    return True


_STEPS: dict[str, Callable[[Nodes, PrefixTransform, Any, str], bool]] = {
    "Conv": _take_convolution,
    "Transpose": _take_transposition,
    "Gather": _take_reversal,
    "Slice": _take_reversal,
    "Sub": _take_arithmetic,
    "Add": _take_arithmetic,
    "Mul": _take_arithmetic,
    "Div": _take_arithmetic,
    "BatchNormalization": _take_batch_normalisation,
    "DequantizeLinear": _take_dequantisation,
}
