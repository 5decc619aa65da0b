"""Networks of timm with the `config.json` that it writes for a hub."""

import shutil
from typing import Any

import timm
import torch

from tools.real_models.makers import torch_networks as nets
from tools.real_models.makers.case import CLASSES, Case, Maker, run

SMALL = (
    "test_byobnet",
    "test_convnext",
    "test_convnext2",
    "test_convnext3",
    "test_efficientnet",
    "test_efficientnet_evos",
    "test_efficientnet_gn",
    "test_efficientnet_ln",
    "test_mambaout",
    "test_nfnet",
    "test_resnet",
    "test_vit",
    "test_vit2",
    "test_vit3",
)
REAL = ("mobilenetv3_small_050", "lcnet_050", "tinynet_e", "ghostnet_050", "mobilevitv2_050")
PAIRS = ("test_vit", "test_vit4", "test_resnet", "test_efficientnet")


def _network(case: Case, name: str) -> tuple[Any, nets.Prepare, Any]:
    """A network, what prepares its images, and an example of its input."""
    torch.manual_seed(3)
    network = timm.create_model(name, num_classes=CLASSES).eval()
    network = nets.calm(network) if name in REAL else network
    config = timm.data.resolve_model_data_config(network)
    prepare = timm.data.create_transform(**config, is_training=False)
    nets.fit(network, network.get_classifier(), nets.batch(case.photographs, prepare))
    return network, prepare, torch.zeros(1, *config["input_size"])


def _describe(case: Case, network: Any) -> None:
    """Write the `config.json` of a folder for a hub, without the weights in torch's form."""
    folder = case.folder / "hub"
    timm.models.save_for_hf(network, str(folder))
    shutil.copy(folder / "config.json", case.path("config.json"))
    shutil.rmtree(folder)


def _one_file(name: str) -> Maker:
    def make(case: Case) -> None:
        network, prepare, example = _network(case, name)
        nets.legacy(network, example, case.path("model.onnx"))
        _describe(case, network)
        case.save(f"{name}, config.json", nets.answer(network, prepare))

    return make


def _two_files(name: str) -> Maker:
    def make(case: Case) -> None:
        network, prepare, example = _network(case, name)
        torch.onnx.export(network, (example,), str(case.path(f"{name}.onnx")))
        _describe(case, network)
        case.save(f"{name}, config.json, default exporter, two files", nets.answer(network, prepare))

    return make


def sizes(case: Case) -> None:
    """Free height and width: the size stands in `config.json`."""
    network, prepare, example = _network(case, "test_resnet")
    axes = {"input": {0: "batch", 2: "height", 3: "width"}}
    nets.legacy(network, example, case.path("model.onnx"), input_names=["input"], dynamic_axes=axes)
    _describe(case, network)
    case.save("test_resnet, config.json, free height and width", nets.answer(network, prepare))


CASES: dict[str, Maker] = {
    **{name: _one_file(name) for name in (*SMALL, *REAL)},
    **{f"{name}_default": _two_files(name) for name in PAIRS},
    "test_resnet_free": sizes,
}

if __name__ == "__main__":
    run("timm", ("timm", "torch", "onnx"), CASES)
