"""Whatever the pixels of an image of Pillow are, the client sends them, and the service sees the same."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from predictor.client_images import encoded
from predictor.image.decode import Limits, decode
from predictor.image.rgb import to_rgb

RGBA = Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 7, 4), np.uint8), "RGBA")
RGB, GREY = RGBA.convert("RGB"), RGBA.convert("L")
DEEP = np.random.default_rng(2).integers(-900, 70_000, (9, 7), np.int32)
REAL = np.random.default_rng(3).random((9, 7), np.float32)
IMAGES: dict[str, Image.Image] = {
    "1": GREY.convert("1"),
    "L": GREY,
    "LA": RGBA.convert("LA"),
    "La": RGBA.convert("LA").convert("La"),
    "P": RGB.quantize(16),
    "PA": RGB.quantize(16).convert("PA"),
    "RGB": RGB,
    "RGBA": RGBA,
    "RGBa": RGBA.convert("RGBa"),
    "RGBX": RGB.convert("RGBX"),
    "CMYK": RGB.convert("CMYK"),
    "YCbCr": RGB.convert("YCbCr"),
    "HSV": RGB.convert("HSV"),
    "LAB": RGB.convert("LAB"),
    "I": Image.fromarray(DEEP),
    "I;16": Image.fromarray(DEEP.clip(0, 65_535).astype(np.uint16)),
    "I;16B": Image.fromarray(DEEP).convert("I;16B"),
}


def pixels(image: Image.Image) -> Any:
    """The pixels that the service sees in an image, as signed numbers."""
    return np.asarray(to_rgb(image)).astype(int)


@pytest.mark.parametrize("mode", IMAGES)
def test_modes(mode: str) -> None:
    """An image of any mode arrives with the pixels that it has as it is."""
    image = IMAGES[mode]

    sent = Image.open(io.BytesIO(encoded(image)))

    assert (image.mode, sent.format) == (mode, "PNG")
    assert (pixels(sent) == pixels(image)).all()


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.int64])
def test_signed_numbers(kind: Any) -> None:
    """An array of signed numbers, for which nothing says what is white, is refused."""
    with pytest.raises(TypeError, match="uint8"):
        encoded(np.full((9, 7), 200, kind))


@pytest.mark.parametrize("values", [REAL, REAL * 300])
def test_floating_point(values: Any) -> None:
    """Grey of floating-point numbers arrives to a level, whether it is 0 to 1 or 0 to 255."""
    image = Image.fromarray(values)

    sent = Image.open(io.BytesIO(encoded(image)))

    assert image.mode == "F"
    assert abs(pixels(sent) - pixels(image)).max() <= 1


def test_profile() -> None:
    """The colour profile of pixels that were converted is left out, as it does not fit them any more."""
    image = RGB.convert("CMYK")
    image.info["icc_profile"] = b"a profile for ink"

    assert "icc_profile" not in Image.open(io.BytesIO(encoded(image))).info


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3)),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.frombuffer(b"the bytes of a file", np.uint8),
        7,
    ],
)
def test_other_arrays(image: Any) -> None:
    """An array that is no image is refused with the types and shapes that are taken."""
    with pytest.raises(TypeError, match=r"numpy array of uint8 of the shape \(height, width\)"):
        encoded(image)


@pytest.mark.parametrize("orientation", range(10))
def test_orientation(orientation: int) -> None:
    """An image of a camera arrives upright, as its file does."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    RGB.save(file, "JPEG", exif=exif)
    image = Image.open(file)

    sent = encoded(image)

    limits = Limits(("JPEG", "PNG"), 1_000_000, 1_000_000)
    assert (pixels(decode(sent, limits)) == pixels(decode(file.getvalue(), limits))).all()
    assert image.getexif()[0x0112] == orientation


def test_damaged_exif() -> None:
    """Where EXIF is damaged, the image arrives as it is."""
    file = io.BytesIO()
    RGB.save(file, "JPEG", exif=b"Exif\0\0lost")

    sent = Image.open(io.BytesIO(encoded(Image.open(file))))

    assert sent.size == RGB.size
