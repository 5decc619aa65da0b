"""Classifiers whose inputs are of every form that people export from PyTorch."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torchvision import transforms

from tools.real_models.makers import case as cases
from tools.real_models.makers import torch_networks as nets
from tools.real_models.makers.case import Array, Case, Maker, run

_PIXELS = torch.tensor(nets.MEAN).view(1, 3, 1, 1) * 255, torch.tensor(nets.STD).view(1, 3, 1, 1) * 255
_LAST = (0, 3, 1, 2)
_DIGITS = {"size": 28, "resize": "stretch", "channels": "L", "scale": 1 / 255}
Take = Callable[[Any], Any]


def _normalised(pixels: Any) -> Any:
    mean, std = _PIXELS
    return (pixels.float() - mean) / std


def _stretched(photograph: Any) -> Any:
    """What TensorFlow's tools do, and so what is assumed where the channels come last."""
    return photograph.resize((224, 224), 2)


def _answer(network: Any, prepare: nets.Prepare, first: Take) -> cases.Answer:
    """The network's answer to pixels that an image is turned to by other means than the preset."""

    def confidences(photograph: Any) -> Array:
        pixels = torch.from_numpy(np.asarray(prepare(cases.opened(photograph))).copy())
        with torch.no_grad():
            return cases.softmax(network(first(pixels[None]))[0].double().numpy())

    return confidences


def _crop(photograph: Any) -> Any:
    """The part that torchvision's preset keeps, as an image of 224 x 224 pixels."""
    return transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(photograph)


def _usual(case: Case, what: str, first: Take, example: Any, **options: Any) -> None:
    """The usual network behind something that makes its input of another one."""
    network = nets.small(case.photographs, nets.preset())
    expected, preprocessing = options.pop("expected", True), options.pop("preprocessing", None)
    nets.legacy(nets.Through(network, first=first).eval(), example, case.path("model.onnx"), **options)
    last = example.shape[-1] == 3
    answer = (
        _answer(network, _stretched, lambda x: _normalised(x.permute(_LAST)))
        if last
        else nets.answer(network, nets.preset())
    )
    case.save(what, answer, expected=expected, preprocessing=preprocessing)


def _takes(what: str, first: Take, shape: tuple[int, ...], dtype: Any, **options: Any) -> Maker:
    return lambda case: _usual(case, what, first, torch.zeros(shape, dtype=dtype), **options)


def _pixels_first(what: str, dtype: Any) -> Maker:
    """Pixels 0 to 255 in NCHW, of some element type; the graph normalises them."""

    def make(case: Case) -> None:
        network = nets.small(case.photographs, nets.preset())
        example = torch.zeros(1, 3, 224, 224, dtype=dtype)
        nets.legacy(nets.Through(network, first=_normalised).eval(), example, case.path("model.onnx"))
        case.save(what, _answer(network, _crop, lambda x: _normalised(x.permute(_LAST))))

    return make


def _grey(what: str, shape: tuple[int, ...], *, said: bool = True) -> Maker:
    """A network of 28 x 28 grey pixels from 0 to 1, stretched, as the examples with digits have it."""

    def prepare(image: Any) -> Any:
        return transforms.functional.to_tensor(image.convert("L").resize((28, 28), 2))

    def make(case: Case) -> None:
        network = nets.small(case.photographs, prepare, channels=1)
        first = nets.Through(network, first=lambda x: x.reshape(-1, 1, 28, 28)).eval()
        axes = {"image": {0: "batch"}}
        nets.legacy(
            first, torch.zeros(shape), case.path("model.onnx"), input_names=["image"], dynamic_axes=axes
        )
        given = None
        if said:
            given = "preprocessing.json"
            case.path(given).write_text(json.dumps(_DIGITS))
        case.save(what, nets.answer(network, prepare), preprocessing=given)

    return make


def half(case: Case) -> None:
    """A network in half precision."""
    network = nets.small(case.photographs, nets.preset())
    answer = nets.answer(network, nets.preset())
    expected = {path.name: answer(path) for path in case.photographs}
    nets.legacy(network.half(), torch.zeros(1, 3, 224, 224).half(), case.path("model.onnx"))
    case.save("network.half()", lambda photograph: expected[photograph.name])


def double(case: Case) -> None:
    """A network in double precision."""
    network = nets.small(case.photographs, nets.preset())
    cast = nets.Through(network, first=lambda x: x.float()).eval()
    nets.legacy(cast, torch.zeros(1, 3, 224, 224).double(), case.path("model.onnx"))
    case.save("input float64", nets.answer(network, nets.preset()))


def fixed_batch(case: Case) -> None:
    """A batch size of eight that cannot be changed."""
    network = nets.small(case.photographs, nets.preset())
    nets.legacy(network, torch.zeros(8, 3, 224, 224), case.path("model.onnx"))
    case.save("batch size fixed to 8", nets.answer(network, nets.preset()))


def two_inputs(case: Case) -> None:
    """An image and a table's row, which nobody can send."""
    network = nets.small(case.photographs, nets.preset())

    class Both(torch.nn.Module):
        """Adds a row to the logits."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Any, row: Any) -> Any:
            """Logits."""
            return self.network(image) + row

    example = (torch.zeros(1, 3, 224, 224), torch.zeros(1, 12))
    nets.legacy(Both().eval(), example, case.path("model.onnx"), input_names=["image", "row"])
    case.save("an image and a row of a table", None, expected=False)


def _size(side: int, prepare: nets.Prepare | None = None) -> Maker:
    def make(case: Case) -> None:
        prepared = prepare or nets.preset(side)
        network = nets.small(case.photographs, prepared)
        nets.legacy(network, torch.zeros(1, 3, side, side), case.path("model.onnx"))
        stretched = ", stretched" if prepare else ""
        case.save(f"input of {side} x {side}{stretched}", nets.answer(network, prepared))

    return make


CASES: dict[str, Maker] = {
    "uint8_last": _takes(
        "uint8 NHWC, normalised inside",
        lambda x: _normalised(x.permute(_LAST)),
        (1, 224, 224, 3),
        torch.uint8,
    ),
    "float_last": _takes(
        "float32 NHWC 0 to 255, normalised inside",
        lambda x: _normalised(x.permute(_LAST)),
        (1, 224, 224, 3),
        torch.float32,
    ),
    "hwc": _takes(
        "uint8 HWC, no batch axis",
        lambda x: _normalised(x.permute(2, 0, 1)[None]),
        (224, 224, 3),
        torch.uint8,
    ),
    "chw": _takes("float32 CHW, no batch axis", lambda x: x[None], (3, 224, 224), torch.float32),
    "uint8": _pixels_first("uint8 NCHW, normalised inside", torch.uint8),
    "int32": _pixels_first("int32 NCHW pixels, normalised inside", torch.int32),
    "int64": _pixels_first("int64 NCHW pixels, normalised inside", torch.int64),
    "float255": _pixels_first("float32 NCHW 0 to 255, normalised inside", torch.float32),
    "double255": _pixels_first("float64 NCHW 0 to 255, normalised inside", torch.float64),
    "grey": _grey("grey [N, 1, 28, 28], own JSON", (1, 1, 28, 28)),
    "grey_3": _grey("grey [N, 28, 28], own JSON", (1, 28, 28)),
    "grey_flat": _grey("grey [N, 784], own JSON", (1, 784)),
    "half": half,
    "double": double,
    "fixed_batch": fixed_batch,
    "two_inputs": two_inputs,
    "size_64": _size(64, nets.stretched(64)),
    "size_160": _size(160),
    "size_384": _size(384),
    "channels_6": _takes("6 channels", lambda x: x[:, :3], (1, 6, 224, 224), torch.float32, expected=False),
}

if __name__ == "__main__":
    run("torch", ("torch", "torchvision", "onnx", "onnxscript"), CASES)
