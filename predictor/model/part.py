"""Run a part of a graph, to see what becomes of images in it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.errors import Internal, InvalidModel

# First, as it says what the runtime may do at its import.
from predictor.model import session  # noqa: F401

import onnxruntime  # isort: skip

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
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        part = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InvalidModel("The runtime could not load a part of the model.") from error

    def run(images: Numbers) -> Numbers:
        try:
            return np.asarray(part.run(None, {part.get_inputs()[0].name: images})[0])
        except Exception as error:
            raise Internal("A part of the model failed on an image.") from error

    return run
