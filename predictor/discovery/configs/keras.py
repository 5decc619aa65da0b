"""Keras: the mode of `preprocess_input`, alone or with arguments of it and of `load_img`.

The three modes are those of `keras.applications.imagenet_utils.preprocess_input`.
"""

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

_MODES: dict[str, dict[str, Any]] = {
    "tf": {"channels": "RGB", "scale": SCALE, "mean": HALF[0], "std": HALF[1]},
    "caffe": {"channels": "BGR", "scale": 1.0, "mean": CAFFE_MEAN, "std": (1.0,)},
    "torch": {"channels": "RGB", "scale": SCALE, "mean": IMAGENET[0], "std": IMAGENET[1]},
}
_FILTERS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
_KNOWN = ("mode", "data_format", "target_size", "interpolation", "keep_aspect_ratio")
_LAYOUTS = {"channels_first": "NCHW", "channels_last": "NHWC"}
_HOW_RESIZED = (
    "The Keras mode does not define the size: images are stretched to the size of the input "
    "with the bilinear filter."
)


def is_keras(value: Mapping[str, Any]) -> bool:
    """Whether an object has a mode, and nothing that a mode of Keras does not come with."""
    return "mode" in value and value.keys() <= set(_KNOWN)


def read(value: Mapping[str, Any]) -> DeclaredPreprocessing:
    """Read a mode with arguments.

    Raises:
        ValueError: a field is unknown or wrong.
    """
    record = Record(value, _KNOWN)
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


def from_text(text: str) -> DeclaredPreprocessing | None:
    """Read the name of a mode; None if it is none."""
    name = text.strip().lower()
    return read({"mode": name}) if name in _MODES else None
