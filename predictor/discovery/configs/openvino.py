"""`model_info` of OpenVINO's Model API, which OpenVINO's training tools write into a model's metadata.

In ONNX its fields are metadata keys such as `model_info mean_values`. Pixels are from 0 to 255.
"""

import re
from collections.abc import Mapping
from typing import Any

from predictor.discovery.configs.declared import DeclaredPreprocessing
from predictor.discovery.configs.record import Record

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


def fields(metadata: Mapping[str, str]) -> dict[str, str]:
    """The fields of `model_info` in a model's metadata, by their own names."""
    parts = ((key.split(), value) for key, value in metadata.items() if PREFIX in key)
    return {words[1]: value for words, value in parts if len(words) == 2 and words[0] == PREFIX}


def read(metadata: Mapping[str, str]) -> DeclaredPreprocessing | None:
    """Read `model_info`; None if there is none.

    Raises:
        ValueError: a field is unknown, wrong, or asks for what this service does not do.
    """
    info = fields(metadata)
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
