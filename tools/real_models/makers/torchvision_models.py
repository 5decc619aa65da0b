"""Networks of torchvision, with the preset of their weights as it is printed."""

from typing import Any

import torch
from torch import nn
from torchvision import models

from tools.real_models.makers import torch_networks as nets
from tools.real_models.makers.case import CLASSES, Case, Maker, run

NAMES = (
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mnasnet0_5",
    "efficientnet_b0",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "densenet121",
)


def _network(case: Case, name: str, prepare: nets.Prepare) -> Any:
    torch.manual_seed(1)
    network = nets.calm(models.get_model(name, weights=None, num_classes=CLASSES))
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    return nets.fit(network, last, nets.batch(case.photographs, prepare))


def _preset(name: str) -> Maker:
    """A network in one file with its preset in the field `preprocessing`."""

    def make(case: Case) -> None:
        prepare = models.get_model_weights(name).IMAGENET1K_V1.transforms()
        network = _network(case, name, prepare)
        nets.legacy(network, torch.zeros(1, 3, 224, 224), case.path(f"{name}.onnx"))
        case.path("preset.txt").write_text(str(prepare))
        answer = nets.answer(network, prepare)
        case.save(f"{name}, its preset as printed", answer, preprocessing="preset.txt")

    return make


def _default(name: str) -> Maker:
    """A network as torch exports it by default, with nothing said about images."""

    def make(case: Case) -> None:
        network = _network(case, name, nets.preset())
        torch.onnx.export(network, (torch.zeros(1, 3, 224, 224),), str(case.path(f"{name}.onnx")))
        case.save(f"{name}, default exporter, two files", nets.answer(network, nets.preset()))

    return make


CASES: dict[str, Maker] = {
    **{name: _preset(name) for name in NAMES},
    **{
        f"{name}_default": _default(name) for name in ("shufflenet_v2_x0_5", "mobilenet_v3_small", "resnet18")
    },
}

if __name__ == "__main__":
    run("torchvision", ("torchvision", "torch", "onnx"), CASES)
