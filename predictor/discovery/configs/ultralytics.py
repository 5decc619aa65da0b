"""The metadata that Ultralytics writes into a model when it exports one.

The steps are those of its transforms for classification: as torchvision does them, pixels from 0 to 1.
"""

import re
from collections.abc import Mapping
from typing import Any

from predictor.discovery.configs.declared import DeclaredPreprocessing
from predictor.discovery.configs.families import SCALE
from predictor.image.validators import MAX_SIDE
from predictor.model.strict_json import shown

_MARKS = ("task", "imgsz")
_SIZE = re.compile(r"\s*[\[(]?\s*(\d{1,5})\s*(?:,\s*(\d{1,5})\s*)?[\])]?\s*")


def read(metadata: Mapping[str, str]) -> DeclaredPreprocessing | None:
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
