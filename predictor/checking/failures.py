"""Why the runtime could not load a model, or fails when it runs one, said by what stands in the model's file.

The runtime's own words only point at the cause: `predictor.checking.places` finds what they point at. Nothing
else of them but numbers and the names of element types goes into a sentence.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from predictor.checking import node_faults
from predictor.checking.node_faults import AGAIN, CHECK, CONVERT
from predictor.checking.operators import shown
from predictor.checking.places import (
    Words,
    by_axes,
    called,
    element_type,
    find_node,
    named,
    opset,
    tensors,
    untyped,
)
from predictor.discovery.nodes import ONNX
from predictor.model.onnx_runtime import release

# The runtime's words for what went wrong, by which they begin.
_KINDS = {
    "INVALID_GRAPH": "the graph breaks the rules of ONNX",
    "INVALID_ARGUMENT": "something in the file is invalid",
    "NOT_IMPLEMENTED": "an operator is not implemented",
    "RUNTIME_EXCEPTION": "an operator could not be set up",
    "INVALID_PROTOBUF": "the file is damaged",
    "EP_FAIL": "the device could not take it",
}

_NODE = r"running (?P<operator>\w+) node\. Name:'(?P<node>[^']*)'"
_TYPE = r"running (?P<operator>\w+) node\."
# Of one tensor, as the runtime writes it.
_SHAPE = re.compile(r"\{([\d,]*)\}")
_SHAPES_SHOWN = 2


def explain_load(model: Any, message: str) -> str:
    """What in the file keeps the runtime from loading it, and what to do; else what kind of failure it is.

    Args:
        model: an `onnx.ModelProto`.
        message: what the runtime said.
    """
    return next(_explanations(model, message), None) or _unknown(message)


def _explanations(model: Any, message: str) -> Iterator[str]:
    for pattern, of_file in _OF_THE_FILE:
        if (words := re.search(pattern, message)) and (sentence := of_file(model, words)):
            yield sentence
    yield from node_faults.sentences(model, message)


def _unknown(message: str) -> str:
    code = re.match(r"\[ONNXRuntimeError\] : \d+ : (\w+)", message)
    kind = _KINDS.get(code[1], "the graph is faulty") if code else "the reason is not known"
    if "Exception during initialization" in message:
        kind = _KINDS["RUNTIME_EXCEPTION"]
    return f"{release()} could not load the model: {kind}. {AGAIN} {CHECK}"


def _no_format(_model: Any, _words: Words) -> str:
    return f"The model's file has no IR version, so it is damaged or not finished. {AGAIN}"


def _newer_operators(model: Any, words: Words) -> str | None:
    most, domain = int(words["most"]), words["domain"]
    version = opset(model, domain) or 0
    if version <= most:
        return None
    return (
        f"The model uses opset {version} of {shown(domain)}, but the runtime has opsets up to {most}. "
        f"Export it with opset_version={most} or less."
    )


def _no_opset(model: Any, words: Words) -> str:
    domain = shown(words["domain"] or ONNX[1])
    found = next((one.name for one in model.functions if one.name == words["function"]), None)
    who = "model" if found is None else f"model's function {shown(found)}"
    return f"The {who} does not say which opset of the domain {domain} it uses. {AGAIN}"


def _unknown_type(model: Any, _words: Words) -> str | None:
    name = untyped(model)
    if name is None:
        return None
    which = f"The tensor{named(name)}" if named(name) else "A tensor"
    return f"{which} has no element type, or one that ONNX does not know. {AGAIN}"


def _not_computed(_model: Any, words: Words) -> str | None:
    type_ = element_type(words["type"])
    return (
        type_
        and f"The model has tensors of the element type {type_}, which the runtime does not have. {CONVERT}"
    )


def _out_of_bounds(model: Any, _words: Words) -> str | None:
    wrong = (one.name for one in model.graph.initializer if any(length < 0 for length in one.dims))
    name = next(wrong, None)
    return None if name is None else f"The weights{named(name)} have a negative length. {_ORIGINAL}"


def _sparse(model: Any, _words: Words) -> str | None:
    if not model.graph.sparse_initializer:
        return None
    return f"Sparse weights of the model do not fit their shape. Store them as ordinary tensors. {CHECK}"


def _faulty_function(model: Any, words: Words) -> str | None:
    if words["function"] not in {one.name for one in model.functions}:
        return None
    name = shown(words["function"])
    return f"The model's function {name} has an input or output that it does not use or make. {AGAIN}"


def _miscalled_function(model: Any, _words: Words) -> str | None:
    if not model.functions:
        return None
    return f"A function of the model is called with more inputs or outputs than it has. {AGAIN}"


def _cyclic(_model: Any, _words: Words) -> str:
    return (
        "The model's operators read from each other in a circle, so there is no order to run them in. "
        f"A tool that changed the graph has broken it: upload the model as it was exported. {CHECK}"
    )


def _of_tensor(says: str) -> Callable[[Any, Words], str | None]:
    """A sentence about the tensor that the words name; `{}` stands for the name."""

    def sentence(model: Any, words: Words) -> str | None:
        name = words["tensor"]
        return says.format(named(name)) if name in tensors(model) else None

    return sentence


_ORIGINAL = "Upload the model as it was exported, before a tool changed it."
_OPSET = (
    r"No opset (?:import|registered) for domain '?(?P<domain>[\w.]*)'?(?: in function (?P<function>\w+))?"
)
_MISFITS = r": \w+ .*size|: .*count| has element type| does not match| failed"
_OF_THE_FILE: tuple[tuple[str, Callable[[Any, Words], str | None]], ...] = (
    (r"Missing model IR version", _no_format),
    (r"support for domain (?P<domain>[\w.]+) is till opset (?P<most>\d{1,4})", _newer_operators),
    (rf"Missing opset in the model|{_OPSET}", _no_opset),
    (r"tensor data type -?\d+|Tensor does not have type|invalid model\. Tensor '", _unknown_type),
    (r"MLDataType for: \w+\((?P<type>\w+)\) is not", _not_computed),
    (r"Out of bounds dimensions|negative dimensions", _out_of_bounds),
    (r"[Ss]parse", _sparse),
    (r"ONNX Schema (?P<function>\w+): failed", _faulty_function),
    (r"function_utils::Inliner", _miscalled_function),
    (r"the graph is not acyclic|graph have a cycle", _cyclic),
    (
        r"Graph output \((?P<tensor>[^)]*)\) does not exist",
        _of_tensor(f"No operator makes the output{{}}. {_ORIGINAL}"),
    ),
    (
        r"Subgraph output \((?P<tensor>[^)]*)\) is an outer scope value",
        _of_tensor(f"A branch answers with the tensor{{}} that lies outside of it. {AGAIN}"),
    ),
    (
        r"Duplicate definition\S*(?: of name| for) \((?P<tensor>[^)]*)\)",
        _of_tensor(f"The tensor{{}} is defined twice. {_ORIGINAL}"),
    ),
    (
        r"Model input \((?P<tensor>[^)]*)\) does not have type",
        _of_tensor(f"The file does not say which element type the input{{}} has. {AGAIN}"),
    ),
    (
        rf"(?:[Ii]nitializer|Deserialize tensor) '?(?P<tensor>[^' ]*)'?(?:{_MISFITS})",
        _of_tensor(
            f"The weights{{}} have another element type, shape or size than the graph says. {_ORIGINAL}"
        ),
    ),
)
"""What to say by what the runtime's words are like; the first that fits the file counts."""
_SIZE = 'If it was made for another, give that one in the preprocessing, such as {"size": 160}.'


def explain_run(
    model: Any, message: str, images: int, before: int | None = None, *, assumed: str = ""
) -> str:
    """Which operator failed with which shapes, and what to do.

    Args:
        model: an `onnx.ModelProto`.
        message: what the runtime said.
        images: how many images went in.
        before: how many it was run with before, and answered; None if it never did.
        assumed: a sentence about the size of the images, where nothing said that.
    """
    where = next(_places(model, message), "")
    advice = f"{assumed} {_SIZE}" if assumed else _export(images)
    if before is not None and before != images:
        advice = _free(before)
    with_ = f"{_counted(images)}{where}{_shapes(message)}"
    return f"The model loads, but fails when it is run with {with_}. {advice}"


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
        f"Run it with {release()} and {_counted(images)} where it was made, and export it again with "
        "another opset or a newer exporter."
    )


def _free(before: int) -> str:
    return (
        f"With {_counted(before)} it answers: a shape inside was fixed while it was exported. Export it with "
        "a free batch axis (dynamic_shapes or dynamic_axes of torch.onnx.export), or with a fixed batch size."
    )
