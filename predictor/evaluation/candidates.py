"""The preprocessings that a model may plausibly have been trained with."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from predictor.discovery.configs.declared import CAFFE_MEAN, CLIP, HALF, IMAGENET, SCALE
from predictor.image.preprocess import Channels, Preprocessing, Resize
from predictor.image.resize import Interpolation

_NEUTRAL = ((0.0,) * 3, (1.0,) * 3)
_Numbers = tuple[tuple[float, ...], tuple[float, ...]]

# Name, scale, and mean and std of red, green and blue.
_COLOURED: tuple[tuple[str, float, _Numbers], ...] = (
    ("0 to 255", 1.0, _NEUTRAL),
    ("0 to 1", SCALE, _NEUTRAL),
    ("-1 to 1", SCALE, HALF),
    ("ImageNet mean and std", SCALE, IMAGENET),
    ("CLIP mean and std", SCALE, CLIP),
    ("0 to 255 minus the ImageNet mean", 1.0, (CAFFE_MEAN[::-1], (1.0,) * 3)),
)
# The mean and std of MNIST's pixels, and ImageNet's averages over the colours.
_GREY: tuple[tuple[str, float, _Numbers], ...] = (
    ("0 to 255", 1.0, ((0.0,), (1.0,))),
    ("0 to 1", SCALE, ((0.0,), (1.0,))),
    ("-1 to 1", SCALE, ((0.5,), (0.5,))),
    ("ImageNet mean and std", SCALE, ((0.449,), (0.226,))),
    ("MNIST mean and std", SCALE, ((0.1307,), (0.3081,))),
)
# The part of the resized image that the cut keeps; None gives up the proportions.
_SIZES: tuple[tuple[Resize, float | None, Interpolation], ...] = (
    ("crop", 0.875, "bilinear"),
    ("crop", 0.875, "bicubic"),
    ("crop", 0.95, "bicubic"),
    ("crop", 1.0, "bicubic"),
    ("stretch", None, "bilinear"),
    ("stretch", None, "bicubic"),
    ("fit", 1.0, "bilinear"),
)


@dataclass(frozen=True)
class Candidate:
    """A preprocessing that is tried.

    Attributes:
        values: what the values of the tensor are, in a few words.
        preprocessing: all of it.
        current: whether it is what the model has now.
    """

    values: str
    preprocessing: Preprocessing
    current: bool = False

    @property
    def geometry(self) -> str:
        """How the image gets its size, in a few words."""
        form = self.preprocessing
        size = f"{form.height} x {form.width}"
        if form.resize == "stretch":
            words = f"stretched to {size}"
        elif form.resize == "fit":
            words = f"fitted into {size}"
        else:
            words = f"resized to {_sides(form.resize_to)}, centre {size} cropped"
        return f"{words}, {form.interpolation}"


def _sides(resize_to: int | tuple[int, int]) -> str:
    return str(resize_to) if isinstance(resize_to, int) else " x ".join(map(str, resize_to))


def values(present: Preprocessing) -> list[Candidate]:
    """The present preprocessing, and others that differ in range, mean, std and order of channels.

    Layout, size and type stay, since the graph prescribes them; whole-number tensors hold plain pixels.
    """
    orders: tuple[Channels, ...] = ("RGB", "BGR") if present.depth == 3 else (present.channels,)
    if present.dtype in ("uint8", "int8"):
        forms = [(f"pixels, {order}", dataclasses.replace(present, channels=order)) for order in orders]
    else:
        families = _COLOURED if present.depth == 3 else _GREY
        forms = [_normalised(present, family, order) for family in families for order in orders]
    return _with_present(present, "current", forms)


def geometries(best: Candidate) -> list[Candidate]:
    """Candidates with the values of the best so far that differ from it in how the image gets its size."""
    forms = [_sized(best.preprocessing, *size) for size in _SIZES]
    fresh = [form for form in forms if not _same(form, best.preprocessing)]
    return [Candidate(best.values, form) for form in fresh]


def _with_present(
    present: Preprocessing, name: str, forms: list[tuple[str, Preprocessing]]
) -> list[Candidate]:
    found = [Candidate(words, form, current=_same(form, present)) for words, form in forms]
    if any(candidate.current for candidate in found):
        return found
    return [Candidate(name, present, current=True), *found]


def _normalised(
    present: Preprocessing, family: tuple[str, float, _Numbers], order: Channels
) -> tuple[str, Preprocessing]:
    words, scale, numbers = family
    mean, std = (one * present.depth if len(one) == 1 else one for one in numbers)
    if order == "BGR":
        mean, std = mean[::-1], std[::-1]
    form = dataclasses.replace(present, channels=order, scale=scale, mean=mean, std=std)
    return f"{words}, {'grey' if order == 'L' else order}", form


def _sized(form: Preprocessing, resize: Resize, part: float | None, filter_: Interpolation) -> Preprocessing:
    if part is None:
        to: int | tuple[int, int] = max(form.height, form.width)
    else:
        sides = math.floor(form.height / part), math.floor(form.width / part)
        to = sides[0] if form.height == form.width else sides
    return dataclasses.replace(form, resize=resize, resize_to=to, interpolation=filter_)


def _same(one: Preprocessing, other: Preprocessing) -> bool:
    """Whether two preprocessings give the same tensors, however their numbers are written."""
    blank = {"scale": 1.0, "mean": (0.0,) * one.depth, "std": (1.0,) * one.depth}
    if one.depth != other.depth or _geometry(one, blank) != _geometry(other, blank):
        return False
    return bool(np.allclose(_line(one), _line(other), rtol=1e-6, atol=1e-9))


def _geometry(form: Preprocessing, blank: dict[str, object]) -> Preprocessing:
    """All but the numbers; where one number of `resize_to` is ignored, it makes no difference."""
    plain = dataclasses.replace(form, **blank)  # type: ignore[arg-type]
    ignored = form.resize == "stretch" and isinstance(form.resize_to, int)
    return dataclasses.replace(plain, resize_to=form.height) if ignored else plain


def _line(form: Preprocessing) -> list[float]:
    """Slope and intercept of each channel."""
    pairs = list(zip(form.mean, form.std, strict=True))
    return [form.scale / std for _, std in pairs] + [mean / std for mean, std in pairs]
