"""What a loaded graph takes and gives, and by which of the texts beside the model it is described."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from predictor.archives import shown
from predictor.checking.report import Limits, Reason, Refused, Request
from predictor.discovery.discover import discover
from predictor.errors import InvalidModel
from predictor.model import strict_text
from predictor.model.labels import NONE
from predictor.model.spec import Graph, ModelSpec, Structure, Tensor, lengths, listed
from predictor.model.strict_text import decoded

_TAKEN = "{} is taken for the labels, because nothing else names the classes and it has as many names."

_KINDS = {"map(": "maps", "string": "strings", "optional(": "an optional value", "seq(": "a sequence"}
_FOUR = "four axes: images, channels, height and width, or images, height, width and channels"


@dataclass(frozen=True)
class Described:
    """What a model is, and the names of the files beside it that were passed over."""

    spec: ModelSpec
    unused: tuple[str, ...]


def described(graph: Graph, structure: Structure, request: Request) -> Described:
    """Describe a model by what came beside it; of what was only found there, by what fits.

    Raises:
        Refused: it cannot be described; the sentence says why.
    """
    texts = {
        "labels": text(request.labels, "labels", request.limits),
        "preprocessing": text(request.preprocessing, "preprocessing", request.limits),
    }
    if request.guessed and (own := _by_itself(graph, texts["preprocessing"], structure)) is not None:
        return Described(own, ("labels",))
    failures = dict[frozenset[str], str]()
    for without in _attempts(request):
        used = {what: None if what in without else found for what, found in texts.items()}
        try:
            spec = discover(graph, used["labels"], used["preprocessing"], structure)
            _likely(spec, without, request)
        except InvalidModel as error:
            failures[without] = error.detail
        else:
            warnings = (*spec.warnings, *_warnings(without, failures, request))
            return Described(replace(spec, warnings=warnings), tuple(sorted(without)))
    raise Refused("unclear", failures[frozenset()])


def _by_itself(graph: Graph, preprocessing: str | None, structure: Structure) -> ModelSpec | None:
    """The model without the labels that were guessed; None if it does not name its classes itself."""
    try:
        spec = discover(graph, None, preprocessing, structure)
    except InvalidModel:
        return None
    return spec if spec.reasons["labels"] != NONE else None


def _likely(spec: ModelSpec, without: frozenset[str], request: Request) -> None:
    """Refuse any text of two lines as the names of two classes that one score separates."""
    text = (
        request.guessed and "labels" not in without and not request.unsure["labels"].lower().endswith(".json")
    )
    if text and spec.binary:
        raise InvalidModel("The model gives one score, which does not show whether these are its classes.")


def _attempts(request: Request) -> list[frozenset[str]]:
    """What to leave out, one after the other: nothing, one file, both."""
    unsure = sorted(request.unsure, reverse=True)
    counts = range(len(unsure) + 1)
    return [frozenset(some) for count in counts for some in itertools.combinations(unsure, count)]


def _warnings(
    without: frozenset[str], failures: Mapping[frozenset[str], str], request: Request
) -> Iterator[str]:
    for what in sorted(without):
        yield f"{shown(request.unsure[what])} is passed over. {failures[without - {what}]}"
    if request.guessed and "labels" not in without:
        yield _TAKEN.format(shown(request.unsure["labels"]))


def text(name: str | None, what: Reason, limits: Limits) -> str | None:
    """The text of a file that came with the model; None if it did not come.

    Raises:
        Refused: it is too large, or no text.
    """
    if name is None:
        return None
    path = Path(name)
    if path.stat().st_size > limits.companion_bytes:
        raise Refused(what, f"The {what} file is larger than {limits.companion_bytes / 1e6:g} MB.")
    try:
        return decoded(path.read_bytes())
    except ValueError as error:
        raise Refused(what, f"The {what} file cannot be read. {error}") from error


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
    name = strict_text.shown(tensor.name)
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
    name = strict_text.shown(tensor.name)
    sentence = f"The model must give a number for each class; the output {name} holds {_kind(tensor)}."
    if "map(" in tensor.dtype:
        return f"{sentence} Convert it again with the option zipmap=False."
    return f"{sentence} Export the model with its scores as a tensor of float32."


def _kind(tensor: Tensor) -> str:
    kind = next((kind for word, kind in _KINDS.items() if word in tensor.dtype), None)
    return kind or tensor.dtype.removeprefix("tensor(").removesuffix(")")
