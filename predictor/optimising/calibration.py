"""Run images through a graph in single precision, and keep what quantisation needs to know of its tensors."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto, helper

from predictor.optimising.quantisers import LEARNED, outputs

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
    augmented = _with_outputs(inferred, watched)
    found, image = Observed(), names[0]
    for batch, values in _runs(augmented, [*watched, names[1]], image, batches):
        tensors = dict(zip(watched, values, strict=False))
        if batch.dtype == np.float32:
            tensors[image] = batch
        for name, tensor in tensors.items():
            if tensor.size:
                found._add(name, tensor, read=name in read)  # noqa: SLF001 (of this module)
        found.scores.append(values[-1])
        found.images += len(batch)
    return found


def _runs(
    model: ModelProto, names: list[str], image: str, batches: Iterable[_Array]
) -> Iterator[tuple[_Array, list[_Array]]]:
    session = None
    for batch in batches:
        if session is None:
            session = outputs(model, names, {image: batch})
            yield batch, session.first
        else:
            yield batch, session.run({image: batch})


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
