"""An RGB image -> the tensor that a model expects."""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from predictor.image.resize import (
    Edges,
    Interpolation,
    Rounding,
    Scaled,
    Size,
    covering,
    cut,
    fitting,
    middle,
    shortened,
    stretch,
)
from predictor.image.validators import check_colour, check_numbers, check_side, pair, sequence

Resize = Literal["crop", "stretch", "fit"]
Channels = Literal["RGB", "BGR", "L", "RGBA"]
Layout = Literal["NHWC", "NCHW"]
DType = Literal["uint8", "int8", "float32", "float16"]

DEPTHS = {"RGB": 3, "BGR": 3, "L": 1, "RGBA": 4}
_CHOICES: dict[str, tuple[str, ...]] = {
    "resize": get_args(Resize),
    "interpolation": get_args(Interpolation),
    "channels": get_args(Channels),
    "layout": get_args(Layout),
    "dtype": get_args(DType),
    "rounding": get_args(Rounding),
}
_FIELDS = (
    *("size", "resize", "resize_to", "interpolation", "channels", "layout", "dtype"),
    *("scale", "mean", "std"),
)
# No image has this side, so that a decoder shrinks none: a filter that does not average sees each pixel.
_WHOLE = 1 << 16
# How many times the target size a decoder must leave, and how many pixels; bench/results/jpeg.md says why.
_TIMES_LEFT, _PIXELS_LEFT = 5, 512
# Written only where they say something, and read only where they are.
_RARE = ("fill", "rounding")


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a tensor; every value is checked when it is built.

    A value of the tensor is `(pixel * scale - mean) / std`, the pixel being 0 to 255. With `uint8`
    the tensor holds the pixel itself and with `int8` the pixel minus 128, so that neither may have
    a scale, a mean or a std.

    Attributes:
        height: rows of the tensor, 1 to 4096.
        width: columns of the tensor, 1 to 4096.
        resize: `crop` keeps the proportions, makes the short side `resize_to` pixels and cuts out the
            middle; `stretch` gives them up and goes straight to height and width; `fit` keeps them and
            makes the long side `resize_to`, so that nothing is lost.
        resize_to: pixels, or height and width of an area, which the image just covers before it is cut
            (`crop`), takes exactly before it is cut (`stretch`; one number is ignored there), or just
            fits into (`fit`; one number is a square).
        interpolation: the filter, by Pillow's name, or `linear` for OpenCV's bilinear filter.
        channels: `RGB`, `BGR`, `L` (grey by ITU-R BT.601 luma), or `RGBA`, with opacity.
        layout: channels last or first.
        dtype: type of the tensor's values.
        scale: factor of the pixel.
        mean: subtracted after scaling, one number for each channel.
        std: divides last, one number above 0 for each channel.
        fill: the red, green and blue, 0 to 255, that are added where the image is smaller than its cut.
        rounding: where the cut begins if the margin is odd: half a pixel is rounded to `even` or `down`.
            With `crop`, `none` resizes the middle at once, and `first` cuts it out before it is resized.

    Raises:
        ValueError: a value cannot be used; the sentence begins with its field's name.
    """

    height: int = 224
    width: int = 224
    resize: Resize = "crop"
    resize_to: int | tuple[int, int] = 256
    interpolation: Interpolation = "bicubic"
    channels: Channels = "RGB"
    layout: Layout = "NHWC"
    dtype: DType = "uint8"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    fill: tuple[int, int, int] = (0, 0, 0)
    rounding: Rounding = "even"

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            check_side(name, getattr(self, name))
        for side in self.area if isinstance(self.resize_to, tuple) else (self.resize_to,):
            check_side("resize_to", side)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}.")
        check_numbers("scale", (self.scale,), 1)
        check_numbers("mean", self.mean, self.depth)
        check_numbers("std", self.std, self.depth)
        if min(self.std) <= 0 or self.scale == 0:
            raise ValueError("std must be above 0, and scale must not be 0.")
        check_colour(self.fill)
        if self.dtype in ("uint8", "int8") and not self.plain:
            raise ValueError(f"dtype {self.dtype} holds plain pixels: scale and std must be 1, mean 0.")

    @property
    def depth(self) -> int:
        """Channels of the tensor: 1, 3 or 4."""
        return DEPTHS[self.channels]

    @property
    def mode(self) -> str:
        """Pillow's mode of the images that are resized."""
        return "RGB" if self.depth == 3 else self.channels

    @property
    def plain(self) -> bool:
        """Whether pixels stay as they are, neither scaled nor shifted."""
        return self.scale == 1 and not any(self.mean) and set(self.std) == {1}

    @property
    def shortest(self) -> int:
        """The short side, in pixels, below which a decoder must not shrink the image."""
        if self.interpolation == "linear":
            return _WHOLE
        plain = self.resize == "stretch" and not isinstance(self.resize_to, tuple)
        side = max(self.height, self.width) if plain else max(self.area)
        return max(_PIXELS_LEFT, _TIMES_LEFT * side)

    @property
    def area(self) -> tuple[int, int]:
        """Width and height that `resize_to` speaks of."""
        if isinstance(self.resize_to, tuple):
            height, width = self.resize_to
            return width, height
        return self.resize_to, self.resize_to

    def resized(self, size: Size) -> Size:
        """Width and height of the image before its middle is cut out, from those it has."""
        if self.resize == "fit":
            return fitting(size, self.area)
        if not isinstance(self.resize_to, tuple):
            return shortened(size, self.resize_to) if self.resize == "crop" else (self.width, self.height)
        return self.area if self.resize == "stretch" else covering(size, self.area)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image's tensor, without a batch axis."""
        sides = self.height, self.width
        return (self.depth, *sides) if self.layout == "NCHW" else (*sides, self.depth)

    def to_json(self) -> dict[str, Any]:
        """The value as JSON; `from_json` reads it back. What only few models need is left out by default."""
        names = (*_FIELDS[1:], *(name for name in _RARE if getattr(self, name) != getattr(type(self), name)))
        form = {name: getattr(self, name) for name in names}
        lists = {name: list(value) for name, value in form.items() if isinstance(value, tuple)}
        return {"size": [self.height, self.width], **form, **lists}

    @classmethod
    def from_json(cls, value: object) -> "Preprocessing":
        """Read the form that `to_json` writes; every field that it always writes is needed.

        Raises:
            ValueError: a field is unknown, missing or wrong; the sentence names it.
        """
        if not isinstance(value, dict):
            raise ValueError("preprocessing must be a JSON object.")  # noqa: TRY004 - one error for every bad form
        for problem, names in (
            ("unknown", value.keys() - {*_FIELDS, *_RARE}),
            ("missing", {*_FIELDS} - value.keys()),
        ):
            if names:
                raise ValueError(f"{min(map(str, names))} is {problem}.")
        fields = dict(value)
        height, width = pair("size", fields.pop("size"))
        named = [name for name in ("mean", "std", "fill") if name in fields]
        lists: dict[str, Any] = {name: sequence(name, fields.pop(name)) for name in named}
        if isinstance(fields["resize_to"], list):
            lists["resize_to"] = pair("resize_to", fields.pop("resize_to"))
        return cls(height=height, width=width, **lists, **fields)


def to_tensor(
    image: Image.Image | Scaled, preprocessing: Preprocessing, *, exact: bool = False
) -> npt.NDArray[Any]:
    """One image's tensor.

    Args:
        image: of mode RGB or RGBA.
        preprocessing: what to do with it.
        exact: whether all of it is resized, as other tools do, before its middle is cut out.

    Returns:
        A contiguous, perhaps read-only array of `preprocessing.shape`, without a batch axis.
    """
    # Grey before the resizing, as Keras and timm load grey images: the rounding would differ.
    scaled = image if isinstance(image, Scaled) else Scaled.whole(image)
    if scaled.pixels.mode != preprocessing.mode:
        scaled = replace(scaled, pixels=scaled.pixels.convert(preprocessing.mode))
    pixels = _pixels(_resized(scaled, preprocessing, exact=exact), preprocessing.channels)
    if preprocessing.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    return _values(np.ascontiguousarray(pixels), preprocessing)


def _resized(image: Scaled, preprocessing: Preprocessing, *, exact: bool) -> Image.Image:
    size = preprocessing.width, preprocessing.height
    if preprocessing.rounding in ("none", "first") and preprocessing.resize == "crop":
        return middle(image, preprocessing.area, size, preprocessing.interpolation, preprocessing.rounding)
    resized = preprocessing.resized(image.size)
    if resized == size and preprocessing.resize == "stretch":
        return stretch(image, size, preprocessing.interpolation)
    edges = Edges(preprocessing.fill, preprocessing.rounding)
    return cut(image, resized, size, preprocessing.interpolation, edges, exact=exact)


def _pixels(image: Image.Image, channels: Channels) -> npt.NDArray[np.uint8]:
    pixels = np.atleast_3d(np.asarray(image))
    return pixels[:, :, ::-1] if channels == "BGR" else pixels


def _values(pixels: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> npt.NDArray[Any]:
    if preprocessing.dtype == "uint8":
        return pixels
    if preprocessing.dtype == "int8":
        return (pixels ^ 0x80).view(np.int8)
    values = pixels if preprocessing.plain else _normalised(pixels, preprocessing)
    return values.astype(preprocessing.dtype, copy=False)


def _normalised(pixels: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    std = np.array(preprocessing.std)
    # Long rows: numpy is several times slower when it repeats three numbers for every pixel.
    values = pixels.reshape(preprocessing.shape[0], -1) * _along(preprocessing, preprocessing.scale / std)
    values -= _along(preprocessing, np.array(preprocessing.mean) / std)
    return values.reshape(preprocessing.shape)


def _along(preprocessing: Preprocessing, channels: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """A number for each channel, laid along the tensor's first axis or along its rows."""
    values = channels.astype(np.float32)
    return values[:, np.newaxis] if preprocessing.layout == "NCHW" else np.tile(values, preprocessing.width)
