"""Small images and inputs of models, encoded to be shown on a page."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from predictor.image.decode import Limits, decode
from predictor.image.preprocess import Preprocessing

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
