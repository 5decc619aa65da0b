"""Which input of a graph takes the image, in which form, and which output holds the class scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from predictor.errors import InvalidModel
from predictor.image.preprocess import DType, Layout
from predictor.image.validators import MAX_SIDE
from predictor.model.spec import Graph, Structure, Tensor, listed
from predictor.model.strict_text import shown

_DEPTHS = (1, 3, 4)
_MAX_NAMES = 2
_FLOATS = ("float32", "float16", "float64")
_BYTES = ("int8", "uint8")


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


def class_scores(
    graph: Graph, structure: Structure, named: str | None, labels: int | None
) -> tuple[Tensor, str]:
    """The output with one score for each class, and why it is that one.

    Args:
        graph: what the file says of itself.
        structure: what its nodes show.
        named: the output's name, if somebody said it.
        labels: how many labels there are, if that is known.

    Raises:
        InvalidModel: no output can hold the class scores, or several can.
    """
    if named is not None:
        return _named(graph, structure, named), "The preprocessing names this output."
    fitting = heads(graph, structure)
    if not fitting:
        raise InvalidModel(_none(graph, structure))
    if len(fitting) == 1:
        only = (
            "The only output." if len(graph.outputs) == 1 else "The only output that can hold class scores."
        )
        return fitting[0], only
    counted = [tensor for tensor in fitting if labels is not None and tensor.columns == labels]
    if labels in (1, 2) and not counted:
        # One score tells two classes apart, and one label is the name of the second.
        counted = [tensor for tensor in fitting if tensor.columns == 1]
    if len(counted) == 1:
        return counted[0], "The only output that has as many scores as there are labels."
    return _one(counted or fitting, structure)


def heads(graph: Graph, structure: Structure) -> list[Tensor]:
    """The outputs of a graph that may hold class scores."""
    return [tensor for tensor in graph.outputs if _holds_scores(tensor, graph, structure)] or [
        tensor for tensor in graph.outputs if _holds_one(tensor, graph, structure)
    ]


def _named(graph: Graph, structure: Structure, name: str) -> Tensor:
    found = next((tensor for tensor in graph.outputs if tensor.name == name), None)
    if found is None:
        raise InvalidModel(f"output must name one of the model's outputs: {listed(graph.outputs)}.")
    if not (_holds_scores(found, graph, structure) or _holds_one(found, graph, structure)):
        raise InvalidModel(
            _instead(found, graph, structure)
            or "output must name a tensor of two axes, images and class scores."
        )
    return found


def _holds_scores(tensor: Tensor, graph: Graph, structure: Structure) -> bool:
    return tensor.is_flat and tensor.dtype in _FLOATS and _instead(tensor, graph, structure) is None


def _holds_one(tensor: Tensor, graph: Graph, structure: Structure) -> bool:
    """Whether an output holds one score for each image, without an axis of its own."""
    batch = graph.inputs[0].shape[:1] if graph.inputs else ()
    as_long = len(tensor.shape) == 1 and tensor.shape == batch
    return as_long and tensor.dtype in _FLOATS and _instead(tensor, graph, structure) is None


def _none(graph: Graph, structure: Structure) -> str:
    """Why none of the outputs holds the class scores, and what to export instead."""
    for tensor in graph.outputs:
        if (sentence := _instead(tensor, graph, structure)) is not None:
            return sentence
    if not graph.outputs:
        return "The model has no output. Export it with its class scores as output."
    return (
        "None of the model's outputs has two axes, images and class scores: "
        f"{listed(graph.outputs)}. Export a classifier, with its scores as output."
    )


def _instead(tensor: Tensor, graph: Graph, structure: Structure) -> str | None:
    """What an output holds in place of scores, and what to export; None if it may hold scores."""
    made_of = structure.chosen.get(tensor.name)
    if tensor.dtype in _BYTES:
        what = "quantised numbers, not scores"
    elif "int" in tensor.dtype:
        what = "class numbers, not scores"
    elif tensor.dtype == "bool":
        what = "decisions, not scores"
    elif made_of is not None or _is_beside_numbers(tensor, graph, structure):
        what = "a selection from the scores, not all of them"
    else:
        return None
    return (
        f"The output {shown(tensor.name)} ({tensor.dtype}) holds {what}. "
        f"Export the model with its scores{_scores(made_of, graph)}."
    )


def _scores(made_of: str | None, graph: Graph) -> str:
    """The rest of a sentence about the scores that are to be exported, and a command for it."""
    if made_of is None:
        return " as output"
    names = [tensor.name for tensor in graph.inputs] + [made_of]
    cut = f'onnx.utils.extract_model("m.onnx", "scores.onnx", ["{names[0]}"], ["{made_of}"])'
    way = (
        f", or cut it there: {cut}" if len(names) == 2 and all(shown(name) == name for name in names) else ""
    )
    return f", the tensor {shown(made_of)}, as output{way}"


def _is_beside_numbers(tensor: Tensor, graph: Graph, structure: Structure) -> bool:
    """Whether an output of the same shape holds the numbers of the classes that this one has the best of."""
    if tensor.name in structure.last or tensor.shape[1:2] == (None,):
        return False
    return any(other.dtype in ("int64", "int32") and other.shape == tensor.shape for other in graph.outputs)


def _one(fitting: list[Tensor], structure: Structure) -> tuple[Tensor, str]:
    """Of several, the one that a softmax or sigmoid makes, or that bears the usual name."""
    active = [tensor for tensor in fitting if structure.last.get(tensor.name) in ("softmax", "sigmoid")]
    if len(active) == 1:
        return active[0], "The only output that ends in a softmax or sigmoid."
    logits = [tensor for tensor in fitting if tensor.name.lower() in ("logits", "probabilities", "scores")]
    if len(logits) == 1:
        return logits[0], "Found by its name."
    sentence = f"Several outputs could hold the class scores: {listed(fitting)}."
    names = [tensor.name for tensor in fitting if shown(tensor.name) == tensor.name]
    such = f', such as {{"output": "{names[0]}"}}' if names else ""
    apart = len({tensor.columns for tensor in fitting}) == len(fitting)
    more = ", or upload labels, whose number tells which one it is" if apart else ""
    raise InvalidModel(f"{sentence} Name one of them in the preprocessing{such}{more}.")
