"""Run a part of a graph, to see what becomes of images in it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.errors import Internal, InvalidModel
from predictor.model.onnx_runtime import runtime

Numbers = npt.NDArray[Any]
"""A tensor."""
Runner = Callable[[Numbers], Numbers]
"""What computes a tensor from another, or raises `Internal`."""

_FATAL_ONLY = 4


def part_of(model: bytes) -> Runner:
    """What computes the output of a small model from its input on the CPU, without a line in the log.

    Raises:
        InvalidModel: the runtime cannot load it.
    """
    options = runtime().SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    options.graph_optimization_level = runtime().GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        part = runtime().InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InvalidModel("The runtime could not load a part of the model.") from error

    def run(images: Numbers) -> Numbers:
        try:
            return np.asarray(part.run(None, {part.get_inputs()[0].name: images})[0])
        except Exception as error:
            raise Internal("A part of the model failed on an image.") from error

    return run
