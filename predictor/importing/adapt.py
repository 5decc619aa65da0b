"""The graph that is served in place of an uploaded one that has to be adapted. Uses onnx."""

from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from predictor.importing import inputs, outputs
from predictor.importing.inputs import Wanted
from predictor.importing.outputs import may_hold_scores
from predictor.importing.pruning import drop_unread_inputs

NEWEST_IR = 13
"""The newest version of ONNX's file format that the runtime reads."""


def adapt(model: Any, wanted: Wanted) -> tuple[str, ...]:
    """Change a model so that it takes a batch of images and answers with scores, where it does not already.

    The scores stay the same bit by bit.

    Args:
        model: an `onnx.ModelProto`.
        wanted: what was declared of its images.

    Returns:
        What was changed, a sentence each; none if nothing had to be.
    """
    return (
        *_lower(model),
        *outputs.cut(model),
        *drop_unread_inputs(model),
        *inputs.fit(model, wanted),
        *_add_batch(model),
    )


def _lower(model: Any) -> tuple[str, ...]:
    """Lower a version of the format that is only a number too high: operators have versions of their own."""
    if model.ir_version <= NEWEST_IR:
        return ()
    version, model.ir_version = model.ir_version, NEWEST_IR
    return (f"The IR version {version} is lowered to {NEWEST_IR}, which the runtime reads.",)


def _add_batch(model: Any) -> tuple[str, ...]:
    """Give scores of one image without a batch axis that axis; what was done, in a sentence."""
    graph = model.graph
    constants = {one.name for one in graph.initializer}
    (batch, *_), *others = ([*_lengths(one), None] for one in graph.input if one.name not in constants)
    flat = [one for one in graph.output if len(_lengths(one)) == 1 and _lengths(one) != [1]]
    if others or batch != 1 or not flat or not all(map(may_hold_scores, flat)):
        return ()
    for output in flat:
        shape, kind = [1, *_lengths(output)], output.type.tensor_type.elem_type
        name = f"{output.name}_batch"
        axes = numpy_helper.from_array(np.array([1, -1], np.int64), f"{name}_shape")
        graph.initializer.append(axes)
        graph.node.append(helper.make_node("Reshape", [output.name, axes.name], [name], name=name))
        output.CopyFrom(helper.make_tensor_value_info(name, kind, shape))
    return ("The scores have no batch axis: one image runs at a time.",)


def _lengths(value: Any) -> list[int | None]:
    """The lengths of a tensor's axes; None where one is free."""
    return [dim.dim_value or None for dim in value.type.tensor_type.shape.dim]
