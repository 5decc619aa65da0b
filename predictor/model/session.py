"""Build a session on a device; run a batch. The only user of onnxruntime.

A session is created in a worker, after the fork, and never before: neither CUDA nor the
runtime's thread pools survive a fork.
"""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.errors import Internal, InvalidModel, NotReady
from predictor.model.device import Device, visible_environment
from predictor.model.spec import Graph, Tensor

# Read by the runtime at its import: its Linux builds send usage data otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_ERRORS_ONLY = 3
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int64)": "int64",
}

Names = tuple[str, str]
"""The names of an input and an output."""

log = logging.getLogger(__name__)


class Session:
    """A loaded model that many threads may run at once."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.provider: str = session.get_providers()[0]
        self.graph = Graph(
            inputs=tuple(_tensor(node) for node in session.get_inputs()),
            outputs=tuple(_tensor(node) for node in session.get_outputs()),
            metadata=dict(session.get_modelmeta().custom_metadata_map),
        )

    def run(
        self, batch: npt.NDArray[Any], names: Names | None = None, stop: "Stop | None" = None
    ) -> npt.NDArray[Any]:
        """Run the model from one of its inputs to one of its outputs.

        Args:
            batch: pictures, shape [batch, ...] and element type as the graph's input has them.
            names: of the input and the output; by default the first of each.
            stop: a way to end this run from another thread.

        Returns:
            Class scores, shape [batch, classes] or [batch, classes, 1, 1].

        Raises:
            Internal: the runtime failed on this batch, or was stopped.
        """
        image, scores = names or (self.graph.inputs[0].name, self.graph.outputs[0].name)
        options = None if stop is None else stop.options
        try:
            outputs = self._session.run([scores], {image: batch}, options)
        except Exception as error:
            log.exception("The model failed on a batch of %d", len(batch))
            raise Internal("The model failed on this picture.") from error
        return np.asarray(outputs[0])


class Stop:
    """Ends one run between two of its operators; a single long operator ignores it."""

    def __init__(self) -> None:
        self.options = onnxruntime.RunOptions()

    def __call__(self) -> None:
        """End the run."""
        self.options.terminate = True


def load(path: Path, device: Device) -> Session:
    """Load an ONNX file on a device.

    On a GPU, the process must not have used CUDA before: the GPU is made the only one it sees.

    Raises:
        InvalidModel: the runtime cannot load the file.
        NotReady: a GPU was chosen, but its provider could not be started.
    """
    os.environ.update(visible_environment(device))
    try:
        session = onnxruntime.InferenceSession(str(path), _options(), providers=_providers(device))
    except Exception as error:
        log.exception("The runtime could not load a model")
        raise InvalidModel("The runtime could not load the model.") from error
    loaded = Session(session)
    # The runtime falls back to the CPU without an exception, so what counts is what it says afterwards.
    if device.kind == "cuda" and loaded.provider != _CUDA:
        raise NotReady(f"{device.name} was chosen, but the CUDA libraries could not be loaded.")
    return loaded


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # One thread a run, several runs at once: more pictures a second than one run on all cores.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return options


def _providers(device: Device) -> list[Any]:
    if device.kind == "cpu":
        return [_CPU]
    # CUDA and cuDNN may come as wheels, which the dynamic linker does not know.
    onnxruntime.preload_dlls()
    return [(_CUDA, {"device_id": 0, "arena_extend_strategy": "kSameAsRequested"}), _CPU]


def _tensor(node: Any) -> Tensor:
    shape = tuple(axis if isinstance(axis, int) else None for axis in node.shape)
    return Tensor(node.name, _DTYPES.get(node.type, node.type), shape)
