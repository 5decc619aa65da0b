"""Starts a module of this folder: `python -m tools.real_models.makers.start timm_models --out ...`.

torchvision is built for CUDA. Beside torch for CPUs its operators cannot be loaded, and its import fails
where it describes two of them, which no classifier calls. They are declared here.
"""

import runpy
import sys
from contextlib import suppress

_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def main() -> None:
    """Run the module that the first argument names, with the others."""
    module = sys.argv.pop(1)
    with suppress(ImportError):
        _declare()
    runpy.run_module(f"tools.real_models.makers.{module}", run_name="__main__", alter_sys=True)


def _declare() -> None:
    import torch

    try:
        import torchvision  # noqa: F401 - only whether it can be imported
    except RuntimeError:
        for name in _OPERATORS:
            torch.library.define(f"torchvision::{name}", _SCHEMA)


if __name__ == "__main__":
    main()
