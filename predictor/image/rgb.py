"""A decoded image of any kind of pixels, as upright 8-bit RGB."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from predictor.image.resize import Scaled

_DEEP = ("I", "F")
# Their alpha is often a byte that programs without alpha leave zero.
_SPARE_ALPHA = ("BMP", "DIB", "ICO", "CUR", "TGA")


def to_rgb(image: Image.Image) -> Image.Image:
    """The image as RGB; transparent parts show white.

    Grey of 16 bits is divided by 257, so that 65535 becomes 255; wider integers are clipped to 16
    bits first. Floating-point grey is taken as 0 to 1 if it stays inside, else as 0 to 255.
    """
    if image.mode.startswith(_DEEP):
        return _deep_to_rgb(image)
    if image.has_transparency_data:
        return _on_white(_to_rgba(image))
    return image if image.mode == "RGB" else image.convert("RGB")


def to_rgba(image: Image.Image) -> Image.Image:
    """The image as RGBA; what has no transparency is opaque."""
    return to_rgb(image).convert("RGBA") if image.mode.startswith(_DEEP) else _to_rgba(image)


def without_unused_alpha(image: Image.Image) -> Image.Image:
    """A loaded image, as opaque if its alpha is zero everywhere for no reason of the person who made it."""
    if image.format in _SPARE_ALPHA and image.mode == "RGBA":
        return image.convert("RGB") if image.getchannel("A").getbbox() is None else image
    # Where the planes of a grey TIFF lie apart, its alpha is not read.
    if image.format == "TIFF" and image.mode in ("LA", "La"):
        return image.getchannel("L") if image.getchannel(1).getbbox() is None else image
    return image


def on_black(image: Image.Image, frame: tuple[int, int, int, int]) -> Image.Image:
    """A loaded GIF with black where its first frame leaves it empty, as libvips has it.

    Where that frame has a transparent colour, the empty part is transparent already.

    Args:
        image: the whole image, of which Pillow gives the empty part the first colour of the palette.
        frame: left, upper, right and lower edge of the first frame.
    """
    if frame == (0, 0, *image.size) or image.has_transparency_data:
        return image
    whole = Image.new("RGB", image.size)
    whole.paste(image.crop(frame).convert("RGB"), frame)
    return whole


def _to_rgba(image: Image.Image) -> Image.Image:
    straight = image.convert("LA") if image.mode == "La" else image
    return straight if straight.mode == "RGBA" else straight.convert("RGBA")


def _on_white(image: Image.Image, mask: Image.Image | None = None) -> Image.Image:
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=mask or image)
    return white


def _deep_to_rgb(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = _float_to_8(values) if image.mode == "F" else _integer_to_8(values)
    opened = Image.fromarray(grey).convert("RGB")
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return opened
    return _on_white(opened, Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))


def _integer_to_8(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    # Rounds v / 257 within 16 bits: from 65407 on the sum would overflow, and the answer is 255.
    rounded: npt.NDArray[np.uint16] = np.clip(values, 0, 65407).astype(np.uint16)
    rounded += 128
    rounded //= 257
    return rounded.astype(np.uint8)


def _float_to_8(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    finite = np.nan_to_num(values, nan=0.0)
    factor = 255.0 if finite.min() >= 0 and finite.max() <= 1 else 1.0
    rounded: npt.NDArray[np.float32] = np.rint(np.clip(finite * factor, 0, 255))
    return rounded.astype(np.uint8)


ORIENTATION = 0x0112
_SHORT = 3
_ENTRY = 12
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Those that turn the columns around, those that turn the rows around, and those that then swap the two.
_MIRRORED_ACROSS, _MIRRORED_DOWN, _SWAPPED = {2, 3, 7, 8}, {3, 4, 6, 7}, {5, 6, 7, 8}


def orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that an EXIF block gives; 1 if it gives none or is damaged.

    Args:
        exif: a TIFF structure, with or without the leading `Exif` mark.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    try:
        return _first_directory(tiff, order) if order else 1
    except struct.error:
        return 1


def _first_directory(tiff: bytes, order: str) -> int:
    (start,) = struct.unpack_from(order + "L", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, start)
    for number in range(entries):
        tag, kind, _, value = struct.unpack_from(order + "HHLH", tiff, start + 2 + number * _ENTRY)
        if tag == ORIENTATION:
            return value if kind == _SHORT and 1 <= value <= 8 else 1
    return 1


def upright(image: Scaled, value: int) -> Scaled:
    """The image turned so that its top is up; `value` is its EXIF orientation."""
    if (turn := _UPRIGHT.get(value)) is None:
        return image
    (width, height), (left, top, right, bottom) = image.pixels.size, image.box
    across = (width - right, width - left) if value in _MIRRORED_ACROSS else (left, right)
    down = (height - bottom, height - top) if value in _MIRRORED_DOWN else (top, bottom)
    across, down = (down, across) if value in _SWAPPED else (across, down)
    size = image.size[::-1] if value in _SWAPPED else image.size
    return Scaled(image.pixels.transpose(turn), size, (across[0], down[0], across[1], down[1]))
