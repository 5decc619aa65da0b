"""Which part of an image a model sees, in the frame of the image itself."""

from predictor.image.preprocess import Preprocessing
from predictor.image.resize import Box, Size, window


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
