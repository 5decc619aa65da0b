"""The inputs and outputs of a graph, judged by their types and axes before anything is run."""

from predictor.checking.report import Refused
from predictor.discovery.signature import lengths, listed
from predictor.model.spec import Graph, Tensor
from predictor.model.strict_json import shown

_KINDS = {"map(": "maps", "string": "strings", "optional(": "an optional value", "seq(": "a sequence"}
_FOUR = "four axes: images, channels, height and width, or images, height, width and channels"


def check_tensors(graph: Graph) -> None:
    """Refuse a graph that has no input of four axes, or an output that holds no numbers.

    Raises:
        Refused: the sentence names the tensor and says what to do.
    """
    if not any(len(tensor.shape) == 4 for tensor in graph.inputs):
        raise Refused("image_input", _no_image(graph))
    for tensor in graph.outputs:
        if "(" in tensor.dtype:
            raise Refused("class_scores", _no_numbers(tensor))


def _no_image(graph: Graph) -> str:
    if not graph.inputs:
        return "The model has no image input, nor any other. Export it with the image as its input."
    if len(graph.inputs) > 1:
        return (
            f"The model has no image input among its inputs {listed(graph.inputs)}. Export it with one input "
            f"of {_FOUR}."
        )
    (tensor,) = graph.inputs
    name = shown(tensor.name)
    if "(" in tensor.dtype:
        return (
            f"The model has no image input: its input {name} takes {_kind(tensor)}. Export it with a tensor "
            f"of {_FOUR}."
        )
    if not tensor.shape:
        return (
            f"The model has no image input of known axes: its input {name} has no shape. Give the size of "
            'its images in the preprocessing, such as {"size": 224}, or export it with its shape.'
        )
    sentence = f"The model has no image input: its input {name} has the shape {lengths(tensor)}."
    if len(tensor.shape) <= 2:
        return (
            f"{sentence} If these are the pixels of an image, give its height and width in the "
            'preprocessing, such as {"size": [28, 20]}.'
        )
    return f"{sentence} Export it with {_FOUR}."


def _no_numbers(tensor: Tensor) -> str:
    sentence = (
        f"The model must give a number for each class; the output {shown(tensor.name)} holds {_kind(tensor)}."
    )
    if "map(" in tensor.dtype:
        return f"{sentence} Convert it again with the option zipmap=False."
    return f"{sentence} Export the model with its scores as a tensor of float32."


def _kind(tensor: Tensor) -> str:
    kind = next((kind for word, kind in _KINDS.items() if word in tensor.dtype), None)
    return kind or tensor.dtype.removeprefix("tensor(").removesuffix(")")
