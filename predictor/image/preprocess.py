"""An RGB picture -> the tensor that a model expects."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from predictor.image.resize import Interpolation, crop, stretch

Resize = Literal["crop", "stretch"]
Channels = Literal["RGB", "BGR", "L"]
Layout = Literal["NHWC", "NCHW"]
DType = Literal["uint8", "int8", "float32", "float16"]

MAX_SIDE = 4096
_LARGEST = float(np.finfo(np.float32).max)
_CHOICES: dict[str, tuple[str, ...]] = {
    "resize": get_args(Resize),
    "interpolation": get_args(Interpolation),
    "channels": get_args(Channels),
    "layout": get_args(Layout),
    "dtype": get_args(DType),
}
_FIELDS = (
    "size",
    "resize",
    "resize_to",
    "interpolation",
    "channels",
    "layout",
    "dtype",
    "scale",
    "mean",
    "std",
)


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a tensor; every value is checked when it is built.

    A value of the tensor is `(pixel * scale - mean) / std`, the pixel being 0 to 255. With `uint8`
    the tensor holds the pixel itself and with `int8` the pixel minus 128, so that neither may have
    a scale, a mean or a std.

    Attributes:
        height: rows of the tensor, 1 to 4096.
        width: columns of the tensor, 1 to 4096.
        resize: `crop` shrinks the short side to `resize_to` and cuts out the middle, adding black
            where the picture is smaller than the cut; `stretch` goes straight to width and height.
        resize_to: the short side before the crop, in pixels; `stretch` ignores it.
        interpolation: the filter, by Pillow's name.
        channels: `RGB`, `BGR`, or `L` (grey by ITU-R BT.601 luma).
        layout: channels last or first.
        dtype: type of the tensor's values.
        scale: factor of the pixel.
        mean: subtracted after scaling, one number for each channel.
        std: divides last, one number above 0 for each channel.

    Raises:
        ValueError: a value cannot be used; the sentence begins with its field's name.
    """

    height: int = 224
    width: int = 224
    resize: Resize = "crop"
    resize_to: int = 256
    interpolation: Interpolation = "bicubic"
    channels: Channels = "RGB"
    layout: Layout = "NHWC"
    dtype: DType = "uint8"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("height", "width", "resize_to"):
            _check_side(name, getattr(self, name))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}.")
        _check_numbers("scale", (self.scale,), 1)
        _check_numbers("mean", self.mean, self.depth)
        _check_numbers("std", self.std, self.depth)
        if min(self.std) <= 0:
            raise ValueError("std must be above 0.")
        if self.dtype in ("uint8", "int8") and not self.plain:
            raise ValueError(f"dtype {self.dtype} holds plain pixels: scale and std must be 1, mean 0.")

    @property
    def depth(self) -> int:
        """Channels of the tensor: 1 or 3."""
        return 1 if self.channels == "L" else 3

    @property
    def plain(self) -> bool:
        """Whether pixels stay as they are, neither scaled nor shifted."""
        return self.scale == 1 and not any(self.mean) and all(value == 1 for value in self.std)

    @property
    def shortest(self) -> int:
        """The short side, in pixels, below which a decoder must not shrink the picture."""
        return self.resize_to if self.resize == "crop" else max(self.height, self.width)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one picture's tensor, without a batch axis."""
        if self.layout == "NCHW":
            return self.depth, self.height, self.width
        return self.height, self.width, self.depth

    def to_json(self) -> dict[str, Any]:
        """The value as JSON; `from_json` reads it back."""
        names = {name: getattr(self, name) for name in _FIELDS if name not in ("size", "mean", "std")}
        form = {"size": [self.height, self.width], **names, "mean": list(self.mean), "std": list(self.std)}
        return {name: form[name] for name in _FIELDS}

    @classmethod
    def from_json(cls, value: object) -> "Preprocessing":
        """Read the form that `to_json` writes; every field is needed, for a guess would be wrong quietly.

        Raises:
            ValueError: a field is unknown, missing or wrong; the sentence names it.
        """
        if not isinstance(value, dict):
            raise ValueError("preprocessing must be a JSON object.")  # noqa: TRY004 - one error for every bad form
        for problem, names in (
            ("unknown", value.keys() - {*_FIELDS}),
            ("missing", {*_FIELDS} - value.keys()),
        ):
            if names:
                raise ValueError(f"{min(map(str, names))} is {problem}.")
        fields = dict(value)
        height, width = _pair("size", fields.pop("size"))
        mean, std = (_sequence(name, fields.pop(name)) for name in ("mean", "std"))
        return cls(height=height, width=width, mean=mean, std=std, **fields)


def to_tensor(image: Image.Image, preprocessing: Preprocessing) -> npt.NDArray[Any]:
    """One picture's tensor.

    Args:
        image: a picture of mode RGB.
        preprocessing: what to do with it.

    Returns:
        A contiguous, perhaps read-only array of `preprocessing.shape`, without a batch axis.
    """
    pixels = _pixels(_resized(image, preprocessing), preprocessing.channels)
    if preprocessing.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    return _values(np.ascontiguousarray(pixels), preprocessing)


def _resized(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    size = preprocessing.width, preprocessing.height
    if preprocessing.resize == "stretch":
        return stretch(image, size, preprocessing.interpolation)
    return crop(image, preprocessing.resize_to, size, preprocessing.interpolation)


def _pixels(image: Image.Image, channels: Channels) -> npt.NDArray[np.uint8]:
    if channels == "L":
        return np.asarray(image.convert("L"))[:, :, np.newaxis]
    pixels = np.asarray(image)
    return pixels[:, :, ::-1] if channels == "BGR" else pixels


def _values(pixels: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> npt.NDArray[Any]:
    if preprocessing.dtype == "uint8":
        return pixels
    if preprocessing.dtype == "int8":
        return (pixels ^ 0x80).view(np.int8)
    if preprocessing.plain:
        return pixels.astype(preprocessing.dtype)
    return _normalised(pixels, preprocessing).astype(preprocessing.dtype, copy=False)


def _normalised(pixels: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    std = np.array(preprocessing.std)
    # Long rows: numpy is several times slower when it repeats three numbers for every pixel.
    rows = pixels.reshape(preprocessing.shape[0], -1)
    values = rows * _along(preprocessing, preprocessing.scale / std)
    values -= _along(preprocessing, np.array(preprocessing.mean) / std)
    return values.reshape(preprocessing.shape)


def _along(preprocessing: Preprocessing, channels: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """A number for each channel, laid along the tensor's first axis or along its rows."""
    values = channels.astype(np.float32)
    return values[:, np.newaxis] if preprocessing.layout == "NCHW" else np.tile(values, preprocessing.width)


def _check_side(name: str, value: object) -> None:
    if type(value) is not int or not 1 <= value <= MAX_SIDE:
        raise ValueError(f"{name} must be a whole number from 1 to {MAX_SIDE}.")


def _check_numbers(name: str, values: tuple[object, ...], count: int) -> None:
    if len(values) != count:
        raise ValueError(f"{name} must have {count} number{'s' if count > 1 else ''}.")
    if not all(_is_number(value) for value in values):
        raise ValueError(f"{name} must be finite, as a 32-bit floating-point number.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _sequence(name: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list.")  # noqa: TRY004 - one error for every bad form
    return tuple(value)


def _pair(name: str, value: object) -> tuple[Any, Any]:
    if len(pair := _sequence(name, value)) != 2:
        raise ValueError(f"{name} must be a list of height and width.")
    return pair[0], pair[1]
