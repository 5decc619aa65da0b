"""Which input of a graph takes the image, and in which form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from predictor.errors import InvalidModel
from predictor.image.preprocess import DType, Layout
from predictor.image.validators import MAX_SIDE
from predictor.model.spec import Graph, Structure, Tensor
from predictor.model.strict_text import shown

_DEPTHS = (1, 3, 4)
_MAX_NAMES, _MAX_LISTED = 2, 4


@dataclass(frozen=True)
class InputLayout:
    """The layout that the input of a graph prescribes.

    Attributes:
        layout: channels last or first.
        depth: channels: 1, 3 or 4.
        height: rows; None if any number will do.
        width: columns; the same.
        dtype: element type.
        reason: one sentence saying how the layout was found.
    """

    layout: Layout
    depth: int
    height: int | None
    width: int | None
    dtype: DType
    reason: str


def image_input(graph: Graph) -> Tensor:
    """The one input of a graph, which takes a batch of images.

    Raises:
        InvalidModel: the graph has another number of inputs, or its input is no batch of images.
    """
    if len(graph.inputs) > 1:
        raise InvalidModel(_too_many(graph.inputs))
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4:
        raise InvalidModel("The model must have one input of four axes, a batch of images.")
    if graph.inputs[0].shape[0] == 0:
        raise InvalidModel(
            "The model's input takes 0 images. Export it with a free batch axis, or for one image."
        )
    return graph.inputs[0]


def _too_many(inputs: Sequence[Tensor]) -> str:
    """Which inputs there are beside that for images, and what to do about constants among them."""
    sentence = "The model must have one input, a batch of images"
    images = [tensor for tensor in inputs if _holds_images(tensor)]
    if len(images) != 1:
        return f"{sentence}, but has {len(inputs)}: {_names(inputs)}."
    others = _names([tensor for tensor in inputs if tensor not in images])
    return (
        f"{sentence}, but beside {shown(images[0].name)} it has {others}. Constants that an "
        "exporter left there, as Keras's does for a Normalization layer, need their values in the file: "
        "for each, model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))."
    )


def listed(tensors: Sequence[Tensor]) -> str:
    """A few tensors with the lengths of their axes, as they stand in a sentence."""
    more = len(tensors) - _MAX_LISTED
    named = ", ".join(f"{shown(tensor.name)} {lengths(tensor)}" for tensor in tensors[:_MAX_LISTED])
    return f"{named} and {more} more" if more > 0 else named


def lengths(tensor: Tensor) -> str:
    """The lengths of a tensor's axes, a question mark for one that is free."""
    return f"[{', '.join('?' if length is None else str(length) for length in tensor.shape)}]"


def _names(tensors: Sequence[Tensor]) -> str:
    more = len(tensors) - _MAX_NAMES
    named = ", ".join(shown(tensor.name) for tensor in tensors[:_MAX_NAMES])
    return f"{named} and {more} more" if more > 0 else named


def _holds_images(tensor: Tensor) -> bool:
    """Whether an input has the axes of images, and not only those of a number for each channel."""
    return len(tensor.shape) == 4 and sum(length != 1 for length in tensor.shape[1:]) >= 2


def input_layout(image: Tensor, structure: Structure) -> InputLayout:
    """Find the form of an input by its shape and, where that leaves it open, by the graph's nodes.

    Raises:
        InvalidModel: the input takes no images of one or three channels in a type that is served.
    """
    for dtype in get_args(DType):
        if dtype == image.dtype:
            layout, reason = _layout(image.shape, structure)
            _, *sides = image.shape
            depth = sides.pop(0 if layout == "NCHW" else -1) or structure.channels or 3
            if depth not in _DEPTHS:
                raise InvalidModel(f"The model's input has {depth} channels; images have 1, 3 or 4.")
            _check_sides(sides)
            return InputLayout(layout, depth, sides[0], sides[1], dtype, reason)
    accepted = ", ".join(get_args(DType))
    raise InvalidModel(f"The model's input has an element type other than {accepted}.")


def _layout(shape: tuple[int | None, ...], structure: Structure) -> tuple[Layout, str]:
    first, last = shape[1] in _DEPTHS, shape[3] in _DEPTHS
    seen = structure.layout
    if first != last and seen != ("NHWC" if first else "NCHW"):
        layout: Layout = "NCHW" if first else "NHWC"
        axis = "second" if first else "last"
        return layout, f"The input's {axis} axis has {shape[1 if first else 3]} channels."
    if seen is not None:
        return seen, "Seen in the graph's first layers."
    if not (first or last) and (shape[1], shape[3]) != (None, None):
        raise InvalidModel("The model's input must have 1 or 3 channels, as its second or its last axis.")
    return "NCHW", "The input's shape allows both orders: channels are assumed to come first."


def _check_sides(sides: list[int | None]) -> None:
    if any(side is not None and not 1 <= side <= MAX_SIDE for side in sides):
        raise InvalidModel(f"The model's input must have 1 to {MAX_SIDE} pixels a side.")
