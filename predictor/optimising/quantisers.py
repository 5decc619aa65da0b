"""The tools that come with onnxruntime, a call each: they read a graph's file and write another.

Only here, and in `predictor.model.session`, is onnxruntime used. Everything runs with one thread, since the
process that calls this may start none.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, helper
from onnxruntime import quantization
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, TensorsData

_Array = npt.NDArray[Any]
_CPU = ["CPUExecutionProvider"]
_ERRORS_ONLY = 3
# Axes of weights are per channel since then.
_LEAST_OPSET = 13
_ENOUGH_OPSET = 17
# Operators that the runtime has kernels for that take and give integers. Softmax is not among them: what it
# gives are the confidences, which 8 bits would round to multiples of 1/256.
STATIC_OPERATORS = (
    *("Conv", "Gemm", "MatMul", "Add", "Mul", "Relu", "Clip", "LeakyRelu", "Sigmoid", "Concat", "Pad"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "Resize", "Split"),
    *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
)
"""The operators that a static quantisation takes."""
LEARNED = ("Conv", "Gemm", "MatMul")
"""The operators whose weights are quantised."""
CACHE = "ranges.json"
"""The file of the ranges of tensors, which the quantiser reads in place of calibrating itself."""


def options(*, write: Path | None = None, level: str = "ORT_ENABLE_ALL") -> Any:
    """Options of a session with one thread.

    Args:
        write: the file to which the optimised graph is written.
        level: how much the graph is optimised.
    """
    found = onnxruntime.SessionOptions()
    found.intra_op_num_threads = found.inter_op_num_threads = 1
    found.log_severity_level = _ERRORS_ONLY
    found.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    if write is not None:
        found.optimized_model_filepath = str(write)
    return found


def rewritten(source: Path, target: Path, level: str, *, quantised: bool = True) -> None:
    """Have the runtime write the graph as it has optimised it.

    Args:
        source: the graph.
        target: the file to be written.
        level: how much of it.
        quantised: whether pairs of quantisation and its reverse are merged with their operators.
    """
    chosen = options(write=target, level=level)
    if not quantised:
        chosen.add_session_config_entry("session.disable_quant_qdq", "1")
    onnxruntime.InferenceSession(str(source), chosen, providers=_CPU)


class Outputs:
    """What the tensors of a graph hold when it runs.

    Args:
        model: a graph that has these tensors among its outputs.
        names: of the tensors.
    """

    def __init__(self, model: ModelProto, names: Sequence[str]) -> None:
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options(), providers=_CPU)
        self._names = list(names)

    def run(self, feeds: Mapping[str, _Array]) -> list[_Array]:
        """The tensors, in the order of their names.

        Args:
            feeds: the graph's inputs by their names.
        """
        return [np.asarray(one) for one in self._session.run(self._names, dict(feeds))]


def upgraded(model: ModelProto) -> ModelProto:
    """The same graph with operators new enough for weights that are quantised per channel."""
    version = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=0)
    if version >= _LEAST_OPSET:
        return model
    return onnx.version_converter.convert_version(model, _ENOUGH_OPSET)


def save_ranges(ranges: Mapping[str, tuple[float, float]], path: Path) -> None:
    """Write the least and the highest number of each tensor for `static`."""
    data = {
        name: (np.array(low, np.float32), np.array(high, np.float32)) for name, (low, high) in ranges.items()
    }
    quantization.save_tensors_data(TensorsData(CalibrationMethod.MinMax, data), path)


def static(
    source: Path,
    target: Path,
    ranges: Path,
    *,
    reduce_range: bool,
    exclude: Sequence[str] = (),
) -> None:
    """Quantise weights and activations to 8 bits, with pairs of QuantizeLinear and DequantizeLinear.

    Args:
        source: the graph in single precision.
        target: the file to be written.
        ranges: what `save_ranges` wrote.
        reduce_range: whether weights have 7 bits.
        exclude: names of the operators that stay as they are.
    """
    quantization.quantize_static(
        source,
        target,
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(STATIC_OPERATORS),
        # With one scale for a weight, its small channels become zero.
        per_channel=True,
        reduce_range=reduce_range,
        # What follows a ReLU has no negative numbers: a symmetric range would waste half of them.
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=list(exclude),
        calibration_cache_path=ranges,
        # The logits stay in single precision, at no cost.
        extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},
    )


def dynamic(source: Path, target: Path, *, reduce_range: bool, exclude: Sequence[str] = ()) -> None:
    """Quantise the weights of matrix products, and activations as they come, which is what transformers bear.

    Args:
        source: the graph in single precision.
        target: the file to be written.
        reduce_range: whether weights have 7 bits.
        exclude: names of the operators that stay as they are.
    """
    # What adds to a product takes its name with a word more.
    names = [name for one in exclude for name in (one, f"{one}_MatMul")]
    quantization.quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=reduce_range,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=names,
    )


def halved(source: Path, target: Path) -> None:
    """Compute in half precision, with inputs and outputs as they were."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)


def saturates() -> bool:
    """Whether sums of 8-bit products overflow on this processor, found out by a product of matrices.

    On x86-64 without VNNI, two products of an unsigned and a signed byte are added in 16 bits, which cannot
    hold the sum of the largest; 7-bit weights never reach it.
    """
    size = 64
    left = np.full((16, size), 255, np.uint8)
    right = helper.make_tensor("b", TensorProto.INT8, (size, size), np.full(size * size, 127, np.int8))
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, left.shape)],
        [helper.make_tensor_value_info("c", TensorProto.INT32, left.shape)],
        [right],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _ENOUGH_OPSET)], ir_version=8)
    (product,) = Outputs(model, ["c"]).run({"a": left})
    return bool((product != size * 255 * 127).any())
