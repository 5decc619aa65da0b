"""The graph that is served in place of an uploaded one that has to be adapted. Uses onnx.

The steps stand in `adapt`. The last one, which gives the scores an axis for the images of a batch where they
have none, is here; `inputs` and `outputs` have the others.
"""

from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from predictor.discovery.nodes import ONNX, STEPS, Nodes, attribute, nodes_of, read_inside
from predictor.importing.inputs import Wanted, fit
from predictor.importing.outputs import cut, may_hold_scores
from predictor.model.strict_text import shown

NEWEST_IR = 13
"""The newest version of ONNX's file format that the runtime reads."""

_BY_NUMBER = {"Identity", "Cast", "Dropout", "Relu", "Sigmoid", "HardSigmoid", "Log", "Neg", "Clip"}
_BY_CLASS = {"Softmax", "LogSoftmax"}
# Layers that take one row of numbers for each image.
_DENSE = {"MatMul", "Gemm"}
_ONE = "The scores have no batch axis: one image runs at a time."
_KEPT = (
    "The scores keep their axes of length 1: of one image, a Squeeze without axes removes that of the batch."
)


def adapt(model: Any, wanted: Wanted) -> tuple[str, ...]:
    """Change a model so that it takes a batch of images and answers with scores, where it does not already.

    The scores stay the same bit by bit.

    Args:
        model: an `onnx.ModelProto`.
        wanted: what was declared of it.

    Returns:
        What was changed, a sentence each; none if nothing had to be.
    """
    return (
        *_lower(model),
        *cut(model, wanted),
        *drop_unread_inputs(model),
        *fit(model, wanted),
        *give_batch_axis(model),
    )


def _lower(model: Any) -> tuple[str, ...]:
    """Lower a version of the format that is only a number too high: operators have versions of their own."""
    if model.ir_version <= NEWEST_IR:
        return ()
    version, model.ir_version = model.ir_version, NEWEST_IR
    return (f"The IR version {version} is lowered to {NEWEST_IR}, which the runtime reads.",)


def drop_unread_inputs(model: Any) -> tuple[str, ...]:
    """Drop the inputs that nothing reads, if another one is read; what was done, in a sentence."""
    graph = model.graph
    constants = {one.name for one in graph.initializer}
    read = {one.name for one in graph.output}
    for node in graph.node:
        read |= {*node.input, *read_inside(node)}
    unread = [one for one in graph.input if one.name not in read | constants]
    if not unread or not any(one.name in read - constants for one in graph.input):
        return ()
    for one in unread:
        graph.input.remove(one)
    names, several = ", ".join(shown(one.name) for one in unread[:5]), len(unread) > 1
    return (f"The input{'s' if several else ''} {names} {'are' if several else 'is'} not used and removed.",)


def give_batch_axis(model: Any) -> tuple[str, ...]:
    """Give the scores a batch axis; what was done, in sentences."""
    return (*_keep(model), *_add(model))


def _keep(model: Any) -> tuple[str, ...]:
    """Take away each `Squeeze` without axes before the scores: it removes the batch axis of one image."""
    graph, nodes = model.graph, nodes_of(model.graph)
    inside = {name for node in graph.node for name in read_inside(node)}
    outputs = {one.name: one for one in graph.output}
    done = [node for node in graph.node if _is_open(node) and _replace(nodes, node, outputs, inside)]
    return (_KEPT,) if done else ()


def _is_open(node: Any) -> bool:
    """Whether a node removes whichever axes have the length 1."""
    given = attribute(node, "axes") is not None or any(node.input[1:])
    return node.op_type == "Squeeze" and node.domain in ONNX and not given and len(node.output) == 1


def _replace(nodes: Nodes, squeeze: Any, outputs: dict[str, Any], inside: set[str]) -> bool:
    """Let a squeeze hand on all axes, if nothing but scores is made of it; whether that was done."""
    following = _following(nodes, squeeze)
    if following is None:
        return False
    ends = [outputs[name] for node in (squeeze, *following) for name in node.output if name in outputs]
    by_class = [node for node in following if node.op_type in _BY_CLASS]
    dense = any(node.op_type in _DENSE for node in following)
    known = dense or all(map(_has_shape, ends))
    if (
        not ends
        or inside.intersection(name for node in (squeeze, *following) for name in node.output)
        or not all(may_hold_scores(one) and len(_lengths(one)) <= 2 for one in ends)
        or (by_class and not known)
    ):
        return False
    # Scores of an unknown shape may have any axes. A softmax needs to know which one has the classes.
    squeeze.op_type = "Flatten" if known else "Identity"
    del squeeze.input[1:]
    for node in by_class:
        kept = [one for one in node.attribute if one.name != "axis"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("axis", 1)])
    for one in filter(_has_shape, ends):
        one.type.tensor_type.ClearField("shape")
    return True


def _following(nodes: Nodes, node: Any) -> list[Any] | None:
    """The nodes that read what a node makes, and what those make; None if anything but scores is made."""
    found, pending = list[Any](), list(node.output)
    while pending:
        readers = nodes.readers.get(pending.pop(), [])
        found += readers
        pending += [name for one in readers for name in one.output]
        if len(found) > STEPS or not all(_keeps_scores(nodes, one) for one in readers):
            return None
    return found


def _keeps_scores(nodes: Nodes, node: Any) -> bool:
    """Whether a node changes scores one by one, or makes them of features with constant weights."""
    computed = [place for place, name in enumerate(node.input) if name not in nodes.tensors]
    layer = (node.op_type in _DENSE and computed == [0]) or (node.op_type == "Add" and len(computed) == 1)
    return (layer or node.op_type in _BY_NUMBER | _BY_CLASS) and node.domain in ONNX


def _add(model: Any) -> tuple[str, ...]:
    """Give scores of one image without a batch axis that axis."""
    graph = model.graph
    constants = {one.name for one in graph.initializer}
    images = [one for one in graph.input if one.name not in constants]
    if len(images) != 1 or not _lengths(images[0]):
        return ()
    batch, *_ = _lengths(images[0])
    inside = {name for node in graph.node for name in read_inside(node)}
    flat = [one for one in graph.output if may_hold_scores(one) and _is_flat(one, batch)]
    if inside.intersection(one.name for one in flat):
        return ()
    if not flat or batch not in (1, None) or (batch is None and len(flat) < len(graph.output)):
        return ()
    images[0].type.tensor_type.shape.dim[0].dim_value = 1
    for output in flat:
        if _lengths(output) != [1]:
            _reshape(graph, output, [1, None] if batch is None else [1, *(_lengths(output) or [1])])
    return (_ONE,)


def _is_flat(output: Any, batch: int | None) -> bool:
    """Whether an output has the scores of one image without an axis for the batch."""
    lengths = _lengths(output)
    if not lengths:
        return _has_shape(output)
    return len(lengths) == 1 and lengths != [batch]


def _reshape(graph: Any, output: Any, shape: list[int | None]) -> None:
    """Give an output another shape under its name; what it was made of gets a name of its own."""
    kind, name = output.type.tensor_type.elem_type, output.name
    row, axes = f"{name}_row", numpy_helper.from_array(np.array([1, -1], np.int64), f"{name}_shape")
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [row if one == name else one for one in names]
    for described in graph.value_info:
        described.name = row if described.name == name else described.name
    graph.initializer.append(axes)
    graph.node.append(helper.make_node("Reshape", [row, axes.name], [name], name=f"{name}_batch"))
    output.CopyFrom(helper.make_tensor_value_info(name, kind, shape))


def _has_shape(value: Any) -> bool:
    return bool(value.type.tensor_type.HasField("shape"))


def _lengths(value: Any) -> list[int | None]:
    """The lengths of a tensor's axes; None where one is free."""
    return [dim.dim_value or None for dim in value.type.tensor_type.shape.dim]
