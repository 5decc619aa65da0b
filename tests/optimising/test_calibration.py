"""The bias takes back what rounding moves the mean of an operator's numbers by."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from predictor.optimising.calibration import corrected
from predictor.optimising.quantisers import Outputs

STEP = 0.25
_Array = npt.NDArray[Any]


def graph(kind: str, weight: _Array, bias: _Array | None, *, rounded: bool) -> onnx.ModelProto:
    """One operator, with its weight as numbers or as integers with a scale."""
    options = {"group": 2} if weight.ndim == 4 and weight.shape[1] == 1 else {}
    options |= {"transB": 1} if kind == "Gemm" else {}
    inputs = ["x", "w", *([] if bias is None else ["b"])]
    nodes = [helper.make_node(kind, inputs, ["y"], name="layer", **options)]
    constants = {} if bias is None else {"b": bias}
    if rounded:
        constants |= {"q": np.round(weight / STEP).astype(np.int8), "s": np.array(STEP, np.float32)}
        constants |= {"z": np.array(0, np.int8)}
        nodes.insert(0, helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"]))
    else:
        constants["w"] = weight
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("kind", "weight", "shape"),
    [("Conv", (4, 3, 1, 1), (8, 3, 5, 5)), ("Conv", (2, 1, 1, 1), (8, 2, 5, 5)), ("Gemm", (4, 3), (8, 3))],
)
@pytest.mark.parametrize("biased", [True, False])
def test_mean(kind: str, weight: tuple[int, ...], shape: tuple[int, ...], biased: bool) -> None:
    """With the corrected bias, the rounded operator has the mean of the original on what calibrated it."""
    generator = np.random.default_rng(5)
    numbers = generator.normal(0, 1, weight).astype(np.float32)
    bias = generator.normal(0, 1, weight[0]).astype(np.float32) if biased else None
    x = generator.normal(2, 1, shape).astype(np.float32)
    axes = (0, 2, 3) if x.ndim == 4 else (0,)
    plain, rounded = graph(kind, numbers, bias, rounded=False), graph(kind, numbers, bias, rounded=True)

    better, count = corrected(plain, rounded, {"x": x.mean(axis=axes)})

    own = numpy_helper.to_array(next(one for one in better.graph.initializer if one.name.startswith("y_")))
    (wanted,), (found,) = (Outputs(model, ["y"]).run({"x": x}) for model in (plain, rounded))
    moved = own if bias is None else own - bias
    assert count == 1
    assert found.mean(axis=axes) + moved == pytest.approx(wanted.mean(axis=axes), abs=1e-4)
    assert found.mean(axis=axes) != pytest.approx(wanted.mean(axis=axes), abs=1e-2)


def test_nothing_known() -> None:
    """Without means of what goes in, or without a rounded weight, nothing is corrected."""
    weight = np.ones((2, 3, 1, 1), np.float32)
    plain, rounded = graph("Conv", weight, None, rounded=False), graph("Conv", weight, None, rounded=True)

    assert corrected(plain, rounded, {})[1] == 0
    assert corrected(plain, plain, {"x": np.ones(3)})[1] == 0
