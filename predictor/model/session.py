"""Build a session on a device; run a batch.

A session is created in a worker, after the fork, and never before: neither CUDA nor the
runtime's thread pools survive a fork.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from predictor.errors import Internal, InvalidModel, NotReady, Stopped
from predictor.model.device import Device, visible_environment
from predictor.model.final_layers import with_outputs
from predictor.model.onnx_runtime import preload_cuda, runtime
from predictor.model.spec import Graph, Tensor

if TYPE_CHECKING:
    import onnxruntime

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_ERRORS_ONLY = 3
# Smaller weights stay in the file of the graph.
_SMALL_BYTES = 256
_SAME_NAMES = ("float16", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "bool")
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    **{f"tensor({name})": name for name in _SAME_NAMES},
}

WEIGHTS = ".weights"
"""How the name of the file ends that has the weights of an optimised graph."""
Names = tuple[str, str]
"""The names of an input and an output."""

log = logging.getLogger(__name__)


class Session:
    """A loaded model that many threads may run at once.

    Args:
        session: the runtime's.
        bind: whether to give each run the memory that it writes to; by default on a GPU.

    Attributes:
        provider: the execution provider in use.
        graph: what the file says of itself.
        bind: as above.
    """

    def __init__(self, session: "onnxruntime.InferenceSession", *, bind: bool | None = None) -> None:
        self._session = session
        self.provider: str = session.get_providers()[0]
        self.bind = self.provider == _CUDA if bind is None else bind
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
            batch: images, shape [batch, ...] and element type as the graph's input has them.
            names: of the input and the output; by default the first of each.
            stop: a way to end this run from another thread.

        Returns:
            Class scores, shape [batch, classes] or [batch, classes, 1, 1].

        Raises:
            Stopped: the run was stopped.
            Internal: the runtime failed on this batch.
        """
        image, scores = names or (self.graph.inputs[0].name, self.graph.outputs[0].name)
        output = self._output(scores, len(batch)) if self.bind else None
        if output is None:
            return self.run_to(batch, image, [scores], stop)[0]
        with _translated(len(batch), stop):
            return _Binding(self._session, (image, batch), (scores, output)).run(stop and stop.options)

    def run_to(
        self, batch: npt.NDArray[Any], image: str, outputs: Sequence[str], stop: "Stop | None" = None
    ) -> list[npt.NDArray[Any]]:
        """Run the model from one of its inputs to several of its outputs; raises what `run` raises."""
        with _translated(len(batch), stop):
            found = self._session.run(list(outputs), {image: batch}, stop and stop.options)
            return [np.asarray(one) for one in found]

    def _output(self, name: str, batch: int) -> npt.NDArray[Any] | None:
        """Memory for an output; None if the graph does not say how much it takes."""
        tensor = next(tensor for tensor in self.graph.outputs if tensor.name == name)
        lengths = [length for length in tensor.shape[1:] if length is not None]
        if len(lengths) != len(tensor.shape) - 1 or tensor.dtype not in _DTYPES.values():
            return None
        return np.empty((batch, *lengths), tensor.dtype)


@contextmanager
def _translated(batch: int, stop: "Stop | None") -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if stop is not None and stop.options.terminate:
            raise Stopped("The model was stopped on this image.") from error
        log.exception("The model failed on a batch of %d", batch)
        raise Internal("The model failed on this image.") from error


class _Binding:
    """One run between memory of ours: the runtime copies the scores straight to where they are wanted.

    Without it, each run allocates its output, which is then copied once more.

    Args:
        session: what to run; any number of bindings may run at once.
        image: name of an input, and what goes in.
        scores: name of an output, and where it goes.
    """

    def __init__(
        self,
        session: "onnxruntime.InferenceSession",
        image: tuple[str, npt.NDArray[Any]],
        scores: tuple[str, npt.NDArray[Any]],
    ) -> None:
        self._session = session
        (name, batch), (output, self._scores) = image, scores
        self._bound = session.io_binding()
        self._bound.bind_cpu_input(name, np.ascontiguousarray(batch))
        where = self._scores.ctypes.data
        self._bound.bind_output(output, "cpu", 0, self._scores.dtype, self._scores.shape, where)

    def run(self, options: "onnxruntime.RunOptions | None") -> npt.NDArray[Any]:
        """Run, and give the scores when they are there."""
        self._bound.synchronize_inputs()
        self._session.run_with_iobinding(self._bound, options)
        self._bound.synchronize_outputs()
        return self._scores


class Stop:
    """Ends one run between two of its operators; a single long operator ignores it."""

    def __init__(self) -> None:
        self.options = runtime().RunOptions()

    def __call__(self) -> None:
        """End the run."""
        self.options.terminate = True


def load(path: Path, device: Device, *, gpu_bytes: int | None = None, write: Path | None = None) -> Session:
    """Load an ONNX file on a device.

    On a GPU, the process must not have used CUDA before: the GPU is made the only one it sees.

    Args:
        path: the file.
        device: where its model will run.
        gpu_bytes: the most memory of a GPU that the session may take; by default all of it.
        write: file to which the optimised graph is written, with its weights as they are used in a file
            beside it; for `load_optimised` on the same kind of processor.

    Raises:
        InvalidModel: the runtime cannot load the file.
        NotReady: a GPU was chosen, but its provider could not be started.
    """
    os.environ.update(visible_environment(device))
    options = _options()
    if write is not None:
        options.optimized_model_filepath = str(write)
        for name, value in (
            ("session.optimized_model_external_initializers_file_name", write.with_suffix(WEIGHTS).name),
            ("session.optimized_model_external_initializers_min_size_in_bytes", str(_SMALL_BYTES)),
            ("session.save_external_prepacked_constant_initializers", "1"),
        ):
            options.add_session_config_entry(name, value)
    loaded = _loaded(path, options, _providers(device, gpu_bytes))
    # The runtime falls back to the CPU without an exception, so what counts is what it says afterwards.
    if device.kind == "cuda" and loaded.provider != _CUDA:
        raise NotReady(f"The CUDA libraries for {device.name} could not be loaded.")
    return loaded


def load_optimised(path: Path) -> Session:
    """Load on the CPU what `load` has written; all processes that do share the memory of its weights.

    Raises:
        InvalidModel: the runtime cannot load the file.
    """
    options = _options()
    # Whatever changed a weight would make it this session's own.
    options.graph_optimization_level = runtime().GraphOptimizationLevel.ORT_DISABLE_ALL
    return _loaded(path, options, [_CPU])


def load_with(path: Path, outputs: Sequence[str]) -> Session:
    """Load an ONNX file on the CPU with more of its tensors as outputs; raises as `load_optimised` does."""
    options = _options()
    # Weights may lie in files beside it.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    return _loaded(with_outputs(path.read_bytes(), outputs), options, [_CPU])


def _loaded(model: Path | bytes, options: "onnxruntime.SessionOptions", providers: list[Any]) -> Session:
    try:
        source = model if isinstance(model, bytes) else str(model)
        session = runtime().InferenceSession(source, options, providers=providers)
    except Exception as error:
        log.exception("The runtime could not load a model")
        raise InvalidModel("The runtime could not load the model; the service's log says why.") from error
    # A run that fails on a GPU is an error; the runtime would go on on the CPU for good, and not tell.
    session.disable_fallback()
    return Session(session)


def _options() -> "onnxruntime.SessionOptions":
    options = runtime().SessionOptions()
    # One thread a run, several runs at once: more images a second than one run on all cores.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return options


def _providers(device: Device, gpu_bytes: int | None) -> list[Any]:
    if device.kind == "cpu":
        return [_CPU]
    preload_cuda()
    limit = {} if gpu_bytes is None else {"gpu_mem_limit": gpu_bytes}
    return [(_CUDA, {"device_id": 0, "arena_extend_strategy": "kSameAsRequested", **limit}), _CPU]


def _tensor(node: Any) -> Tensor:
    shape = tuple(axis if isinstance(axis, int) else None for axis in node.shape)
    return Tensor(node.name, _DTYPES.get(node.type, node.type), shape)
