"""The usual exports once more, by the newest torch that the package registry has."""

from tools.real_models.makers.case import run
from tools.real_models.makers.torch_export import CASES

NAMES = ("default", "program", "joined", "free_batch", "free_size", "legacy_17", "dynamo_23")

if __name__ == "__main__":
    run(
        "torch, newest", ("torch", "torchvision", "onnx", "onnxscript"), {name: CASES[name] for name in NAMES}
    )
