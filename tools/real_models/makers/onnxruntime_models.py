"""What onnxruntime's quantisers and optimiser, and the tools around ONNX, make of a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import onnxsim
from onnx import ModelProto, version_converter
from onnxconverter_common import auto_mixed_precision, float16
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from tools.real_models.makers.case import Case, Maker, opened, run, samples
from tools.real_models.makers.ort_networks import network, runtime_answer, usual

LEVELS = onnxruntime.GraphOptimizationLevel


class _Calibration(CalibrationDataReader):
    """Hands parts of the photographs to a quantiser."""

    def __init__(self, photographs: Any) -> None:
        self._feeds = iter([{"input": usual(part)} for part in samples(photographs)])

    def get_next(self) -> dict[str, Any] | None:
        """The next input; None after the last."""
        return next(self._feeds, None)


def _written(
    case: Case, what: str, make: Callable[[Path, Path], None], *, newer: bool = False, **options: Any
) -> None:
    """A case of the network as `make` rewrites its file; the runtime's own answer is what is expected.

    What is too new for the runtime is answered as the network that it was made of.
    """
    source, path = case.folder / "source.onnx", case.path("model.onnx")
    onnx.save(network(case.photographs), source)
    make(source, path)
    case.save(what, runtime_answer(source if newer else path, usual), **options)


def _static(what: str, kind: QuantFormat, **options: Any) -> Maker:
    def make(case: Case) -> None:
        _written(
            case,
            what,
            lambda source, path: quantize_static(
                source, path, _Calibration(case.photographs), quant_format=kind, **options
            ),
        )

    return make


def _file(what: str, make: Callable[[Path, Path], None], **options: Any) -> Maker:
    return lambda case: _written(case, what, make, **options)


def _model(what: str, make: Callable[[ModelProto], ModelProto], **options: Any) -> Maker:
    def rewrite(source: Path, path: Path) -> None:
        onnx.save(make(onnx.load(source)), path)

    return _file(what, rewrite, **options)


def _optimised(level: Any) -> Callable[[Path, Path], None]:
    def make(source: Path, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    return make


def _ort(source: Path, path: Path) -> None:
    """The runtime's own file format, which is not ONNX."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _pre_processed(case: Case) -> None:
    """As the runtime's documents advise: prepared, then quantised."""

    def make(source: Path, path: Path) -> None:
        quant_pre_process(source, path)
        quantize_static(path, path, _Calibration(case.photographs))

    _written(case, "quant_pre_process, then quantize_static", make)


def _external(source: Path, path: Path) -> None:
    quantize_dynamic(source, path, use_external_data_format=True)


def _nbits(source: Path, path: Path) -> None:
    quantizer = MatMulNBitsQuantizer(_matmul(onnx.load(source)), bits=4, block_size=16)
    quantizer.process()
    onnx.save(quantizer.model.model, path)


def _matmul(model: ModelProto) -> ModelProto:
    """The network with a MatMul and an Add in place of its Gemm."""
    last = model.graph.node[-1]
    features, weight, bias = last.input
    product = onnx.helper.make_node("MatMul", [features, weight], ["product"], "product")
    total = onnx.helper.make_node("Add", ["product", bias], list(last.output), "total")
    del model.graph.node[-1]
    model.graph.node.extend([product, total])
    return model


def _mixed(case: Case) -> None:
    """Half precision where it changes nothing."""
    feed = {"input": usual(opened(case.photographs[0]))}

    def make(model: ModelProto) -> ModelProto:
        mixed = auto_mixed_precision.auto_convert_mixed_precision(
            model, feed, rtol=0.01, atol=0.01, keep_io_types=True
        )
        return mixed if isinstance(mixed, ModelProto) else model

    _model("auto_mixed_precision", make)(case)


def _newer_ir(model: ModelProto) -> ModelProto:
    model.ir_version = 14
    return model


def _simplified(model: ModelProto) -> ModelProto:
    found: tuple[ModelProto, bool] = onnxsim.simplify(model)
    return found[0]


def _converted(opset: int) -> Maker:
    return _model(
        f"version_converter 17 -> {opset}", lambda model: version_converter.convert_version(model, opset)
    )


def _described(model: ModelProto) -> ModelProto:
    """Metadata of another tool, under names that this service reads."""
    onnx.helper.set_model_props(model, {"labels": '{"a": {}}', "names": "[1, {2: 3}", "preprocessing": "yes"})
    return model


def _large_text(model: ModelProto) -> ModelProto:
    model.doc_string = "x" * 5_000_000
    return model


QDQ, QOPERATOR = QuantFormat.QDQ, QuantFormat.QOperator
CASES: dict[str, Maker] = {
    "float": _model("the network itself", lambda model: model),
    "qdq": _static("quantize_static QDQ", QDQ),
    "qdq_channel": _static("quantize_static QDQ, per channel", QDQ, per_channel=True),
    "qdq_uint8": _static(
        "quantize_static QDQ, uint8", QDQ, activation_type=QuantType.QUInt8, weight_type=QuantType.QUInt8
    ),
    "qdq_16": _static(
        "quantize_static QDQ, 16-bit activations",
        QDQ,
        activation_type=QuantType.QUInt16,
        weight_type=QuantType.QInt8,
    ),
    "qdq_int16": _static("quantize_static QDQ, int16", QDQ, activation_type=QuantType.QInt16),
    "qdq_contrib": _static(
        "quantize_static QDQ, operators of com.microsoft", QDQ, extra_options={"UseQDQContribOps": True}
    ),
    "qoperator": _static("quantize_static QOperator", QOPERATOR),
    "qoperator_uint8": _static(
        "quantize_static QOperator, uint8",
        QOPERATOR,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QUInt8,
    ),
    "qoperator_channel": _static("quantize_static QOperator, per channel", QOPERATOR, per_channel=True),
    "prepared": _pre_processed,
    "dynamic": _file("quantize_dynamic", quantize_dynamic),
    "dynamic_uint8": _file(
        "quantize_dynamic uint8",
        lambda source, path: quantize_dynamic(source, path, weight_type=QuantType.QUInt8),
    ),
    "dynamic_external": _file("quantize_dynamic, two files", _external),
    "int4": _file("MatMulNBits, 4 bits, block 16", _nbits),
    "basic": _file("offline optimised, basic", _optimised(LEVELS.ORT_ENABLE_BASIC)),
    "extended": _file("offline optimised, extended (FusedConv)", _optimised(LEVELS.ORT_ENABLE_EXTENDED)),
    "all": _file("offline optimised, all (nchwc)", _optimised(LEVELS.ORT_ENABLE_ALL), expected=False),
    "ort": _file("the runtime's format .ort", _ort, newer=True, expected=False),
    "float16": _model(
        "onnxconverter-common float16, keep_io_types",
        lambda model: float16.convert_float_to_float16(model, keep_io_types=True),
    ),
    "float16_all": _model("onnxconverter-common float16", float16.convert_float_to_float16),
    "mixed": _mixed,
    "simplified": _model("onnxsim", _simplified),
    "ir_14": _model("IR version 14, as the newest onnx writes it", _newer_ir, newer=True),
    "foreign_metadata": _model("metadata of another tool", _described),
    "large_text": _model("a doc_string of 5 MB", _large_text),
    **{f"opset_{opset}": _converted(opset) for opset in (18, 19, 20, 21, 22, 23, 24)},
}

if __name__ == "__main__":
    run("onnxruntime", ("onnxruntime", "onnx", "onnxconverter-common", "onnxsim"), CASES)
