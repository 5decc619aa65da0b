"""A heatmap over its image, as a PNG in the frame of the image.

The image is grey, so that each colour is the map's. Orange speaks for the class and blue against it: people
who cannot tell red from green see both. What the model did not see is dark and hatched.
"""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from predictor.image.resize import Box, Size

LONGEST = 1024
"""Pixels of the longer side at most."""

FOR, AGAINST = (230, 97, 0), (36, 99, 210)
"""Red, green and blue of what speaks for the class, and against it."""

_FOR, _AGAINST = np.array(FOR, np.float32), np.array(AGAINST, np.float32)
_STRONGEST = 0.75
_DARK, _STRIPE, _PERIOD = 0.35, 0.6, 12


def base(pixels: Image.Image, box: Box, size: Size) -> Image.Image:
    """The grey image that a heatmap is laid over, small enough to be sent.

    Args:
        pixels: an upright image, which may be a fraction of the size.
        box: where the whole image lies among the pixels.
        size: width and height of the whole image.
    """
    scale = min(1.0, LONGEST / max(size))
    target = (max(1, round(scale * size[0])), max(1, round(scale * size[1])))
    return pixels.resize(target, Image.Resampling.BILINEAR, box, reducing_gap=2.0).convert("L")


def overlay(image: Image.Image, grid: npt.NDArray[np.float64], box: Box, text: str) -> bytes:
    """The PNG.

    Args:
        image: what `base` gave.
        grid: the map, signed; its largest number, up or down, has the full colour.
        box: where the map lies in the image, in parts of its width and height.
        text: what it shows; it becomes the file's description.
    """
    values, seen = _laid(image.size, grid, box)
    grey = np.asarray(image, np.float32)[:, :, np.newaxis]
    colour = np.where(values[:, :, np.newaxis] > 0, _FOR, _AGAINST)
    strength = _STRONGEST * np.abs(values)[:, :, np.newaxis]
    mixed = grey + strength * (colour - grey)
    rows, columns = np.indices(seen.shape)
    hatched = grey * np.where((rows + columns) % _PERIOD < 2, _STRIPE, _DARK)[:, :, np.newaxis]
    found = np.where(seen[:, :, np.newaxis], mixed, hatched)
    out, facts = io.BytesIO(), PngImagePlugin.PngInfo()
    facts.add_itxt("Description", text)
    Image.fromarray(found.clip(0, 255).astype(np.uint8)).save(out, "PNG", pnginfo=facts, compress_level=4)
    return out.getvalue()


def _laid(
    size: Size, grid: npt.NDArray[np.float64], box: Box
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The map at each pixel, -1 to 1, and whether the model saw it."""
    across, seen_across = _axis(size[0], box[0], box[2], grid.shape[1])
    down, seen_down = _axis(size[1], box[1], box[3], grid.shape[0])
    most = float(np.abs(grid).max()) or 1.0
    return down @ (grid / most) @ across.T, seen_down[:, np.newaxis] & seen_across


def _axis(
    length: int, first: float, last: float, cells: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The weight of each cell at each pixel along an axis, and which pixels were seen."""
    places = ((np.arange(length) + 0.5) / length - first) / (last - first)
    centres = np.clip(places * cells - 0.5, 0, cells - 1)
    weights = np.maximum(0, 1 - np.abs(centres[:, np.newaxis] - np.arange(cells)))
    return weights, (places >= 0) & (places < 1)
