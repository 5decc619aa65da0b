"""The package onnxruntime, which each process loads when it needs it: gunicorn's master never does."""

import functools
import os
from typing import Any


@functools.cache
def runtime() -> Any:
    """The package."""
    # Read at its import: its Linux builds send usage data otherwise, from a thread of their own.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


@functools.cache
def preload_cuda() -> None:
    """Load CUDA and cuDNN where they come as wheels, which the dynamic linker does not know.

    The runtime prints what is missing: a worker that tries again each second would repeat it.
    """
    runtime().preload_dlls()


def release() -> str:
    """What runs the models, and its release."""
    return f"ONNX Runtime {runtime().__version__}"
