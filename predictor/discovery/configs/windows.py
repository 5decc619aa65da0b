"""The image properties that ONNX gives a model's metadata: `Image.BitmapPixelFormat` and its like.

Keys and values are those of ONNX's document MetadataProps, in any case; Custom Vision and Windows ML write
them. They do not say how pictures are resized: the samples that come with such models stretch them by
Pillow's default filter.
"""

from collections.abc import Mapping
from typing import Any

from predictor.discovery.configs.declared import DeclaredPreprocessing
from predictor.discovery.configs.families import HALF, SCALE
from predictor.model.strict_json import shown

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


def read(metadata: Mapping[str, str]) -> DeclaredPreprocessing | None:
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
