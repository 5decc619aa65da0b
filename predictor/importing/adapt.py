"""The graph that is served in place of an uploaded one that has to be adapted. Uses onnx."""

from typing import Any

from predictor.discovery.nodes import read_inside
from predictor.importing import batch_axis, inputs, outputs
from predictor.importing.inputs import Wanted
from predictor.model.strict_json import shown

NEWEST_IR = 13
"""The newest version of ONNX's file format that the runtime reads."""


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
        *outputs.cut(model, wanted),
        *drop_unread_inputs(model),
        *inputs.fit(model, wanted),
        *batch_axis.give(model),
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
