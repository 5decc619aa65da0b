"""What people are shown of images and of the inputs of models: small images, inputs, what a model sees."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from predictor.image.decode import Limits, decode
from predictor.image.preprocess import Preprocessing
from predictor.image.resize import Box, Size, window

_SIDE = 640


def thumbnail(data: bytes, limits: Limits, side: int = _SIDE) -> bytes:
    """A JPEG of at most so many pixels a side, upright.

    Raises:
        ImageError: the image cannot be opened within the limits.
    """
    image = decode(data, limits, side)
    image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


def png(tensor: npt.NDArray[Any], preprocessing: Preprocessing) -> bytes:
    """The pixels that a tensor was made of, as a PNG file of the tensor's height and width.

    What `to_tensor` does with the values is undone, so that only what it did with the size is left to see.

    Args:
        tensor: what `to_tensor` gave, without a batch axis.
        preprocessing: what it was given.
    """
    pixels = _pixels(tensor, preprocessing)
    if preprocessing.layout == "NCHW":
        pixels = pixels.transpose(1, 2, 0)
    pixels = pixels[:, :, 0] if preprocessing.depth == 1 else pixels
    if preprocessing.channels == "BGR":
        pixels = pixels[:, :, ::-1]
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "PNG")
    return out.getvalue()


def _pixels(tensor: npt.NDArray[Any], preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """The whole numbers from 0 to 255, in the tensor's layout."""
    if preprocessing.dtype == "uint8":
        return tensor
    if preprocessing.dtype == "int8":
        return np.asarray(tensor.view(np.uint8) ^ np.uint8(0x80))
    shape = (-1, 1, 1) if preprocessing.layout == "NCHW" else (1, 1, -1)
    mean, std = (np.reshape(numbers, shape) for numbers in (preprocessing.mean, preprocessing.std))
    # A scale of 0 leaves nothing of the image.
    values = (tensor.astype(np.float64) * std + mean) / (preprocessing.scale or np.inf)
    return np.asarray(values.round().clip(0, 255).astype(np.uint8))


def seen_box(size: Size, preprocessing: Preprocessing) -> Box:
    """Where the model's input lies in an upright image: left, top, right and bottom in pixels of the image.

    Where the input has an edge that was added, the box reaches beyond the image.

    Args:
        size: width and height of the image.
        preprocessing: how it becomes the input.
    """
    target = preprocessing.width, preprocessing.height
    if preprocessing.rounding in ("none", "first") and preprocessing.resize == "crop":
        area = preprocessing.area
        ratio = min(size[0] / area[0], size[1] / area[1])
        sides = [min(side * ratio, whole) for side, whole in zip(target, size, strict=True)]
        spans = [((whole - side) / 2, (whole + side) / 2) for side, whole in zip(sides, size, strict=True)]
    else:
        resized = preprocessing.resized(size)
        spans = [_span(*axis, preprocessing) for axis in zip(size, resized, target, strict=True)]
    (left, right), (top, bottom) = spans
    return left, top, right, bottom


def _span(length: int, resized: int, wanted: int, preprocessing: Preprocessing) -> tuple[float, float]:
    """First and last place along an axis that has `resized` pixels before `wanted` of them are cut out."""
    first, kept = window(resized, wanted, preprocessing.rounding)
    # An edge that is added has the extra pixel at its end.
    first -= (wanted - kept) // 2
    return first * length / resized, (first + wanted) * length / resized
