"""Cut what follows the class scores of a graph, and read the labels from there. Uses onnx.

Tools let a graph end in the name of the best class, in a map from names to scores, in the best few classes,
or in quantised numbers. The scores that these were made of are the output that is served.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import helper, numpy_helper

from predictor.discovery.graph_prefix import ONNX, RUNTIME, STEPS, Nodes, attribute, nodes_of
from predictor.importing.pruning import prune
from predictor.model import labels
from predictor.model.strict_json import shown

ML = "ai.onnx.ml"
_FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
# They choose from the scores, or round them.
_CHOOSING = {"ArgMax", "TopK", "QuantizeLinear", "ZipMap", "Hardmax"}
# They keep what is known of the classes, and where it came from.
_PASSING = {
    *("Identity", "Cast", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "SequenceConstruct"),
    *("Optional", "LabelEncoder"),
}
_ACTIVATIONS = {"Softmax", "Sigmoid", "HardSigmoid", "LogSoftmax", "BiasSoftmax"}
# Classifiers of scikit-learn, XGBoost and others: first the class, then the scores.
_CLASSIFIERS = {"TreeEnsembleClassifier", "LinearClassifier", "SVMClassifier"}
_NAMES = ("classlabels_strings", "classlabels_int64s", "classlabels_ints", "values_strings")
_MAX_LABELS = 1_000_000


@dataclass(frozen=True)
class Scores:
    """A tensor of scores behind an output, and the names of the classes, as far as they were seen."""

    name: str
    labels: tuple[str, ...] = ()


def cut(model: Any) -> tuple[str, ...]:
    """Let a graph end in its class scores; what was done, in sentences.

    Nothing changes where every output may hold scores, or where the scores cannot be found.
    """
    graph, nodes = model.graph, nodes_of(model.graph)
    behind = {one.name: found for one in graph.output if (found := _behind(nodes, one.name)) is not None}
    kept = [one for one in graph.output if may_hold_scores(one) and one.name not in behind]
    if len(kept) == len(graph.output):
        return ()
    scores = _chosen(nodes, kept, list(behind.values()))
    if not scores:
        return ()
    dropped = [one.name for one in graph.output if one.name not in scores]
    _replace_outputs(graph, scores)
    sentences = [
        _dropped(dropped, scores, cut=any(name not in {one.name for one in kept} for name in scores))
    ]
    sentences += _labelled(model, list(behind.values()) or [Scores("", _names_of(nodes, scores))])
    return tuple(sentences)


def _chosen(nodes: Nodes, kept: list[Any], behind: list[Scores]) -> list[str]:
    """The names of the outputs that are to be: those that are there, or the scores behind the others."""
    found = list(dict.fromkeys(one.name for one in behind))
    names = [one.name for one in kept]
    if len(found) != 1:
        return names or found
    # Confidences are as good as the logits that they are made of; anything else beside them is no answer.
    of_scores = [name for name in names if found[0] in _sources(nodes, name)]
    return of_scores or found


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


def _behind(nodes: Nodes, name: str) -> Scores | None:
    """The scores that an output was chosen from; None if nothing shows any."""
    names: tuple[str, ...] = ()
    for _ in range(STEPS):
        node = nodes.writers.get(name)
        if node is None or node.domain not in (*ONNX, RUNTIME, ML) or not node.input:
            return None
        names = names or _names(nodes, node)
        if node.op_type in _CLASSIFIERS:
            made = str(node.output[1]) if len(node.output) == 2 else name
            return Scores(made, names) if made not in ("", name) else None
        if node.op_type in _CHOOSING:
            return Scores(str(node.input[0]), names or _names_of(nodes, [str(node.input[0])]))
        if (following := _next(nodes, node)) is None:
            return None
        name = following
    return None


def _next(nodes: Nodes, node: Any) -> str | None:
    """The input of a node that says what its output is chosen from."""
    if node.op_type in _PASSING | _ACTIVATIONS and node.op_type != "DequantizeLinear":
        return str(node.input[0])
    looked_up = node.op_type in ("ArrayFeatureExtractor", "Gather") and len(node.input) == 2
    if looked_up and node.input[0] in nodes.tensors:
        return str(node.input[1])
    return None


def _names(nodes: Nodes, node: Any) -> tuple[str, ...]:
    """The names of the classes that a node holds."""
    if node.op_type in ("ArrayFeatureExtractor", "Gather"):
        return _constant_names(nodes.tensors.get(node.input[0]))
    if node.domain != ML:
        return ()
    for found in (attribute(node, key) for key in _NAMES):
        if found is not None and (found.strings or found.ints):
            return _in_order(node, tuple(map(_text, found.strings)) or _numbers(found.ints))
    return ()


def _in_order(node: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names by the numbers of their classes, which an encoder of labels may have in another order."""
    keys = attribute(node, "keys_int64s")
    if keys is None or sorted(keys.ints) != list(range(len(names))):
        return names if keys is None else ()
    return tuple(name for _, name in sorted(zip(keys.ints, names, strict=True)))


def _numbers(numbers: Iterable[int]) -> tuple[str, ...]:
    """Numbers as names, unless they are those that classes have anyway."""
    names = tuple(numbers)
    return () if names == tuple(range(len(names))) else tuple(map(str, names))


def _names_of(nodes: Nodes, scores: Iterable[str]) -> tuple[str, ...]:
    """The names that a classifier has, of which the scores are an output."""
    for name in scores:
        for source in _sources(nodes, name):
            node = nodes.writers.get(source)
            if node is not None and node.op_type in _CLASSIFIERS:
                return _names(nodes, node)
    return ()


def _constant_names(tensor: Any) -> tuple[str, ...]:
    if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return ()
    if tensor.data_type == onnx.TensorProto.STRING:
        return tuple(map(_text, tensor.string_data))
    try:
        values = numpy_helper.to_array(tensor).ravel() if tensor.data_type == onnx.TensorProto.INT64 else ()
    except (ValueError, TypeError):
        return ()
    return _numbers(values)


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


def _replace_outputs(graph: Any, scores: list[str]) -> None:
    """Let a graph have these outputs, and drop the nodes that are not needed for them."""
    known = {one.name: one for one in (*graph.value_info, *graph.output)}
    outputs = [known.get(name) or _described(graph, name) for name in scores]
    copies = [onnx.ValueInfoProto.FromString(one.SerializeToString()) for one in outputs]
    del graph.output[:]
    graph.output.extend(copies)
    prune(graph)


def _described(graph: Any, name: str) -> Any:
    """A tensor as an output; of what a classifier gives the runtime does not find the shape itself."""
    writers = (node for node in graph.node if name in node.output and node.op_type in _CLASSIFIERS)
    for attributes in ([attribute(node, key) for key in _NAMES] for node in writers):
        count = max((len(one.strings) or len(one.ints) for one in attributes if one is not None), default=0)
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, count or None])
    return onnx.ValueInfoProto(name=name)


def _dropped(dropped: list[str], scores: list[str], *, cut: bool) -> str:
    several = len(dropped) > 1
    what = f"The output{'s' if several else ''} {', '.join(map(shown, dropped[:5]))}"
    made = f" {'are' if several else 'is'} made of the class scores {', '.join(map(shown, scores))}"
    if cut:
        return f"{what}{made}, which {'are' if len(scores) > 1 else 'is'} served instead."
    return f"{what} {'are' if several else 'is'} not used and removed."


def _labelled(model: Any, found: list[Scores]) -> list[str]:
    """Keep the names that were seen as metadata, unless the file has labels there."""
    names = next((one.labels for one in found if one.labels), ())
    if not 1 < len(names) <= _MAX_LABELS or any(one.key == labels.KEY for one in model.metadata_props):
        return []
    model.metadata_props.add(key=labels.KEY, value=json.dumps(names))
    return ["The labels are read from the graph."]
