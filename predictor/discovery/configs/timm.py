"""timm's `config.json`, the `pretrained_cfg` in it, or what `resolve_model_data_config` gives.

The defaults and the order of the steps are those of `timm.data.create_transform` in timm 1.0.
"""

import math
from collections.abc import Mapping
from typing import Any

from predictor.discovery.configs.declared import IMAGENET, SCALE, DeclaredPreprocessing, Record

_OUTER = "pretrained_cfg"
_FILTERS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
_MODES = ("center", "squash", "border")
_USED = {
    "input_size",
    "test_input_size",
    "interpolation",
    "crop_pct",
    "test_crop_pct",
    "crop_mode",
    "mean",
    "std",
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


def is_timm(value: Mapping[str, Any]) -> bool:
    """Whether an object looks like one of timm's configurations."""
    return _OUTER in value or (
        isinstance(value.get("input_size"), list) and not {"size", "target_size"} & value.keys()
    )


def read(value: Mapping[str, Any], wanted: tuple[int | None, int | None]) -> DeclaredPreprocessing:
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
    record = Record(value if nested is None else nested, _USED | _IGNORED, "" if nested is None else _OUTER)
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
    mode = record.text("crop_mode", "center", _MODES)
    resize = {"center": "crop", "squash": "stretch", "border": "fit"}[mode]
    resize_to = height if mode == "center" and height == width else (height, width)
    return {"size": tuple(size), "resize": resize, "resize_to": resize_to}


def _fill(mean: tuple[float, ...]) -> tuple[int, ...]:
    colour = tuple(round(min(255.0, max(0.0, 255 * one))) for one in mean)
    return colour * 3 if len(colour) == 1 else colour
