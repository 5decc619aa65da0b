"""The form that a graph's input prescribes: layout, channels, size and element type."""

from dataclasses import dataclass
from typing import get_args

from predictor.errors import InvalidModel
from predictor.image.preprocess import DType, Layout
from predictor.image.validators import MAX_SIDE
from predictor.model.spec import Graph, Structure, Tensor

_DEPTHS = (1, 3)


@dataclass(frozen=True)
class InputLayout:
    """The layout that the input of a graph prescribes.

    Attributes:
        layout: channels last or first.
        depth: channels: 1 or 3.
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
    """The one input of a graph, which takes a batch of pictures.

    Raises:
        InvalidModel: the graph has another number of inputs, or its input is no batch of pictures.
    """
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4:
        raise InvalidModel("The model must have one input of four axes, a batch of images.")
    return graph.inputs[0]


def input_layout(image: Tensor, structure: Structure) -> InputLayout:
    """Find the form of an input by its shape and, where that leaves it open, by the graph's nodes.

    Raises:
        InvalidModel: the input takes no pictures of one or three channels in a type that is served.
    """
    for dtype in get_args(DType):
        if dtype == image.dtype:
            layout, reason = _layout(image.shape, structure)
            _, *sides = image.shape
            depth = sides.pop(0 if layout == "NCHW" else -1) or structure.channels or 3
            if depth not in _DEPTHS:
                raise InvalidModel(f"The model's input has {depth} channels; images have 1 or 3.")
            _check_sides(sides)
            return InputLayout(layout, depth, sides[0], sides[1], dtype, reason)
    accepted = ", ".join(get_args(DType))
    raise InvalidModel(f"The model's input has an element type other than {accepted}.")


def _layout(shape: tuple[int | None, ...], structure: Structure) -> tuple[Layout, str]:
    first, last = shape[1] in _DEPTHS, shape[3] in _DEPTHS
    seen = structure.layout
    if first != last and seen != ("NHWC" if first else "NCHW"):
        axis = "second" if first else "last"
        return (
            "NCHW" if first else "NHWC"
        ), f"The input's {axis} axis has {shape[1 if first else 3]} channels."
    if seen is not None:
        return seen, "Seen in the graph's first layers."
    if first != last:
        return ("NCHW" if first else "NHWC"), "Found by the input's shape."
    if shape[1] is None and shape[3] is None:
        return "NCHW", "The input's shape allows both orders: channels are assumed to come first."
    if not (first or last):
        raise InvalidModel("The model's input must have 1 or 3 channels, as its second or its last axis.")
    return "NCHW", "The input's shape allows both orders: channels are assumed to come first."


def _check_sides(sides: list[int | None]) -> None:
    if any(side is not None and not 1 <= side <= MAX_SIDE for side in sides):
        raise InvalidModel(f"The model's input must have 1 to {MAX_SIDE} pixels a side.")
