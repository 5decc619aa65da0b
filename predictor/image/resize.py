"""Resizing, computing only the pixels that are kept."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

Interpolation = Literal["nearest", "linear", "bilinear", "bicubic", "lanczos", "box", "hamming"]
"""A filter by Pillow's name, or `linear`: OpenCV's `INTER_LINEAR`, which does not average when it shrinks."""

Rounding = Literal["even", "down", "none", "first"]
Size = tuple[int, int]
Box = tuple[float, float, float, float]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
# How far each filter reaches from the centre of an output pixel, in output pixels.
_REACH = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0, "box": 0.5, "hamming": 1.0}


@dataclass(frozen=True)
class Edges:
    """What happens at the edges of a cut.

    Attributes:
        fill: the red, green and blue that are added where the image is smaller than the cut.
        rounding: which way half a pixel goes if the margin is odd: `even` to the even number of pixels, as
            torchvision does, `down` to the smaller one, as transformers does. `none` is for `middle`.
    """

    fill: tuple[int, int, int] = (0, 0, 0)
    rounding: Rounding = "even"


_PLAIN = Edges()
# Bits of OpenCV's weights after the point.
_BITS = 11


@dataclass(frozen=True)
class Scaled:
    """An image whose pixels may be those of a fraction of its size.

    Attributes:
        pixels: of mode RGB.
        size: width and height of the whole image, which need not be multiples of the fraction.
        box: where the whole image lies among the pixels: left, top, right and bottom.
    """

    pixels: Image.Image
    size: Size
    box: Box

    @classmethod
    def whole(cls, image: Image.Image) -> "Scaled":
        """An image of which all pixels are there."""
        return cls(image, image.size, (0.0, 0.0, float(image.width), float(image.height)))


def stretch(image: Scaled, size: Size, interpolation: Interpolation) -> Image.Image:
    """The whole image at a size (width, height), its proportions given up."""
    if interpolation == "linear":
        return _linear(image.pixels, size, image.box)
    return image.pixels.resize(size, _FILTERS[interpolation], image.box)


def crop(
    image: Image.Image, shortest: int, size: Size, interpolation: Interpolation, edges: Edges = _PLAIN
) -> Image.Image:
    """The middle of the image after its short side became `shortest`.

    Equal to resizing the whole image and cutting out the centre as torchvision's Resize and
    CenterCrop do: the long side is rounded down, an odd margin is rounded half to even, and where
    the image is smaller than the cut, black is added, the extra pixel at the end. `nearest` and
    `box` jump from one source pixel to the next, and may jump the other way at a tie.

    Args:
        image: an image of mode RGB.
        shortest: the short side before the cut, in pixels.
        size: width and height of the cut.
        interpolation: the filter.
        edges: what happens at the edges of the cut.
    """
    return cut(Scaled.whole(image), shortened(image.size, shortest), size, interpolation, edges)


def cut(
    image: Scaled,
    resized: Size,
    size: Size,
    interpolation: Interpolation,
    edges: Edges = _PLAIN,
    *,
    exact: bool = False,
) -> Image.Image:
    """The middle, width and height `size`, of the image once all of it had the size `resized`.

    If it is to be exact, all of it is resized, as other tools do. Else, one value in a thousand differs by
    one level, since Pillow keeps the place of a part in 32-bit numbers.
    """
    left, width = window(resized[0], size[0], edges.rounding)
    top, height = window(resized[1], size[1], edges.rounding)
    if exact:
        part = stretch(image, resized, interpolation).crop((left, top, left + width, top + height))
        return _padded(part, size, edges.fill)
    first_x, first_y, last_x, last_y = image.box
    x, y = (last_x - first_x) / resized[0], (last_y - first_y) / resized[1]
    box = (
        first_x + left * x,
        first_y + top * y,
        min(first_x + (left + width) * x, last_x),
        min(first_y + (top + height) * y, last_y),
    )
    return _padded(_resize_box(image.pixels, (width, height), box, interpolation), size, edges.fill)


def middle(
    image: Scaled, area: Size, size: Size, interpolation: Interpolation, rounding: Rounding = "none"
) -> Image.Image:
    """The same middle as of `cut`, resized at once and without a rounding, as Pillow's `ImageOps.fit` does.

    Args:
        image: of mode RGB or L.
        area: width and height that the whole image would just cover.
        size: width and height of the cut.
        interpolation: the filter.
        rounding: `first` cuts the middle out by whole pixels, so that what lies around it is not seen.
    """
    ratio = min(image.size[0] / area[0], image.size[1] / area[1])
    width, height = (min(side * ratio, whole) for side, whole in zip(size, image.size, strict=True))
    first_x, first_y, last_x, last_y = image.box
    x, y = (last_x - first_x) / image.size[0], (last_y - first_y) / image.size[1]
    left, top = first_x + x * (image.size[0] - width) / 2, first_y + y * (image.size[1] - height) / 2
    box = left, top, left + x * width, top + y * height
    if rounding == "first":
        corner, sides = (round(left), round(top)), (round(x * width), round(y * height))
        part = image.pixels.crop((*corner, corner[0] + sides[0], corner[1] + sides[1]))
        return stretch(Scaled.whole(part), size, interpolation)
    if interpolation == "linear":
        return _linear(image.pixels, size, box)
    return image.pixels.resize(size, _FILTERS[interpolation], box=box)


def shortened(size: Size, shortest: int) -> Size:
    """Width and height once the short side is `shortest`; the long side is rounded down."""
    width, height = size
    if width <= height:
        return shortest, shortest * height // width
    return shortest * width // height, shortest


def covering(size: Size, area: Size) -> Size:
    """Width and height of the smallest image of the same proportions that covers an area."""
    return _divided(size, min(size[0] / area[0], size[1] / area[1]))


def fitting(size: Size, area: Size) -> Size:
    """Width and height of the largest image of the same proportions that fits into an area."""
    return _divided(size, max(size[0] / area[0], size[1] / area[1]))


def _divided(size: Size, ratio: float) -> Size:
    return max(1, round(size[0] / ratio)), max(1, round(size[1] / ratio))


def window(length: int, wanted: int, rounding: Rounding) -> tuple[int, int]:
    """First pixel and length of the centred part of an axis, which has `length` pixels."""
    margin = length - wanted
    first = round(margin / 2) if rounding == "even" else margin // 2
    return max(0, first), min(length, wanted)


def _resize_box(image: Image.Image, size: Size, box: Box, interpolation: Interpolation) -> Image.Image:
    if interpolation == "nearest":
        # A box is kept in 32-bit numbers, which is too coarse to pick the very same source pixels.
        x, y = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]
        return image.transform(size, Image.Transform.AFFINE, (x, 0, box[0], 0, y, box[1]))
    if interpolation == "linear":
        return _linear(image, size, box)
    return _two_passes(image, size, box, interpolation)


def _linear(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Each pixel from the four that are nearest to its centre, in the fixed-point numbers of OpenCV."""
    columns, across = _nearest_two(box[0], box[2], size[0], image.width)
    rows, down = _nearest_two(box[1], box[3], size[1], image.height)
    across, down = across[..., np.newaxis], down[..., np.newaxis, np.newaxis]
    pixels = np.atleast_3d(np.asarray(image))[rows]
    left, right = (
        pixels.take(places, axis=2) * weights for places, weights in zip(columns, across, strict=True)
    )
    upper, lower = ((left + right) >> 4) * down
    values = ((upper >> 16) + (lower >> 16) + 2) >> 2
    return Image.fromarray(np.squeeze(values.astype(np.uint8), axis=() if image.mode == "RGB" else 2))


def _nearest_two(start: float, end: float, count: int, length: int) -> tuple[npt.NDArray[Any], ...]:
    """For each of `count` places along an axis, the two pixels around its centre, and their weights."""
    centres = start + (np.arange(count) + 0.5) * ((end - start) / count) - 0.5
    first = np.floor(centres)
    part = np.where((first < 0) | (first >= length - 1), 0, centres - first)
    weights = np.rint(np.stack([1 - part, part]) * 2**_BITS).astype(np.int32)
    return np.clip(np.stack([first, first + 1]), 0, length - 1).astype(np.int32), weights


def _two_passes(image: Image.Image, size: Size, box: Box, interpolation: Interpolation) -> Image.Image:
    # In one call Pillow chooses the order of the passes by the sizes, so that a box alone changes pixels.
    left, top, right, bottom = box
    reach = _REACH[interpolation] * max(1.0, (bottom - top) / size[1]) + 1
    first, last = max(0, math.floor(top - reach)), min(image.height, math.ceil(bottom + reach))
    rows = image.crop((0, first, image.width, last))
    kind = _FILTERS[interpolation]
    across = rows.resize((size[0], rows.height), kind, box=(left, 0, right, rows.height))
    return across.resize(size, kind, box=(0, top - first, size[0], bottom - first))


def _padded(image: Image.Image, size: Size, fill: tuple[int, int, int]) -> Image.Image:
    if image.size == size:
        return image
    left, top = (size[0] - image.width) // 2, (size[1] - image.height) // 2
    if not any(fill):
        return image.crop((-left, -top, size[0] - left, size[1] - top))
    padded = Image.new("RGB", size, fill).convert(image.mode)
    padded.paste(image, (left, top))
    return padded
