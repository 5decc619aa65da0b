"""What frameworks say of a model's images: torchvision's presets, Keras's modes, timm's configurations.

Defaults and named values are those of torchvision 0.28, of `preprocess_input` in
`keras.applications.imagenet_utils`, and of `timm.data.create_transform` in timm 1.0, which has the order of
the steps as well.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from predictor.discovery.configs.declared import (
    CAFFE_MEAN,
    HALF,
    IMAGENET,
    SCALE,
    DeclaredPreprocessing,
    Record,
)
from predictor.model import strict_text

_FILTERS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
_OF_PRESET = ("crop_size", "resize_size", "mean", "std", "interpolation", "antialias")
_PRINTED = re.compile(r"ImageClassification\s*\((?P<arguments>[^()]{0,1000})\)\s*")
_ARGUMENT = re.compile(r"^\s*(\w+)\s*=\s*(.+)$", re.MULTILINE)
_SOURCE = "torchvision's preset"
# The short side before the cut that the weights of ResNet and of most others have.
_WEIGHTS = {"imagenet1k_v1": 256, "imagenet1k_v2": 232}
_MODES: dict[str, dict[str, Any]] = {
    "tf": {"channels": "RGB", "scale": SCALE, "mean": HALF[0], "std": HALF[1]},
    "caffe": {"channels": "BGR", "scale": 1.0, "mean": CAFFE_MEAN, "std": (1.0,)},
    "torch": {"channels": "RGB", "scale": SCALE, "mean": IMAGENET[0], "std": IMAGENET[1]},
}
_OF_KERAS = ("mode", "data_format", "target_size", "interpolation", "keep_aspect_ratio")
_LAYOUTS = {"channels_first": "NCHW", "channels_last": "NHWC"}
_HOW_RESIZED = (
    "The Keras mode does not define the size: images are stretched to the size of the input "
    "with the bilinear filter."
)
_OUTER = "pretrained_cfg"
_CROPS = ("center", "squash", "border")
_OF_TIMM = {
    *("input_size", "test_input_size", "interpolation", "crop_pct", "test_crop_pct", "crop_mode"),
    *("mean", "std"),
}
# Where the weights come from, and what the network is made of.
_IGNORED = {
    "architecture",
    "classifier",
    "custom_load",
    "description",
    "file",
    "first_conv",
    "fixed_input_size",
    "hf_hub_filename",
    "hf_hub_id",
    "label_descriptions",
    "label_names",
    "label_offset",
    "license",
    "min_input_size",
    "notes",
    "num_classes",
    "origin_url",
    "paper_ids",
    "paper_name",
    "pool_size",
    "source",
    "state_dict",
    "tag",
    "test_pool_size",
    "url",
}


def is_preset(value: Mapping[str, Any]) -> bool:
    """Whether an object looks like the preset's arguments."""
    return "resize_size" in value or "crop_size" in value


def read_torchvision(value: Mapping[str, Any]) -> DeclaredPreprocessing:
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


def torchvision_from_text(text: str) -> DeclaredPreprocessing | None:
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
    return (
        None
        if printed is None
        else read_torchvision(dict(map(_argument, _ARGUMENT.findall(printed["arguments"]))))
    )


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


def is_keras(value: Mapping[str, Any]) -> bool:
    """Whether an object has a mode, and nothing that a mode of Keras does not come with."""
    return "mode" in value and value.keys() <= set(_OF_KERAS)


def read_keras(value: Mapping[str, Any]) -> DeclaredPreprocessing:
    """Read a mode with arguments.

    Raises:
        ValueError: a field is unknown or wrong.
    """
    record = Record(value, _OF_KERAS)
    mode = record.text("mode", "caffe", _MODES)
    if record.flag("keep_aspect_ratio", False):
        raise record.wrong("keep_aspect_ratio", "must not be true: it is not supported")
    values = {**_MODES[mode], "resize": "stretch"}
    if "data_format" in record:
        values["layout"] = _LAYOUTS[record.text("data_format", "", _LAYOUTS)]
    sized = "target_size" in record
    if sized:
        sides = record.sides("target_size")
        values["size"] = sides[0], sides[-1]
    # What load_img does if nothing else is asked of it.
    values["interpolation"] = record.text("interpolation", "nearest" if sized else "bilinear", _FILTERS)
    names = {"layout": "data_format", "size": "target_size"}
    return DeclaredPreprocessing(
        f"the Keras mode {mode}", values, names, warnings=() if sized else (_HOW_RESIZED,)
    )


def keras_from_text(text: str) -> DeclaredPreprocessing | None:
    """Read the name of a Keras mode; None if Keras has no mode of that name."""
    name = text.strip().lower()
    return read_keras({"mode": name}) if name in _MODES else None


def is_timm(value: Mapping[str, Any]) -> bool:
    """Whether an object looks like one of timm's configurations."""
    return _OUTER in value or (
        isinstance(value.get("input_size"), list) and not {"size", "target_size"} & value.keys()
    )


def read_timm(value: Mapping[str, Any], wanted: tuple[int | None, int | None]) -> DeclaredPreprocessing:
    """Read one of timm's configurations.

    Args:
        value: the configuration.
        wanted: height and width that the graph's input has, None where they are free. They pick the size
            for tests if the model was exported with that.

    Raises:
        ValueError: a field is unknown, wrong, or asks for what this service does not do.
    """
    nested = value.get(_OUTER)
    if nested is not None and not isinstance(nested, dict):
        raise ValueError(f"{_OUTER} must be an object.")
    record = Record(
        value if nested is None else nested, _OF_TIMM | _IGNORED, "" if nested is None else _OUTER
    )
    prefix = "test_" if _is_test_size(record, wanted) else ""
    sizes = record.sides(f"{prefix}input_size") if f"{prefix}input_size" in record else (3, 224, 224)
    if len(sizes) != 3 or sizes[0] not in (1, 3):
        raise record.wrong(f"{prefix}input_size", "must be a list of channels (1 or 3), height and width")
    part = record.part("test_crop_pct" if prefix and "test_crop_pct" in record else "crop_pct", 0.875)
    values = {
        **_geometry(record, sizes[1:], part),
        "interpolation": record.text("interpolation", "bicubic", _FILTERS),
        "channels": "RGB" if sizes[0] == 3 else "L",
        "scale": SCALE,
        "mean": record.numbers("mean", IMAGENET[0]),
        "std": record.numbers("std", IMAGENET[1]),
    }
    if values["resize"] == "fit":
        values["fill"] = _fill(values["mean"])
    names = {"size": f"{prefix}input_size", "channels": "input_size", "resize_to": "crop_pct"}
    return DeclaredPreprocessing("timm's configuration", values, names)


def _is_test_size(record: Record, wanted: tuple[int | None, int | None]) -> bool:
    fixed = list(wanted)
    sizes = {name: record.get(name) for name in ("input_size", "test_input_size")}
    ends = {name: size[1:] if isinstance(size, list) else None for name, size in sizes.items()}
    return ends["test_input_size"] == fixed and ends["input_size"] != fixed


def _geometry(record: Record, size: tuple[int, ...], part: float) -> dict[str, Any]:
    height, width = (math.floor(side / part) for side in size)
    mode = record.text("crop_mode", "center", _CROPS)
    resize = {"center": "crop", "squash": "stretch", "border": "fit"}[mode]
    resize_to = height if mode == "center" and height == width else (height, width)
    return {"size": tuple(size), "resize": resize, "resize_to": resize_to}


def _fill(mean: tuple[float, ...]) -> tuple[int, ...]:
    colour = tuple(round(min(255.0, max(0.0, 255 * one))) for one in mean)
    return colour * 3 if len(colour) == 1 else colour
