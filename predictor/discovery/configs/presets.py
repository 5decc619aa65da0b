"""torchvision's presets: the arguments of one, one as it prints itself, and the names of its weights.

Defaults, and what the names stand for, are those of torchvision 0.28.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from predictor.discovery.configs.declared import HALF, IMAGENET, SCALE, DeclaredPreprocessing, Record
from predictor.model import strict_text

_FILTERS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
_OF_PRESET = ("crop_size", "resize_size", "mean", "std", "interpolation", "antialias")
_PRINTED = re.compile(r"ImageClassification\s*\((?P<arguments>[^()]{0,1000})\)\s*")
_ARGUMENT = re.compile(r"^\s*(\w+)\s*=\s*(.+)$", re.MULTILINE)
_NAME = re.compile(r"(?:\w{1,100}\.){0,5}?(?:(?P<owner>\w{1,100})\.)?(?P<entry>\w{1,100})")
_SOURCE = "torchvision's preset"
# The short side before the cut that the weights of ResNet and of most others have.
_WEIGHTS = {"imagenet1k_v1": 256, "imagenet1k_v2": 232}
# All other classifiers: the side of the input, the short side before the cut, and the filter.
_LINEAR = (224, 224, "bicubic")
_OTHERS: dict[str, dict[str, tuple[int, int, str]]] = {
    "imagenet1k_v1": {
        "convnext_base": (224, 232, "bilinear"),
        "convnext_large": (224, 232, "bilinear"),
        "convnext_small": (224, 230, "bilinear"),
        "convnext_tiny": (224, 236, "bilinear"),
        "efficientnet_b0": (224, 256, "bicubic"),
        "efficientnet_b1": (240, 256, "bicubic"),
        "efficientnet_b2": (288, 288, "bicubic"),
        "efficientnet_b3": (300, 320, "bicubic"),
        "efficientnet_b4": (380, 384, "bicubic"),
        "efficientnet_b5": (456, 456, "bicubic"),
        "efficientnet_b6": (528, 528, "bicubic"),
        "efficientnet_b7": (600, 600, "bicubic"),
        "efficientnet_v2_l": (480, 480, "bicubic"),
        "efficientnet_v2_m": (480, 480, "bilinear"),
        "efficientnet_v2_s": (384, 384, "bilinear"),
        "inception_v3": (299, 342, "bilinear"),
        "maxvit_t": (224, 224, "bicubic"),
        "mnasnet0_75": (224, 232, "bilinear"),
        "mnasnet1_3": (224, 232, "bilinear"),
        "resnext101_64x4d": (224, 232, "bilinear"),
        "shufflenet_v2_x1_5": (224, 232, "bilinear"),
        "shufflenet_v2_x2_0": (224, 232, "bilinear"),
        "swin_b": (224, 238, "bicubic"),
        "swin_s": (224, 246, "bicubic"),
        "swin_t": (224, 232, "bicubic"),
        "swin_v2_b": (256, 272, "bicubic"),
        "swin_v2_s": (256, 260, "bicubic"),
        "swin_v2_t": (256, 260, "bicubic"),
        "vit_l_16": (224, 242, "bilinear"),
    },
    "imagenet1k_v2": {"efficientnet_b1": (240, 255, "bilinear")},
    "imagenet1k_swag_e2e_v1": {
        "regnet_y_128gf": (384, 384, "bicubic"),
        "regnet_y_16gf": (384, 384, "bicubic"),
        "regnet_y_32gf": (384, 384, "bicubic"),
        "vit_b_16": (384, 384, "bicubic"),
        "vit_h_14": (518, 518, "bicubic"),
        "vit_l_16": (512, 512, "bicubic"),
    },
    "imagenet1k_swag_linear_v1": {
        **dict.fromkeys(("regnet_y_128gf", "regnet_y_16gf", "regnet_y_32gf"), _LINEAR),
        **dict.fromkeys(("vit_b_16", "vit_h_14", "vit_l_16"), _LINEAR),
    },
}
# Of the classifiers above, those that do not have ImageNet's mean and standard deviation.
_HALVED = ("efficientnet_v2_l",)
_SEND = "Send str(Weights.transforms()) in place of the name."
_NOT_KNOWN = f"{{}} is not among the names of weights that this service knows. {_SEND}"
_TOO_SMALL = f"{{}} stands for a short side of {{}} pixels, which is below the model's input of {{}}. {_SEND}"

Size = tuple[int | None, int | None]


def is_preset(value: Mapping[str, Any]) -> bool:
    """Whether an object looks like the preset's arguments."""
    return "resize_size" in value or "crop_size" in value


def read(value: Mapping[str, Any]) -> DeclaredPreprocessing:
    """Read the preset's arguments.

    Raises:
        ValueError: a field is unknown or wrong.
    """
    record = Record(value, _OF_PRESET)
    if not record.flag("antialias", True):
        raise record.wrong("antialias", "must be true, because images are resized with it")
    crop = record.sides("crop_size") if "crop_size" in record else (224,)
    resize = record.sides("resize_size") if "resize_size" in record else (256,)
    values = {
        "size": _pair(crop),
        "resize": "crop" if len(resize) == 1 else "stretch",
        "resize_to": resize[0] if len(resize) == 1 else _pair(resize),
        "interpolation": _interpolation(record),
        "channels": "RGB",
        "scale": SCALE,
        "mean": record.numbers("mean", IMAGENET[0]),
        "std": record.numbers("std", IMAGENET[1]),
    }
    return DeclaredPreprocessing(_SOURCE, values, {"size": "crop_size", "resize_to": "resize_size"})


def from_text(text: str, wanted: Size = (None, None)) -> DeclaredPreprocessing | None:
    """Read the name of a weights entry, or the preset as it prints itself; None if it is neither.

    Args:
        text: the name, perhaps with that of the architecture, or the printed preset.
        wanted: height and width that the graph's input has, None where they are free.

    Raises:
        ValueError: it is the preset, but a value is unknown or wrong; or it is the name of weights whose
            preset is not known.
    """
    printed = _PRINTED.fullmatch(text.strip())
    if printed is not None:
        return read(dict(map(_argument, _ARGUMENT.findall(printed["arguments"]))))
    name = _NAME.fullmatch(text.strip().strip("\"'"))
    return _of_weights(name["owner"] or "", name["entry"], wanted) if name else None


def _of_weights(owner: str, entry: str, wanted: Size) -> DeclaredPreprocessing | None:
    """The preset that a name of weights stands for. Returns None if the text does not name weights."""
    name = strict_text.shown(f"{owner}.{entry}" if owner else entry.upper())
    source = f"the name {name} of torchvision's weights"
    architecture, entry = owner.lower().removesuffix("_weights"), entry.lower()
    if preset := _OTHERS.get(entry, {}).get(architecture):
        side, short, interpolation = preset
        family = HALF if architecture in _HALVED else IMAGENET
        value = {"crop_size": side, "resize_size": short, "interpolation": interpolation}
        return replace(read({**value, "mean": [*family[0]], "std": [*family[1]]}), source=source)
    if entry in _WEIGHTS:
        largest = max(side or 0 for side in wanted)
        if owner and largest > _WEIGHTS[entry]:
            raise ValueError(_TOO_SMALL.format(name, _WEIGHTS[entry], largest))
        values = {"resize": "crop", "resize_to": _WEIGHTS[entry], "interpolation": "bilinear"}
        mean, std = IMAGENET
        return DeclaredPreprocessing(
            source, {**values, "channels": "RGB", "scale": SCALE, "mean": mean, "std": std}
        )
    if owner.lower().endswith("weights") and entry.startswith(("imagenet1k", "default")):
        raise ValueError(_NOT_KNOWN.format(name))
    return None


def _argument(pair: tuple[str, str]) -> tuple[str, Any]:
    name, printed = pair[0], pair[1].strip().removesuffix(",")
    if name == "antialias":
        return name, printed == "True"
    if name == "interpolation":
        return name, printed
    try:
        return name, strict_text.load_json(printed)
    except ValueError as error:
        raise ValueError(f"{name} must be a number or a list of numbers.") from error


def _interpolation(record: Record) -> str:
    name = record.text("interpolation", "bilinear").rpartition(".")[2].lower()
    if name not in _FILTERS:
        raise record.wrong("interpolation", f"must be one of {', '.join(_FILTERS)}")
    return name


def _pair(sides: tuple[int, ...]) -> tuple[int, int]:
    return sides[0], sides[-1]
