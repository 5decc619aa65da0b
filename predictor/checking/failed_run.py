"""Why a model that loads fails when it is run, said by what stands in the model's file."""

import re
from collections.abc import Iterator
from typing import Any

from predictor.checking.operators import shown
from predictor.checking.places import by_axes, called, find_node
from predictor.model import session

_NODE = r"running (?P<operator>\w+) node\. Name:'(?P<node>[^']*)'"
_TYPE = r"running (?P<operator>\w+) node\."
# Of one tensor, as the runtime writes it.
_SHAPE = re.compile(r"\{([\d,]*)\}")
_SHAPES_SHOWN = 2


def explain_run(model: Any, message: str, images: int, before: int | None = None) -> str:
    """Which operator failed with which shapes, and what to do.

    Args:
        model: an `onnx.ModelProto`.
        message: what the runtime said.
        images: how many images went in.
        before: how many it was run with before, and answered; None if it never did.
    """
    where = next(_places(model, message), "")
    return f"The model loads, but fails when it is run with {_counted(images)}{where}{_shapes(message)}. " + (
        _export(images) if before is None or before == images else _free(before)
    )


def _places(model: Any, message: str) -> Iterator[str]:
    """The operator that failed; of one that the runtime has renamed only the type is known."""
    if (words := re.search(_NODE, message)) and (node := find_node(model, words)) is not None:
        yield f", in the operator {called(node)}"
    if (words := re.search(_TYPE, message)) and (node := find_node(model, words)) is not None:
        yield f", in an operator {shown(node.op_type)}"


def _shapes(message: str) -> str:
    """The shapes that the runtime speaks of."""
    found = dict.fromkeys(by_axes(axes.split(",")) for axes in _SHAPE.findall(message) if axes)
    shapes = list(found)[:_SHAPES_SHOWN]
    return f", which gets or makes the shape {' and '.join(shapes)}" if shapes else ""


def _counted(images: int) -> str:
    return "1 image" if images == 1 else f"{images} images"


def _export(images: int) -> str:
    return (
        f"Run it with {session.RUNTIME} and {_counted(images)} where it was made, and export it again with "
        "another opset or a newer exporter."
    )


def _free(before: int) -> str:
    return (
        f"With {_counted(before)} it answers: a shape inside was fixed while it was exported. Export it with "
        "a free batch axis (dynamic_shapes or dynamic_axes of torch.onnx.export), or with a fixed batch size."
    )
