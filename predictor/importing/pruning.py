"""Drop what no output of a graph needs. Uses onnx."""

from collections.abc import Iterator
from typing import Any

from predictor.model.strict_json import shown


def prune(graph: Any) -> None:
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


def read_inside(node: Any) -> Iterator[str]:
    """The names that the graphs inside a node read; some of them are their own."""
    pending = [one.g for one in node.attribute if one.HasField("g")]
    while pending:
        graph = pending.pop()
        yield from (one.name for one in graph.output)
        for inner in graph.node:
            yield from inner.input
            pending += [one.g for one in inner.attribute if one.HasField("g")]


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
