"""What the nodes of a graph show of its images and its scores. Uses onnx, so workers do not import it.

From each output it goes back through operators that change no value; those that quantisers and optimisers put
in their place, in the runtime's own domain, count as well. It trusts nothing: constants are read only if they
are tiny.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from onnx import checker, inliner

from predictor.discovery.nodes import ONNX, RUNTIME, STEPS, Nodes, attribute, nodes_of
from predictor.discovery.prefix_transform import PrefixTransform, measure_prefix
from predictor.model.spec import Last, Structure

# The converters of TensorFlow and Keras, by the names that they write into a file.
_TENSORFLOW = ("tf2onnx", "keras2onnx")
_LINEAR = {
    "Gemm",
    "MatMul",
    "Conv",
    "LogSoftmax",
    "QLinearMatMul",
    "QLinearConv",
    "QGemm",
    "FusedMatMul",
    "MatMulNBits",
    "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
}
_INTEGER = {"MatMulInteger", "ConvInteger"}
# They hold a layer and what follows it, which their attribute `activation` names.
_FUSED = {"FusedGemm", "FusedConv"}
_ENDINGS: dict[str, Last] = {
    "Softmax": "softmax",
    "BiasSoftmax": "softmax",
    "QLinearSoftmax": "softmax",
    "Sigmoid": "sigmoid",
    "HardSigmoid": "sigmoid",
    "QLinearSigmoid": "sigmoid",
}
_SAME_SCORES = {
    "Identity",
    "Cast",
    "Dropout",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "QuantizeLinear",
    "DequantizeLinear",
}
_MEANS = {
    "GlobalAveragePool",
    "ReduceMean",
    "AveragePool",
    "QLinearGlobalAveragePool",
    "QLinearReduceMean",
    "QLinearAveragePool",
}
_CHOOSING = {"ArgMax", "TopK", "QuantizeLinear"}
# Where the two tensors of an addition stand among its inputs.
_ADDITIONS = {"Add": (0, 1), "QLinearAdd": (0, 3)}
# Operators that a sentence names.
_SHOWN = 4
# Which input of them says whether they drop numbers.
_DROPOUTS = {("", "Dropout"): 2, (RUNTIME, "BitmaskDropout"): 2, (RUNTIME, "BiasDropout"): 4}


def examine(model: Any) -> Structure:
    """What the nodes of an `onnx.ModelProto` show."""
    warnings = _training(model)
    model = _without_functions(model)
    graph = model.graph
    nodes = nodes_of(graph)
    images = [one for one in graph.input if one.name not in nodes.tensors]
    prefix = measure_prefix(model, nodes, images[0]) if len(images) == 1 else PrefixTransform()
    endings = {one.name: _ending(nodes, one.name) for one in graph.output}
    chosen = {one.name: _chosen(nodes, one.name) for one in graph.output}
    return Structure(
        layout=prefix.layout,
        tensorflow=model.producer_name in _TENSORFLOW,
        channels=prefix.channels,
        factor=prefix.factor,
        offset=prefix.offset,
        backwards=prefix.backwards,
        last={name: ending for name, ending in endings.items() if ending is not None},
        chosen={name: scores for name, scores in chosen.items() if scores is not None},
        warnings=(*warnings, *_unknown(prefix)),
    )


def _without_functions(model: Any) -> Any:
    """A model with the nodes of its functions in their place; the same if they cannot stand there."""
    try:
        return inliner.inline_local_functions(model) if model.functions else model
    except (checker.ValidationError, RuntimeError, ValueError):
        return model


def _unknown(prefix: PrefixTransform) -> Iterator[str]:
    """A warning if the graph computes with its images in a way that is not known."""
    if prefix.unknown:
        yield (
            f"The graph computes with its images ({', '.join(prefix.unknown[:_SHOWN])}) in a way that is not "
            "recognised. If it normalises them, say so in the preprocessing: "
            '{"scale": 1, "mean": [0, 0, 0], "std": [1, 1, 1]} for pixels from 0 to 255.'
        )


def _training(model: Any) -> tuple[str, ...]:
    """A warning if operators are in training mode, with how to export the model otherwise."""
    nodes = nodes_of(model.graph)
    found = sorted({node.op_type for node in _every_node(model) if _is_training(node, nodes)})
    if not found:
        return ()
    sentence = (
        f"The model is in training mode ({', '.join(found)}): it answers otherwise than the trained "
        "network, or otherwise each time. Export it for inference: model.eval() and "
        "training=TrainingMode.EVAL for torch.onnx.export, training=False for the layers of Keras."
    )
    return (sentence,)


def _every_node(model: Any) -> Iterator[Any]:
    """The nodes of a model, of its functions and of graphs in nodes."""
    pending = [*model.graph.node, *(node for one in model.functions for node in one.node)]
    while pending:
        yield (node := pending.pop())
        for held in node.attribute:
            pending.extend(inner for graph in (held.g, *held.graphs) for inner in graph.node)


def _is_training(node: Any, nodes: Nodes) -> bool:
    if node.op_type == "BatchNormalization" and node.domain in ONNX:
        mode = attribute(node, "training_mode")
        return len([name for name in node.output if name]) > 1 or (mode is not None and mode.i != 0)
    place = _DROPOUTS.get((node.domain if node.domain not in ONNX else "", node.op_type), len(node.input))
    switch = nodes.constant(nodes.source(node.input[place])) if place < len(node.input) else None
    return switch is not None and bool(switch.any())


def _chosen(nodes: Nodes, name: str) -> str | None:
    """The tensor of scores that an output tells only the best classes of, or has integers in place of."""
    for _ in range(STEPS):
        node = nodes.writers.get(name)
        if node is None or node.domain not in (*ONNX, RUNTIME) or not node.input:
            return None
        if node.op_type in _CHOOSING:
            return str(node.input[0])
        if node.op_type not in _SAME_SCORES | _ENDINGS.keys() or node.op_type == "DequantizeLinear":
            return None
        name = str(node.input[0])
    return None


def _ending(nodes: Nodes, name: str) -> Last | None:
    for _ in range(STEPS):
        node = nodes.writers.get(name)
        if node is None or node.domain not in (*ONNX, RUNTIME) or not node.input:
            return None
        if (kind := _kind(nodes, node)) is not None:
            return kind
        following = _before(nodes, node)
        if following is None:
            return None
        name = following
    return None


def _kind(nodes: Nodes, node: Any) -> Last | None:
    """What kind of scores a node makes; None if it makes none, but hands on those of another."""
    if node.op_type in _FUSED:
        activation = attribute(node, "activation")
        return "linear" if activation is None else _ENDINGS.get(activation.s.decode(errors="replace"))
    if node.op_type in _LINEAR or _is_scaled(nodes.writers, node):
        return "linear"
    return "softmax" if _is_softmax(nodes.writers, node) else _ENDINGS.get(node.op_type)


def _before(nodes: Nodes, node: Any) -> str | None:
    """Where the scores of a node come from, if it leaves their meaning alone."""
    if node.op_type in _SAME_SCORES or node.op_type in _MEANS:
        return str(node.input[0])
    if node.op_type in _ADDITIONS:
        # A bias is a constant of any size.
        added = [node.input[place] for place in _ADDITIONS[node.op_type] if place < len(node.input)]
        others = [name for name in added if name not in nodes.tensors]
        return str(others[0]) if len(others) == 1 else None
    return None


def _is_scaled(writers: Mapping[str, Any], node: Any) -> bool:
    """Whether a node gives the integers of a dynamically quantised layer their scale back."""
    casts = [writers.get(name) for name in node.input] if node.op_type == "Mul" else []
    cast = [name for one in casts if one is not None and one.op_type == "Cast" for name in one.input]
    return any(name in writers and writers[name].op_type in _INTEGER for name in cast)


def _is_softmax(writers: Mapping[str, Any], node: Any) -> bool:
    """Whether a node divides an exponential by its sum."""
    if node.op_type != "Div" or len(node.input) != 2:
        return False
    over, under = (writers.get(name) for name in node.input)
    if over is None or under is None or over.op_type != "Exp" or under.op_type != "ReduceSum":
        return False
    return bool(under.input) and under.input[0] == node.input[0]
