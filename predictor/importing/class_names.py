"""The names of the classes that the nodes of a graph hold. Uses onnx."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import onnx
from onnx import numpy_helper

from predictor.discovery.nodes import Nodes, attribute
from predictor.model import labels

ML = "ai.onnx.ml"
"""The domain of classifiers and of what turns classes into names."""
ATTRIBUTES = (
    *("classlabels_strings", "classlabels_int64s", "classlabels_ints", "classes_strings"),
    *("values_strings", "values_tensor"),
)
"""Where the nodes of that domain hold the names."""
_MAX_LABELS = 1_000_000


def names(nodes: Nodes, node: Any) -> tuple[str, ...]:
    """The names of the classes that a node holds, in order of their index; none if it holds none."""
    if node.op_type in ("ArrayFeatureExtractor", "Gather"):
        return _constant(nodes.tensors.get(node.input[0]))
    if node.domain != ML:
        return ()
    for found in (attribute(node, key) for key in ATTRIBUTES):
        if found is not None and (found.strings or found.ints or found.HasField("t")):
            return _in_order(node, _texts(found.strings) or _constant(found.t) or _numbers(found.ints))
    return ()


def count(node: Any) -> int:
    """How many classes a classifier of that domain has; 0 if it does not say."""
    attributes = [attribute(node, key) for key in ATTRIBUTES]
    return max((len(one.strings) or len(one.ints) for one in attributes if one is not None), default=0)


def keep(model: Any, found: Sequence[str], *, used: bool) -> list[str]:
    """Keep names as metadata, unless the file has labels of this service there; what was done, in sentences.

    Args:
        model: an `onnx.ModelProto`.
        found: the names.
        used: whether they are the labels, since none came beside the model.
    """
    if not 1 < len(found) <= _MAX_LABELS or any(one.key == labels.KEY for one in model.metadata_props):
        return []
    model.metadata_props.add(key=labels.GRAPH, value=json.dumps(list(found)))
    return ["The graph has names for its classes, which are the labels if they fit."] if used else []


def _in_order(node: Any, found: tuple[str, ...]) -> tuple[str, ...]:
    """Names by the numbers of their classes, which an encoder of labels may have in another order."""
    keys = attribute(node, "keys_int64s") or attribute(node, "keys_tensor")
    if keys is None:
        return found
    places = [*keys.ints, *_whole(keys.t)]
    if sorted(places) != list(range(len(found))):
        return ()
    return tuple(name for _, name in sorted(zip(places, found, strict=True)))


def _numbers(numbers: Iterable[int]) -> tuple[str, ...]:
    """Numbers as names, unless they are those that classes have anyway."""
    found = tuple(numbers)
    return () if found == tuple(range(len(found))) else tuple(map(str, found))


def _constant(tensor: Any) -> tuple[str, ...]:
    if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return ()
    if tensor.data_type == onnx.TensorProto.STRING:
        return _texts(tensor.string_data)
    return _numbers(_whole(tensor))


def _whole(tensor: Any) -> tuple[int, ...]:
    """The whole numbers of a tensor; none if it has others."""
    if tensor.data_type != onnx.TensorProto.INT64:
        return ()
    try:
        return tuple(numpy_helper.to_array(tensor).ravel().tolist())
    except (ValueError, TypeError):
        return ()


def _texts(values: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(value.decode("utf-8", errors="replace") for value in values)
