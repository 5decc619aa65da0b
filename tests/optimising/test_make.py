"""Which forms are made of which graphs, and which graphs are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from predictor.errors import InvalidModel
from predictor.optimising.job import CALIBRATION, ORIGINAL, Job
from predictor.optimising.make import make
from tests.optimising.networks import CLASSES, network, tensors

NAMES = ("image", "scores")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the process runs, with images to calibrate."""
    monkeypatch.chdir(tmp_path)
    np.save(CALIBRATION, tensors(8))
    return tmp_path


def products(dtype: type = np.float32) -> onnx.ModelProto:
    """A network of matrix products alone."""
    generator = np.random.default_rng(2)
    weights: dict[str, npt.NDArray[Any]] = {
        "w1": generator.normal(0, 0.1, (3 * 32 * 32, 16)).astype(dtype),
        "w2": generator.normal(0, 1, (16, CLASSES)).astype(dtype),
    }
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["shown"]),
        helper.make_node("MatMul", ["shown", "w2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("image", kind, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("scores", kind, ["batch", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def keys(model: onnx.ModelProto, *, gpu: bool = False) -> list[str]:
    """The forms that are made of a model."""
    onnx.save(model, ORIGINAL)
    return [one["key"] for one in make(Job("make", (ORIGINAL,), NAMES, gpu=gpu))["made"]]


def test_kinds() -> None:
    """Convolutions are quantised with ranges, products without; on a GPU numbers have half precision."""
    assert set(keys(network())) >= {"graph", "int8", "int8_corrected"}
    assert set(keys(products())) - {"dynamic_careful"} == {"graph", "dynamic"}
    assert keys(network(), gpu=True) == ["float16"]


def test_fixed_batch() -> None:
    """Images that fill the last batch up are not counted among those that showed the ranges."""
    np.save(CALIBRATION, tensors(5))
    model = network()
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, ORIGINAL)

    made = make(Job("make", (ORIGINAL,), NAMES, batch=4))["made"]

    said = next(one["what"] for one in made if one["key"] == "int8")
    assert "5 images showed the ranges." in said


def test_in_half_precision() -> None:
    """The form for a GPU has weights of half precision, and takes and gives what the original does."""
    keys(network(), gpu=True)

    made = onnx.load("float16.onnx")

    kinds = {one.data_type for one in made.graph.initializer if len(one.dims) == 4}
    assert kinds == {TensorProto.FLOAT16}
    assert made.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT


def test_stored_in_half_precision() -> None:
    """Weights that are stored in half precision and computed in single precision are taken."""
    model = network()
    for weight in [one for one in model.graph.initializer if len(one.dims) == 4]:
        half = numpy_helper.to_array(weight).astype(np.float16)
        model.graph.initializer.append(numpy_helper.from_array(half, f"{weight.name}_half"))
        cast = helper.make_node("Cast", [f"{weight.name}_half"], [weight.name], to=TensorProto.FLOAT)
        model.graph.initializer.remove(weight)
        model.graph.node.insert(0, cast)

    assert "int8_corrected" in keys(model)


def test_operator_that_makes_scores() -> None:
    """Softmax stays in single precision, so that confidences are not rounded to multiples of 1/256."""
    keys(network())

    last = next(node for node in onnx.load("int8.onnx").graph.node if "scores" in node.output)

    assert last.op_type == "Softmax"


@pytest.mark.parametrize("opset", [9, 11])
def test_old_operators(opset: int) -> None:
    """A graph of an older opset is taken, although its operators know no scale for each channel."""
    text = f"""<ir_version: 4, opset_import: ["" : {opset}]>
        g (float[N,3,32,32] image) => (float[N,4] scores) {{
            made = Conv<kernel_shape = [3, 3]>(image, w)
            pooled = GlobalAveragePool(made)
            scores = Flatten(pooled)
        }}"""
    model = onnx.parser.parse_model(text)
    weight = np.random.default_rng(0).normal(0, 1, (4, 3, 3, 3)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))

    assert "int8" in keys(model)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (products(np.float16), "no layers with weights in single precision"),
        (onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["" : 17]> g (float[N,3,32,32] image) => (float[N,3,1,1] scores)'
            " { scores = GlobalAveragePool(image) }"
        ), "no layers with weights"),
    ],
)  # fmt: skip
def test_refused(model: onnx.ModelProto, why: str) -> None:
    """What has nothing to quantise, or computes in half precision, is refused with a sentence."""
    with pytest.raises(InvalidModel, match=why):
        keys(model)


def test_weights_elsewhere() -> None:
    """A model with weights in another file is refused with a sentence."""
    onnx.save(network(), ORIGINAL, save_as_external_data=True, location="weights", size_threshold=0)

    with pytest.raises(InvalidModel, match="lie in other files"):
        make(Job("make", (ORIGINAL,), NAMES))
