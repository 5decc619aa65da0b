"""The graph that is served in place of an uploaded one that has to be adapted. Uses onnx."""

from typing import Any

from predictor.importing import batch_axis, inputs, outputs
from predictor.importing.inputs import Wanted
from predictor.importing.pruning import drop_unread_inputs

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
