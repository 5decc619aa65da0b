"""torchvision's preset `ImageClassification`, as an object of its arguments, as it prints itself, or by name.

Defaults and named values are those of torchvision 0.28.
"""

import re
from collections.abc import Mapping
from typing import Any

from predictor.discovery.configs.declared import IMAGENET, SCALE, DeclaredPreprocessing, Record
from predictor.model import strict_text

_FILTERS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
_KNOWN = ("crop_size", "resize_size", "mean", "std", "interpolation", "antialias")
_PRINTED = re.compile(r"ImageClassification\s*\((?P<arguments>[^()]{0,1000})\)\s*")
_ARGUMENT = re.compile(r"^\s*(\w+)\s*=\s*(.+)$", re.MULTILINE)
_SOURCE = "torchvision's preset"
# The short side before the cut that the weights of ResNet and of most others have.
_WEIGHTS = {"imagenet1k_v1": 256, "imagenet1k_v2": 232}


def is_preset(value: Mapping[str, Any]) -> bool:
    """Whether an object looks like the preset's arguments."""
    return "resize_size" in value or "crop_size" in value


def read(value: Mapping[str, Any]) -> DeclaredPreprocessing:
    """Read the preset's arguments.

    Raises:
        ValueError: a field is unknown or wrong.
    """
    record = Record(value, _KNOWN)
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


def from_text(text: str) -> DeclaredPreprocessing | None:
    """Read the name of a weights entry, or the preset as it prints itself; None if it is neither.

    Raises:
        ValueError: it is the preset, but a value is unknown or wrong.
    """
    name = text.strip().rpartition(".")[2].lower()
    if name in _WEIGHTS:
        values = {
            "resize": "crop",
            "resize_to": _WEIGHTS[name],
            "interpolation": "bilinear",
            "channels": "RGB",
        }
        mean, std = IMAGENET
        source = f"the name {name.upper()} of torchvision's weights"
        return DeclaredPreprocessing(source, {**values, "scale": SCALE, "mean": mean, "std": std})
    printed = _PRINTED.fullmatch(text.strip())
    return None if printed is None else read(dict(map(_argument, _ARGUMENT.findall(printed["arguments"]))))


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
