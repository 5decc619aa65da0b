"""What frameworks say of a model's images: Keras's modes, timm's configurations.

Defaults and named values are those of `preprocess_input` in `keras.applications.imagenet_utils`, and of
`timm.data.create_transform` in timm 1.0, which has the order of the steps as well.
"""

import math
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

_FILTERS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
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
