"""An ONNX file, read and judged without running any of it.

Two parts of a model are never served, whatever the limits: data outside its files, and operators that
`predictor.checking.operators` does not let through. Functions of the model's own are fine, for they are made
of the same operators. `If` is fine too, for it repeats nothing. How much memory and time the operators need
is left to the smoke test, which runs them within limits.

Nothing here calls itself, for a file decides in how long a chain its functions call each other. How deep its
graphs lie in each other protobuf bounds: it reads messages within messages a hundred deep.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from predictor.checking import operators
from predictor.checking.operators import shown
from predictor.checking.report import Limits, Refused
from predictor.importing import external, foreign

# The runtime may prefer its own operator to a function that borrows one of these names.
_RUNTIME_DOMAINS = re.compile(r"(ai\.onnx|com\.microsoft|com\.ms|org\.pytorch\.aten|onnxruntime)(\.|$)")

_Function = tuple[str, str, str]


@dataclass(frozen=True)
class _Rules:
    limits: Limits
    functions: Set[_Function]
    loops: bool
    beside: Set[str]


@dataclass
class _Body:
    """What the main graph, or one function, holds."""

    nodes: int = 0
    calls: Counter[_Function] = field(default_factory=Counter)


def read(path: Path, limits: Limits) -> Any:
    """Read a file, which takes twice its size of memory, half of it for good.

    Returns:
        An `onnx.ModelProto` with at least one operator, in which axes of a negative length are free.

    Raises:
        Refused: the file is no ONNX model, or too large; the sentence says why.
    """
    if path.stat().st_size > min(limits.model_bytes, external.PROTOBUF_BYTES):
        raise Refused("too_large", "The model file is larger than allowed.")
    with path.open("rb") as file:
        if file.read(8)[4:] == b"ORTM":
            raise Refused("not_onnx", "The file has ONNX Runtime's own format (.ort). Upload the .onnx file.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except MemoryError:
        raise
    except Exception as error:
        raise Refused("not_onnx", _not_onnx(path)) from error
    if not model.graph.node:
        raise Refused("not_onnx", "The file holds no ONNX graph with an operator. Export the model again.")
    _free(model.graph)
    return model


def _free(graph: Any) -> None:
    """Let axes of a negative length be free, as the runtime does: some tools write -1 for any length."""
    for one in (*graph.input, *graph.output):
        for axis in one.type.tensor_type.shape.dim:
            if axis.dim_value < 0:
                axis.ClearField("dim_value")


def _not_onnx(path: Path) -> str:
    with path.open("rb") as file:
        known = foreign.by_bytes(file.read(foreign.MARK_BYTES))
    if known is None:
        return "The file is not an ONNX model, or it is damaged or incomplete."
    whose, advice = known
    return f"The file is not an ONNX model, but one {whose}. {advice}"


def references(model: Any) -> list[Any]:
    """The tensors of a model, wherever they stand, whose data lies in another file."""
    return [
        message
        for message in _messages(model)
        if message.DESCRIPTOR.name == "TensorProto" and external.is_external(message)
    ]


def enforce(
    model: Any, limits: Limits, *, allow_control_flow: bool = False, beside: Set[str] = frozenset()
) -> int:
    """Judge a model by what stands in its file.

    Args:
        model: what `read` gave.
        limits: what it may hold.
        allow_control_flow: whether loops are fine.
        beside: names of files in which data may lie, since it was seen to lie there.

    Returns:
        How many operators it has, each function counted once.

    Raises:
        Refused: the model is not one that is served; the sentence says why.
    """
    functions = {(one.domain, one.name, one.overload): one for one in model.functions}
    _check_functions(model.functions, len(functions), limits)
    rules = _Rules(limits, functions.keys(), allow_control_flow, beside)
    main = _body((model.graph, *model.training_info), rules)
    bodies = {key: _body((one,), rules) for key, one in functions.items()}
    _check_calls(main, bodies, limits)
    return main.nodes + sum(body.nodes for body in bodies.values())


def nodes(model: Any) -> Iterator[Any]:
    """Every node of a model, those of graphs in other nodes and of its functions included."""
    for root in (model.graph, *model.functions):
        yield from (message for message in _messages(root) if message.DESCRIPTOR.name == "NodeProto")


def _check_functions(functions: Sequence[Any], different: int, limits: Limits) -> None:
    if len(functions) > limits.functions:
        raise Refused("too_complex", f"The model has more than {limits.functions} functions.")
    if different < len(functions):
        raise Refused("not_onnx", "The model has two functions of the same name.")
    for one in functions:
        if one.domain == "" or _RUNTIME_DOMAINS.match(one.domain):
            sentence = (
                f"The function {shown(one.name)} has a domain that is reserved. Export it under another."
            )
            raise Refused("operator", sentence)


def _body(roots: Iterable[Any], rules: _Rules) -> _Body:
    body = _Body()
    for root in roots:
        for message in _messages(root):
            kind = message.DESCRIPTOR.name
            if kind == "TensorProto":
                _check_tensor(message, rules.beside)
            elif kind == "NodeProto":
                _take_node(body, message, rules)
    return body


def _messages(root: Any) -> Iterator[Any]:
    """Every message below a root, of whatever field."""
    pending = [root]
    while pending:
        yield (message := pending.pop())
        # A tensor's fields are its payload, which listing them would copy.
        if message.DESCRIPTOR.name == "TensorProto":
            continue
        for described, value in message.ListFields():
            if described.message_type is not None:
                pending.extend((value,) if hasattr(value, "ListFields") else value)


def _check_tensor(tensor: Any, beside: Set[str]) -> None:
    if external.is_external(tensor) and external.location(tensor) not in beside:
        raise Refused("external_data", external.elsewhere(tensor))


def _take_node(body: _Body, node: Any, rules: _Rules) -> None:
    body.nodes += 1
    if body.nodes > rules.limits.nodes:
        raise _too_many_operators(rules.limits)
    called = (node.domain, node.op_type, node.overload)
    if called in rules.functions:
        body.calls[called] += 1
    else:
        operators.check(node.domain, node.op_type, loops=rules.loops)


def _check_calls(main: _Body, bodies: dict[_Function, _Body], limits: Limits) -> None:
    """Bound how deep functions call each other and how many operators there are once all are written out."""
    sizes, depths = dict[_Function, int](), dict[_Function, int]()
    for key in _callees_first(bodies):
        sizes[key] = _size(bodies[key], sizes)
        depths[key] = 1 + max((depths[called] for called in bodies[key].calls), default=0)
    if len(sizes) < len(bodies):
        raise Refused("too_complex", "The model has a function that calls itself.")
    if max(depths.values(), default=0) > limits.depth:
        raise Refused("too_complex", "The model's functions call each other in too long a chain.")
    if _size(main, sizes) > limits.nodes:
        raise _too_many_operators(limits)


def _callees_first(bodies: dict[_Function, _Body]) -> Iterator[_Function]:
    """The functions, each after those that it calls; those that call themselves are left out."""
    callers: dict[_Function, list[_Function]] = {key: [] for key in bodies}
    for key, body in bodies.items():
        for called in body.calls:
            callers[called].append(key)
    missing = {key: len(body.calls) for key, body in bodies.items()}
    ready = [key for key, count in missing.items() if not count]
    while ready:
        yield (key := ready.pop())
        for caller in callers[key]:
            missing[caller] -= 1
            if not missing[caller]:
                ready.append(caller)


def _size(body: _Body, sizes: dict[_Function, int]) -> int:
    return body.nodes + sum(count * sizes[called] for called, count in body.calls.items())


def _too_many_operators(limits: Limits) -> Refused:
    return Refused("too_complex", f"The model has more than {limits.nodes} operators.")
