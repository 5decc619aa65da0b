"""The bundled network in the forms that quantisers make of it, as people find it in model collections."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from predictor.config import BUNDLED_MODEL
from tools.efficientnet_lite import PIXEL_SCALE, PIXEL_ZERO_POINT

Pixels = npt.NDArray[np.uint8]


def float_form() -> ModelProto:
    """The network without its metadata: normalised pixels in as float32 NHWC, float32 weights."""
    model = onnx.load(BUNDLED_MODEL)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = list(_in_float(graph.node, constants))
    del graph.node[:], graph.initializer[:], model.metadata_props[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants.values())
    graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return model


def _in_float(nodes: Any, constants: dict[str, TensorProto]) -> Iterator[NodeProto]:
    """Leave out what makes numbers of pixels and of half-precision weights, whose values become constants."""
    for node in nodes:
        if node.op_type == "Cast":
            half = numpy_helper.to_array(constants.pop(node.input[0]))
            constants[node.output[0]] = numpy_helper.from_array(half.astype(np.float32), node.output[0])
        elif node.op_type == "Transpose":
            node.input[0] = "image"
            yield node
        elif node.op_type == "DequantizeLinear":
            for name in node.input[1:]:
                del constants[name]
        else:
            yield node


def values(pixels: Pixels) -> npt.NDArray[np.float32]:
    """What goes into the float form for pixels; the same shape, [batch, 224, 224, 3]."""
    return (pixels.astype(np.float32) - PIXEL_ZERO_POINT) * np.float32(PIXEL_SCALE)


def preprocessing() -> dict[str, Any]:
    """How a image becomes what goes in, as JSON."""
    return {
        "size": 224,
        "resize": "crop",
        "resize_to": 256,
        "interpolation": "bicubic",
        "scale": 1.0,
        "mean": PIXEL_ZERO_POINT,
        "std": 1 / PIXEL_SCALE,
    }


def quantised(pixels: Pixels) -> bytes:
    """The network with integer operators, in a second: the form of `efficientnet-lite4-11-int8.onnx`.

    Args:
        pixels: images that show the quantiser the range of each tensor, shape [batch, 224, 224, 3].

    Returns:
        The file, whose operators are ONNX's and the runtime's own.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantised.onnx"
        quantize_static(float_form(), path, _Images(pixels), quant_format=QuantFormat.QOperator)
        return path.read_bytes()


class _Images(CalibrationDataReader):
    """Hands the quantiser one image after the other."""

    def __init__(self, pixels: Pixels) -> None:
        self._feeds = iter([{"image": values(one[np.newaxis])} for one in pixels])

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """What goes into the network for the next image; None after the last."""
        return next(self._feeds, None)
