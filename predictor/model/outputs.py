"""Which of a graph's outputs holds the class scores."""

from predictor.errors import InvalidModel
from predictor.model.spec import Graph, Structure, Tensor

_FLOATS = ("float32", "float16", "float64")


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
        InvalidModel: there is none, or there are several that it could be.
    """
    if named is not None:
        return _named(graph, named), "Named by the preprocessing."
    fitting = [tensor for tensor in graph.outputs if _holds_scores(tensor)]
    if len(graph.outputs) == 1 and _is_flat(graph.outputs[0]):
        return graph.outputs[0], "The only output."
    if len(graph.outputs) == 1:
        raise InvalidModel("The model must have one output of two axes, the class scores of a batch.")
    if not fitting:
        raise InvalidModel("None of the model's outputs has two axes, the pictures and their class scores.")
    if len(fitting) == 1:
        return fitting[0], "The only output that can hold class scores."
    counted = [tensor for tensor in fitting if labels is not None and tensor.shape[1] == labels]
    if len(counted) == 1:
        return counted[0], "The only output that has as many scores as there are labels."
    return _one(counted or fitting, structure)


def _named(graph: Graph, name: str) -> Tensor:
    found = next((tensor for tensor in graph.outputs if tensor.name == name), None)
    if found is None:
        raise InvalidModel("output names none of the model's outputs.")
    if not _holds_scores(found):
        raise InvalidModel("output names an output that is no tensor of two axes, pictures and class scores.")
    return found


def _holds_scores(tensor: Tensor) -> bool:
    return _is_flat(tensor) and tensor.dtype in _FLOATS


def _is_flat(tensor: Tensor) -> bool:
    return len(tensor.shape) == 2 or (len(tensor.shape) == 4 and tensor.shape[2:] == (1, 1))


def _one(fitting: list[Tensor], structure: Structure) -> tuple[Tensor, str]:
    """Of several, the one that a softmax or sigmoid makes, or that bears the usual name."""
    active = [tensor for tensor in fitting if structure.last.get(tensor.name) in ("softmax", "sigmoid")]
    if len(active) == 1:
        return active[0], "The only output that ends in a softmax or sigmoid."
    logits = [tensor for tensor in fitting if tensor.name.lower() in ("logits", "probabilities", "scores")]
    if len(logits) == 1:
        return logits[0], "Found by its name."
    raise InvalidModel(
        "Several outputs could hold the class scores. Name one of them as output in the preprocessing, "
        "or send labels, whose number tells them apart."
    )
