"""Small ONNX classifiers with which the service can be tried, made on the spot.

Those that must be refused are in `tools.bad_models`.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, parser

OPSET = 17
IR_VERSION = 8

Layout = Literal["NCHW", "NHWC"]
DType = Literal["float32", "float16", "uint8", "int8"]

_Array = npt.NDArray[Any]

# Numbers in a row of the table that makes a model large; a row is 1000 bytes.
_ROW = 250
_ROWS_PER_MB = 1000
# By how much the score of a class that always wins exceeds all others, whatever the image.
_AHEAD = 10.0
_NO_INFLUENCE = 1e-3


def classifier(  # noqa: PLR0913 - each is a choice of its own, made by name
    labels: Sequence[str],
    *,
    seed: int = 0,
    size: int = 32,
    layout: Layout = "NCHW",
    dtype: DType = "float32",
    batch: int | None = None,
    metadata: bool = True,
    padding_mb: int = 0,
    winner: int | None = None,
) -> bytes:
    """A classifier that judges an image by its mean colour, with softmax inside.

    Args:
        labels: names of the classes.
        seed: of the weights.
        size: height and width of its images.
        layout: order of its input's axes.
        dtype: of its input; floating-point numbers are 0 to 1, whole ones the pixels themselves.
        batch: how many images it takes at a time; any number by default.
        metadata: whether labels, preprocessing and activation stand in the file.
        padding_mb: megabytes of weights that a session must keep, although they change no answer.
        winner: index of the class that every image is given; none by default.

    Returns:
        The file.
    """
    axes = [3, size, size] if layout == "NCHW" else [size, size, 3]
    image = helper.make_tensor_value_info("image", _element_type(dtype), [batch or "batch", *axes])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch or "batch", len(labels)])
    weights = _weights(len(labels), seed, winner) | {"scale": _scale(dtype)}
    if padding_mb:
        weights |= _table(padding_mb)
    graph = helper.make_graph(
        _nodes(layout, padded=padding_mb > 0),
        "classifier",
        [image],
        [scores],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name=__name__
    )
    if metadata:
        describe(model, labels, preprocessing(size, layout, dtype))
    return bytes(model.SerializeToString(deterministic=True))


def slow_classifier(labels: Sequence[str], *, layers: int = 1) -> bytes:
    """A classifier whose runs take a core for some tens of milliseconds for each of its layers.

    Args:
        labels: names of the classes; the first always wins.
        layers: convolutions of 64 x 64 channels over 224 x 224 pixels, 1.8 thousand million products each.
    """
    bias = ", ".join(["10", *["0"] * (len(labels) - 1)])
    text = f"""<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>
        g (float[N,3,224,224] image) => (float[N,{len(labels)}] scores) {{
            first = Constant<value = int64[4] {{64, 3, 3, 3}}>()
            other = Constant<value = int64[4] {{64, 64, 3, 3}}>()
            entry = ConstantOfShape<value = float[1] {{0.01}}>(first)
            kernel = ConstantOfShape<value = float[1] {{0.001}}>(other)
            x0 = Conv<pads = [1, 1, 1, 1]>(image, entry)
            {"".join(f"x{n + 1} = Conv<pads = [1, 1, 1, 1]>(x{n}, kernel)" for n in range(layers))}
            pooled = GlobalAveragePool(x{layers})
            flat = Flatten(pooled)
            shape = Constant<value = int64[2] {{64, {len(labels)}}}>()
            weight = ConstantOfShape<value = float[1] {{0.001}}>(shape)
            even = MatMul(flat, weight)
            bias = Constant<value = float[{len(labels)}] {{{bias}}}>()
            logits = Add(even, bias)
            scores = Softmax<axis = 1>(logits)
        }}"""
    model = parser.parse_model(text)
    describe(model, labels, preprocessing(224))
    return bytes(model.SerializeToString(deterministic=True))


def preprocessing(size: int = 32, layout: Layout = "NCHW", dtype: DType = "float32") -> dict[str, Any]:
    """How an image becomes the input of a classifier of this module, as JSON."""
    return {
        "size": [size, size],
        "resize": "crop",
        "resize_to": size,
        "interpolation": "bilinear",
        "channels": "RGB",
        "layout": layout,
        "dtype": dtype,
        "scale": 1 / 255 if _is_real(dtype) else 1.0,
        "mean": [0.0] * 3,
        "std": [1.0] * 3,
    }


def describe(model: ModelProto, labels: Sequence[str], preprocessing: object) -> None:
    """Write into a model's metadata what the service needs to know of it."""
    properties = {
        "predictor.labels": json.dumps(list(labels)),
        "predictor.preprocessing": json.dumps(preprocessing),
        "predictor.activation": "none",
    }
    helper.set_model_props(model, properties)


def _is_real(dtype: DType) -> bool:
    return dtype.startswith("float")


def _scale(dtype: DType) -> _Array:
    """What makes 0 to 1 of the input's values."""
    return np.array(1.0 if _is_real(dtype) else 1 / 255, np.float32)


def _element_type(dtype: DType) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _nodes(layout: Layout, *, padded: bool) -> list[NodeProto]:
    spatial = [2, 3] if layout == "NCHW" else [1, 2]
    logits = "logits" if padded else "summed"
    nodes = [
        helper.make_node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values"], ["mean"], axes=spatial, keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["colour"]),
        helper.make_node("MatMul", ["colour", "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], [logits]),
        helper.make_node("Softmax", ["summed"], ["scores"], axis=1),
    ]
    return [*nodes[:-1], *_padding(), nodes[-1]] if padded else nodes


def _padding() -> list[NodeProto]:
    """Add a number, from a row that the image chooses, to all scores alike; softmax takes it out again."""
    return [
        helper.make_node("ReduceMax", ["colour"], ["brightness"], axes=[1], keepdims=1),
        helper.make_node("Clip", ["brightness", "first", "last"], ["position"]),
        helper.make_node("Cast", ["position"], ["row"], to=TensorProto.INT64),
        helper.make_node("GatherND", ["table", "row"], ["numbers"]),
        helper.make_node("ReduceMean", ["numbers"], ["number"], axes=[1], keepdims=1),
        helper.make_node("Add", ["logits", "number"], ["summed"]),
    ]


def _weights(classes: int, seed: int, winner: int | None) -> dict[str, _Array]:
    generator = np.random.default_rng(seed)
    bias = generator.normal(size=classes).astype(np.float32)
    weight = generator.normal(size=(3, classes)).astype(np.float32)
    if winner is not None:
        weight *= _NO_INFLUENCE
        bias[winner] = bias.max() + _AHEAD
    return {"weight": weight, "bias": bias}


def _table(megabytes: int) -> dict[str, _Array]:
    rows = megabytes * _ROWS_PER_MB
    table = np.full((rows, _ROW), 0.5, np.float32)
    return {"table": table, "first": np.array(0, np.float32), "last": np.array(rows - 1, np.float32)}
