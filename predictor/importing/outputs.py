"""Cut what follows the class scores of a graph, and read the labels from there. Uses onnx.

Tools let a graph end in the name of the best class, in a map from names to scores, in the best few classes,
or in quantised numbers. The scores that these were made of are the output that is served.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import helper

from predictor.discovery.nodes import ONNX, RUNTIME, STEPS, Nodes, attribute, nodes_of, read_inside
from predictor.importing import class_names
from predictor.importing.class_names import ML
from predictor.importing.inputs import Wanted
from predictor.model.strict_text import shown

_FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
# They choose from the scores, or round them.
_CHOOSING = {"ArgMax", "TopK", "QuantizeLinear", "ZipMap", "Hardmax"}
# They keep what is known of the classes, and where it came from.
_PASSING = {
    *("Identity", "Cast", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "SequenceConstruct"),
    *("Optional", "LabelEncoder", "OneHot"),
}
_ACTIVATIONS = {"Softmax", "Sigmoid", "HardSigmoid", "LogSoftmax", "BiasSoftmax"}
# They decide by a threshold; what they make tells less than the scores.
_DECIDING = {"Greater", "GreaterOrEqual", "Round"}
# They hold a tensor as it is, in a form that is not served.
_WRAPPING = {"SequenceConstruct", "Optional"}
_PERCENT = 100.0
# Classifiers of scikit-learn, XGBoost and others: first the class, then the scores.
_CLASSIFIERS = {"TreeEnsembleClassifier", "LinearClassifier", "SVMClassifier"}


@dataclass(frozen=True)
class Scores:
    """A tensor of scores behind an output, and the names of the classes, as far as they were seen."""

    name: str
    labels: tuple[str, ...] = ()


def cut(model: Any, wanted: Wanted) -> tuple[str, ...]:
    """Let a graph end in its class scores; what was done, in sentences.

    Nothing changes where every output may hold scores, or where the scores cannot be found.

    Args:
        model: an `onnx.ModelProto`.
        wanted: what was declared of it.
    """
    graph, nodes = model.graph, nodes_of(model.graph)
    behind, kept = _known(nodes, graph.output)
    kept = _distinct(nodes, kept, wanted.output)
    if len(kept) == len(graph.output):
        return ()
    scores = _chosen(nodes, kept, _fullest(graph.output, behind), wanted.output)
    if not scores:
        return ()
    dropped = [one.name for one in graph.output if one.name not in scores]
    _replace_outputs(graph, scores)
    sentences = [
        _dropped(dropped, scores, cut=any(name not in {one.name for one in kept} for name in scores))
    ]
    named = [*(one.labels for one in behind.values()), _names_of(nodes, scores)]
    found = next(filter(None, named), ())
    return (*sentences, *class_names.keep(model, found, used=not wanted.labels))


def _known(nodes: Nodes, outputs: Iterable[Any]) -> tuple[dict[str, Scores], list[Any]]:
    """The scores behind outputs that hold none, and the outputs that may hold scores themselves."""
    behind = _all_behind(nodes, outputs, _selection)
    kept = [one for one in outputs if may_hold_scores(one) and one.name not in behind]
    decided = {} if behind else _all_behind(nodes, outputs, _decision)
    # Beside scores a decision may be about something else.
    if decided and all(one.name in decided for one in kept):
        return decided, []
    return behind, kept


def _distinct(nodes: Nodes, outputs: list[Any], wanted: str | None) -> list[Any]:
    """Outputs of which none is the copy of another; of copies the one that is wanted, or the first."""
    found = {nodes.source(one.name): one for one in reversed(outputs)}
    found |= {nodes.source(one.name): one for one in outputs if one.name == wanted}
    return [one for one in outputs if found[nodes.source(one.name)] is one]


def _fullest(outputs: Iterable[Any], behind: dict[str, Scores]) -> list[Scores]:
    """The scores behind maps, which name each class; without maps, those behind all outputs."""
    maps = [one.name for one in outputs if one.type.WhichOneof("value") == "sequence_type"]
    return [behind[name] for name in maps if name in behind] or list(behind.values())


def _chosen(nodes: Nodes, kept: list[Any], behind: list[Scores], wanted: str | None) -> list[str]:
    """The names of the outputs that are to be: those that are there, or the scores behind the others."""
    found = list({nodes.source(one.name): one.name for one in behind}.values())
    names = [one.name for one in kept]
    if len(found) != 1 or wanted in names:
        return names or found
    # Confidences are as good as the logits that they are made of, and so is a score for each class of a
    # classifier whose own scores tell two of them apart each; anything else beside them is no answer.
    classes = class_names.count(nodes.writers[found[0]]) if found[0] in nodes.writers else 0
    of_scores = [one.name for one in kept if found[0] in _sources(nodes, one.name) or _has(one, classes)]
    return of_scores or found


def _has(output: Any, classes: int) -> bool:
    """Whether an output declares a score for each of so many classes."""
    shape = output.type.tensor_type.shape.dim
    return len(shape) == 2 and classes == shape[1].dim_value != 0


def _sources(nodes: Nodes, name: str) -> Iterator[str]:
    """A tensor and those that it has the values of, or confidences for."""
    for _ in range(STEPS):
        yield name
        node = nodes.writers.get(name)
        if node is None or not node.input or node.op_type not in _PASSING | _ACTIVATIONS:
            return
        name = str(node.input[0])


def may_hold_scores(output: Any) -> bool:
    """Whether an output has a type that scores may have."""
    kind = output.type.WhichOneof("value")
    # Without a type, only the runtime knows it.
    return kind is None or (kind == "tensor_type" and output.type.tensor_type.elem_type in {*_FLOATS, 0})


def _all_behind(
    nodes: Nodes, outputs: Iterable[Any], made_of: Callable[[Nodes, Any], str | None]
) -> dict[str, Scores]:
    pairs = ((one.name, _behind(nodes, one.name, made_of)) for one in outputs)
    return {name: found for name, found in pairs if found is not None}


def _behind(nodes: Nodes, name: str, made_of: Callable[[Nodes, Any], str | None]) -> Scores | None:
    """The scores that an output was made of by such a node; None if nothing shows any."""
    names: tuple[str, ...] = ()
    for _ in range(STEPS):
        node = nodes.writers.get(name)
        if node is None or node.domain not in (*ONNX, RUNTIME, ML) or not node.input:
            return None
        names = names or class_names.names(nodes, node)
        if node.op_type in _CLASSIFIERS:
            made = str(node.output[1]) if len(node.output) == 2 else name
            return Scores(made, names) if made not in ("", name) else None
        if (scores := made_of(nodes, node)) is not None:
            return Scores(scores, names or _names_of(nodes, [scores]))
        if (following := _next(nodes, node)) is None:
            return None
        if made_of is _decision and node.op_type in _ACTIVATIONS:
            return None
        name = following
    return None


def _selection(_nodes: Nodes, node: Any) -> str | None:
    """The scores that a node selects from."""
    return str(node.input[0]) if node.op_type in _CHOOSING else None


def _decision(nodes: Nodes, node: Any) -> str | None:
    """The scores that a node decides by, wraps, or makes percentages of."""
    first, *others = map(str, node.input)
    alone = node.op_type == "Round" or (node.op_type in _WRAPPING and not others)
    by_constant = node.op_type in _DECIDING and len(others) == 1 and others[0] in nodes.tensors
    if alone or by_constant or (node.op_type == "Cast" and _is_half(node)):
        return first
    if node.op_type != "Mul" or len(others) != 1:
        return None
    for share, by in ((first, others[0]), (others[0], first)):
        constant, writer = nodes.constant(by), nodes.writers.get(share)
        if constant is not None and writer is not None and writer.op_type in _ACTIVATIONS:
            return share if constant.size == 1 and constant.item() == _PERCENT else None
    return None


def _is_half(cast: Any) -> bool:
    """Whether a cast makes the half of a float32 that is not served."""
    return (to := attribute(cast, "to")) is not None and bool(to.i == onnx.TensorProto.BFLOAT16)


def _next(nodes: Nodes, node: Any) -> str | None:
    """The input of a node that says what its output is chosen from."""
    if node.op_type in _PASSING | _ACTIVATIONS:
        return str(node.input[0])
    looked_up = node.op_type in ("ArrayFeatureExtractor", "Gather") and len(node.input) == 2
    return str(node.input[1]) if looked_up and node.input[0] in nodes.tensors else None


def _names_of(nodes: Nodes, scores: Iterable[str]) -> tuple[str, ...]:
    """The names that a classifier has, of which the scores are an output."""
    for name in scores:
        for source in _sources(nodes, name):
            node = nodes.writers.get(source)
            if node is not None and node.op_type in _CLASSIFIERS:
                return class_names.names(nodes, node)
    return ()


def _replace_outputs(graph: Any, scores: list[str]) -> None:
    """Let a graph have these outputs, and drop the nodes that are not needed for them."""
    known = {one.name: one for one in (*graph.value_info, *graph.output)}
    outputs = [known.get(name) or _described(graph, name) for name in scores]
    copies = [onnx.ValueInfoProto.FromString(one.SerializeToString()) for one in outputs]
    del graph.output[:]
    graph.output.extend(copies)
    _prune(graph)


def _prune(graph: Any) -> None:
    """Drop the nodes, constants and descriptions of tensors that no output of a graph needs."""
    needed = {one.name for one in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input) | set(read_inside(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))
    for field in (graph.initializer, graph.value_info):
        staying = [one for one in field if one.name in needed]
        if len(staying) < len(field):
            del field[:]
            field.extend(staying)


def _described(graph: Any, name: str) -> Any:
    """A tensor as an output; the runtime may not find the shape of what a classifier gives or a map is of."""
    for node in graph.node:
        of_map = node.op_type == "ZipMap" and name in node.input
        if of_map or (name in node.output and node.op_type in _CLASSIFIERS):
            shape = [None, class_names.count(node) or None]
            return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    return onnx.ValueInfoProto(name=name)


def _dropped(dropped: list[str], scores: list[str], *, cut: bool) -> str:
    several = len(dropped) > 1
    what = f"The output{'s' if several else ''} {', '.join(map(shown, dropped[:5]))}"
    made = f" {'are' if several else 'is'} made of the class scores {', '.join(map(shown, scores))}"
    if cut:
        return f"{what}{made}, which {'are' if len(scores) > 1 else 'is'} served instead."
    return f"{what} {'are' if several else 'is'} not used and removed."
