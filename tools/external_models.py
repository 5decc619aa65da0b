"""ONNX files that keep data elsewhere, made on the spot: in every place of a file, by every kind of name."""

from collections.abc import Callable
from typing import Literal, get_args

from onnx import (
    AttributeProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    helper,
    load_from_string,
)

from tools.bad_models import COLOURS
from tools.sample_models import classifier

LOCATIONS = (
    "weights.bin",
    "./weights.bin",
    "/etc/passwd",
    "../weights.bin",
    "sub/../../weights.bin",
    "/proc/self/environ",
    "link",
    "file:///etc/passwd",
    "https://127.0.0.1/weights.bin",
    "..\\weights.bin",
    "~/weights.bin",
    "model.onnx",
    "*/_ORT_MEM_ADDR_/*",
    "",
)
"""Names of a file, or of memory, outside the model; `link` may be made a symbolic link."""

Place = Literal[
    "initializer",
    "constant",
    "list",
    "subgraph",
    "function",
    "function default",
    "training",
    "sparse",
    "location only",
    "name only",
]
"""Where a file says that data lies elsewhere; the last two say it by one of the two signs only."""
PLACES: tuple[Place, ...] = get_args(Place)


def external_data(location: str = "weights.bin", place: Place = "initializer") -> bytes:
    """A classifier with one more tensor, whose data lies elsewhere."""
    model = load_from_string(classifier(COLOURS))
    _PUT[place](model, _elsewhere(location))
    return bytes(model.SerializeToString(deterministic=True))


def _elsewhere(location: str) -> TensorProto:
    tensor = TensorProto(
        name="elsewhere", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL
    )
    for key, value in {"location": location, "offset": "0", "length": "12"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def _initializer(model: ModelProto, tensor: TensorProto) -> None:
    model.graph.initializer.append(tensor)


def _constant(model: ModelProto, tensor: TensorProto) -> None:
    model.graph.node.append(_constant_node(tensor))


def _list(model: ModelProto, tensor: TensorProto) -> None:
    attribute = AttributeProto(name="values", type=AttributeProto.TENSORS, tensors=[tensor])
    model.graph.node[0].attribute.append(attribute)


def _subgraph(model: ModelProto, tensor: TensorProto) -> None:
    output = helper.make_tensor_value_info("elsewhere", TensorProto.FLOAT, [3])
    inner = helper.make_graph([_constant_node(tensor)], "inner", [], [output])
    condition = helper.make_node(
        "Constant", [], ["on"], value=helper.make_tensor("", TensorProto.BOOL, [], [1])
    )
    branches = helper.make_node("If", ["on"], ["unused"], then_branch=inner, else_branch=inner)
    model.graph.node.extend([condition, branches])


def _function(model: ModelProto, tensor: TensorProto) -> None:
    _add_function(model, [_constant_node(tensor)])


def _function_default(model: ModelProto, tensor: TensorProto) -> None:
    default = AttributeProto(name="value", type=AttributeProto.TENSOR, t=tensor)
    nodes = [helper.make_node("Constant", [], ["elsewhere"])]
    nodes[0].attribute.add(name="value", type=AttributeProto.TENSOR, ref_attr_name="value")
    _add_function(model, nodes, [default])


def _add_function(
    model: ModelProto, nodes: list[NodeProto], defaults: list[AttributeProto] | None = None
) -> None:
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function(
        "example.org", "f", [], ["elsewhere"], nodes, opsets, attribute_protos=defaults
    )
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("example.org", 1))
    model.graph.node.append(helper.make_node("f", [], ["unused"], domain="example.org"))


def _training(model: ModelProto, tensor: TensorProto) -> None:
    model.training_info.add().algorithm.initializer.append(tensor)


def _sparse(model: ModelProto, tensor: TensorProto) -> None:
    indices = helper.make_tensor("", TensorProto.INT64, [3], [0, 1, 2])
    model.graph.sparse_initializer.append(SparseTensorProto(values=tensor, indices=indices, dims=[10]))


def _location_only(model: ModelProto, tensor: TensorProto) -> None:
    del tensor.external_data[:]
    model.graph.initializer.append(tensor)


def _name_only(model: ModelProto, tensor: TensorProto) -> None:
    tensor.data_location = TensorProto.DEFAULT
    model.graph.initializer.append(tensor)


def _constant_node(tensor: TensorProto) -> NodeProto:
    return helper.make_node("Constant", [], ["elsewhere"], value=tensor)


_PUT: dict[Place, Callable[[ModelProto, TensorProto], None]] = {
    "initializer": _initializer,
    "constant": _constant,
    "list": _list,
    "subgraph": _subgraph,
    "function": _function,
    "function default": _function_default,
    "training": _training,
    "sparse": _sparse,
    "location only": _location_only,
    "name only": _name_only,
}
