"""`torch.onnx.export` in its ways to write a file: exporters, opsets, free axes, data in other files."""

from typing import Any

import onnx
import torch

from tools.real_models.makers import torch_networks as nets
from tools.real_models.makers.case import Case, Maker, run

LEGACY = range(9, 21)
DYNAMO = (18, 20, 21, 22, 23)
EXAMPLE = torch.zeros(1, 3, 224, 224)


def _save(case: Case, network: Any, what: str, **options: Any) -> None:
    case.save(what, nets.answer(network, nets.preset()), **options)


def _network(case: Case) -> Any:
    return nets.small(case.photographs, nets.preset())


def _legacy(opset: int) -> Maker:
    def make(case: Case) -> None:
        network = _network(case)
        nets.legacy(network, EXAMPLE, case.path("model.onnx"), opset_version=opset)
        _save(case, network, f"dynamo=False, opset {opset}")

    return make


def _dynamo(opset: int) -> Maker:
    def make(case: Case) -> None:
        network = _network(case)
        nets.dynamo(network, EXAMPLE, case.path("model.onnx"), opset_version=opset)
        _save(case, network, f"default exporter, opset {opset}, external_data=False")

    return make


def _axes(name: str, **options: Any) -> Maker:
    def make(case: Case) -> None:
        network = _network(case)
        nets.legacy(network, EXAMPLE, case.path("model.onnx"), input_names=["input"], **options)
        _save(case, network, name)

    return make


def default(case: Case) -> None:
    """Exactly the two files of the shortest call."""
    network = _network(case)
    torch.onnx.export(network, (EXAMPLE,), str(case.path("m.onnx")))
    _save(case, network, "torch.onnx.export(model, args, 'm.onnx'): two files")


def without_data(case: Case) -> None:
    """The first of the two files alone, which nobody can serve."""
    default(case)
    _save(case, _network(case), "the .onnx file without its .onnx.data", send=["m.onnx"], expected=False)


def data_alone(case: Case) -> None:
    """The second of the two files alone."""
    default(case)
    _save(case, _network(case), "the .onnx.data file alone", send=["m.onnx.data"], expected=False)


def program(case: Case) -> None:
    """What `torch.onnx.export` gives back, saved."""
    network = _network(case)
    torch.onnx.export(network, (EXAMPLE,)).save(str(case.path("model.onnx")))
    _save(case, network, "torch.onnx.export(model, args).save(path)")


def program_data(case: Case) -> None:
    """The same with its data in a second file."""
    network = _network(case)
    torch.onnx.export(network, (EXAMPLE,)).save(str(case.path("model.onnx")), external_data=True)
    _save(case, network, "torch.onnx.export(model, args).save(path, external_data=True)")


def free_batch(case: Case) -> None:
    """A free batch size, said in the newer way."""
    network, free = _network(case), torch.export.Dim("batch")
    example = torch.zeros(2, 3, 224, 224)
    nets.dynamo(network, example, case.path("model.onnx"), dynamic_shapes=({0: free},))
    _save(case, network, "default exporter, dynamic_shapes batch")


def free_batch_data(case: Case) -> None:
    """A free batch size and two files."""
    network = _network(case)
    shapes = {"dynamic_shapes": ({0: "batch"},), "external_data": True}
    nets.dynamo(network, torch.zeros(2, 3, 224, 224), case.path("model.onnx"), **shapes)
    _save(case, network, "default exporter, dynamic_shapes batch, two files")


def free_size(case: Case) -> None:
    """Free batch, height and width."""
    network = _network(case)
    shapes = ({0: "batch", 2: "height", 3: "width"},)
    nets.dynamo(network, torch.zeros(2, 3, 224, 256), case.path("model.onnx"), dynamic_shapes=shapes)
    _save(case, network, "default exporter, dynamic_shapes batch, height, width")


def scripted(case: Case) -> None:
    """A network that was scripted before."""
    network = _network(case)
    nets.legacy(torch.jit.script(network), EXAMPLE, case.path("model.onnx"))
    _save(case, network, "torch.jit.script, dynamo=False")


def joined(case: Case) -> None:
    """What people advise: both files read, and saved as one."""
    default(case)
    onnx.save(onnx.load(case.path("m.onnx")), case.path("one.onnx"))
    _save(case, _network(case), "onnx.save(onnx.load('m.onnx'), 'one.onnx')", send=["one.onnx"])


def _external(what: str, **options: Any) -> Maker:
    def make(case: Case) -> None:
        network = _network(case)
        path = case.path("model.onnx")
        nets.legacy(network, EXAMPLE, path)
        whole = onnx.load(path)
        onnx.save(whole, path, save_as_external_data=True, size_threshold=0, **options)
        _save(case, network, what)

    return make


CASES: dict[str, Maker] = {
    "default": default,
    "default_without_data": without_data,
    "default_data_alone": data_alone,
    "program": program,
    "program_data": program_data,
    "joined": joined,
    "free_batch": free_batch,
    "free_batch_data": free_batch_data,
    "free_size": free_size,
    "scripted": scripted,
    "external_one": _external("onnx.save, all weights in weights.bin", location="weights.bin"),
    "external_each": _external("onnx.save, each weight in a file", all_tensors_to_one_file=False),
    "external_attributes": _external(
        "onnx.save, attributes in the data file too", location="model.data", convert_attribute=True
    ),
    "legacy_batch": _axes("dynamo=False, dynamic_axes batch", dynamic_axes={"input": {0: "batch"}}),
    "legacy_free": _axes(
        "dynamo=False, dynamic_axes batch, height, width",
        dynamic_axes={"input": {0: "batch", 2: "height", 3: "width"}},
    ),
    "legacy_unfolded": _axes("dynamo=False, no constant folding", do_constant_folding=False),
    "legacy_inputs": _axes("dynamo=False, weights among the inputs", keep_initializers_as_inputs=True),
    **{f"legacy_{opset:02}": _legacy(opset) for opset in LEGACY},
    **{f"dynamo_{opset}": _dynamo(opset) for opset in DYNAMO},
}

if __name__ == "__main__":
    run("torch", ("torch", "torchvision", "onnx", "onnxscript"), CASES)
