"""`model_info` of OpenVINO's Model API, which OpenVINO's training tools write into a model's metadata.

In ONNX its fields are metadata keys such as `model_info mean_values`. Pixels are from 0 to 255.
"""

import re
from collections.abc import Mapping
from typing import Any

from predictor.discovery.configs.declared import HALF, SCALE, DeclaredPreprocessing, Record
from predictor.image.validators import MAX_SIDE
from predictor.model.strict_text import shown

PREFIX = "model_info"
_RESIZES = {"standard": "stretch", "crop": "crop", "fit_to_window_letterbox": "fit"}
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0", "")
_PREPROCESSING = {
    "embedded_processing",
    "layout",
    "mean_values",
    "orig_height",
    "orig_width",
    "pad_value",
    "resize_type",
    "reverse_input_channels",
    "scale_values",
}
# They concern the answer, or tasks of other kinds.
_IGNORED = {
    "confidence_threshold",
    "hierarchical",
    "hierarchical_config",
    "hierarchical_postproc",
    "input_dtype",
    "label_ids",
    "label_info",
    "labels",
    "model_name",
    "model_type",
    "multilabel",
    "optimization_config",
    "otx_version",
    "output_raw_scores",
    "path_to_labels",
    "task_type",
    "topk",
}


def openvino_fields(metadata: Mapping[str, str]) -> dict[str, str]:
    """The openvino_fields of `model_info` in a model's metadata, by their own names."""
    parts = ((key.split(), value) for key, value in metadata.items() if PREFIX in key)
    return {words[1]: value for words, value in parts if len(words) == 2 and words[0] == PREFIX}


def read_openvino(metadata: Mapping[str, str]) -> DeclaredPreprocessing | None:
    """Read `model_info`; None if there is none.

    Raises:
        ValueError: a field is unknown, wrong, or asks for what this service does not do.
    """
    info = openvino_fields(metadata)
    if not info:
        return None
    record = Record(info, _PREPROCESSING | _IGNORED, PREFIX)
    for name in ("hierarchical", "embedded_processing"):
        if _flag(record, name):
            raise record.wrong(name, "must not be true: it is not supported")
    model_type = record.text("model_type", "classification").lower()
    if "classification" not in model_type:
        raise record.wrong("model_type", "must be Classification")
    means, scales = _numbers(record, "mean_values", 0.0), _numbers(record, "scale_values", 1.0)
    resize = _RESIZES[record.text("resize_type", "standard", _RESIZES)]
    values: dict[str, Any] = {
        "resize": resize,
        "interpolation": "bilinear",
        "channels": _channels(record, means),
        "scale": 1.0,
        "mean": means,
        "std": scales,
    }
    if resize != "stretch":
        values["crop_pct"] = 1.0
    if resize == "fit":
        values["fill"] = (_pad(record),) * 3
    return DeclaredPreprocessing(
        "model_info in the model's metadata",
        values,
        {name: f"{PREFIX}.{own}" for name, own in _NAMES.items()},
        activation="sigmoid" if _flag(record, "multilabel") else None,
        multi_label=True if _flag(record, "multilabel") else None,
    )


_NAMES = {
    "resize": "resize_type",
    "channels": "reverse_input_channels",
    "mean": "mean_values",
    "std": "scale_values",
    "fill": "pad_value",
}


def _channels(record: Record, means: tuple[float, ...]) -> str:
    """The order that the network wants.

    Without reversal it is that of the frames, which were blue first in the days of Caffe's means, the
    smallest of which is blue's, and are red first now.
    """
    reversed_ = _flag(record, "reverse_input_channels")
    return "BGR" if not reversed_ and len(means) == 3 and means[0] < means[2] else "RGB"


def _flag(record: Record, name: str) -> bool:
    word = record.text(name, "").lower()
    if word not in (*_TRUE, *_FALSE):
        raise record.wrong(name, "must be True or False")
    return word in _TRUE


def _numbers(record: Record, name: str, default: float) -> tuple[float, ...]:
    words = re.findall(r"[^\s,\[\]]+", record.text(name, ""))[:5]
    try:
        values = tuple(map(float, words)) or (default,)
    except ValueError as error:
        raise record.wrong(name, "must be a number for each channel") from error
    if len(values) > 3 or not all(abs(value) < float("inf") for value in values):
        raise record.wrong(name, "must be a number for each channel")
    return values


def _pad(record: Record) -> int:
    word = record.text("pad_value", "0").strip()
    if not word.isascii() or not word.isdecimal() or len(word) > 3 or int(word) > 255:
        raise record.wrong("pad_value", "must be a whole number from 0 to 255")
    return int(word)


_MARKS = ("task", "imgsz")
_SIZE = re.compile(r"\s*[\[(]?\s*(\d{1,5})\s*(?:,\s*(\d{1,5})\s*)?[\])]?\s*")


def read_ultralytics(metadata: Mapping[str, str]) -> DeclaredPreprocessing | None:
    """Read the metadata; None if Ultralytics did not write it.

    Raises:
        ValueError: the model is not for classification, or its size is none.
    """
    if not all(mark in metadata for mark in _MARKS):
        return None
    if metadata["task"] != "classify":
        raise ValueError(f"task must be classify, but is {shown(metadata['task'])}.")
    height, width = size = _size(metadata["imgsz"])
    values: dict[str, Any] = {
        "size": size,
        "resize": "crop" if height == width else "stretch",
        "resize_to": height if height == width else size,
        "interpolation": "bilinear",
        "channels": "L" if metadata.get("channels") == "1" else "RGB",
        "scale": SCALE,
        "mean": (0.0,),
        "std": (1.0,),
    }
    return DeclaredPreprocessing(
        "the metadata that Ultralytics wrote", values, {"size": "imgsz", "resize_to": "imgsz"}
    )


def _size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text)
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= min(height, width) <= max(height, width) <= MAX_SIDE:
        raise ValueError(f"imgsz must be a height and a width from 1 to {MAX_SIDE}.")
    return height, width


_FORMAT, _RANGE, _GAMMA = "Image.BitmapPixelFormat", "Image.NominalPixelRange", "Image.ColorSpaceGamma"
_KEYS = {key.lower(): key for key in (_FORMAT, _RANGE, _GAMMA)}
_CHANNELS = {"gray8": "L", "rgb8": "RGB", "bgr8": "BGR"}
_RANGES: dict[str, dict[str, Any]] = {
    "nominalrange_0_255": {"scale": 1.0, "mean": (0.0,), "std": (1.0,)},
    "normalized_0_1": {"scale": SCALE, "mean": (0.0,), "std": (1.0,)},
    "normalized_1_1": {"scale": SCALE, "mean": HALF[0][:1], "std": HALF[1][:1]},
    # Video levels: 0 becomes 16 and 255 becomes 235.
    "nominalrange_16_235": {"scale": 219 / 255, "mean": (-16.0,), "std": (1.0,)},
}


def read_windows(metadata: Mapping[str, str]) -> DeclaredPreprocessing | None:
    """Read the image properties; None if there are none.

    Raises:
        ValueError: a property has a value that is not known here.
    """
    found = {
        _KEYS[key.lower()]: value.strip().lower() for key, value in metadata.items() if key.lower() in _KEYS
    }
    if not found:
        return None
    if found.get(_GAMMA, "srgb") != "srgb":
        raise ValueError(f"{_GAMMA} must be SRGB, because images are in sRGB.")
    values: dict[str, Any] = {"resize": "stretch", "interpolation": "bicubic"}
    if _FORMAT in found:
        values["channels"] = _one(_FORMAT, found, _CHANNELS)
    values |= _one(_RANGE, found, _RANGES) if _RANGE in found else _RANGES["nominalrange_0_255"]
    names = {"channels": _FORMAT, "scale": _RANGE, "mean": _RANGE, "std": _RANGE}
    warning = "The image properties of ONNX do not define the resizing: images are stretched."
    return DeclaredPreprocessing(
        "the image properties in the model's metadata", values, names, warnings=(warning,)
    )


def _one(key: str, found: Mapping[str, str], choices: Mapping[str, Any]) -> Any:
    if found[key] not in choices:
        raise ValueError(f"{key} {shown(found[key])} is not supported.")
    return choices[found[key]]
