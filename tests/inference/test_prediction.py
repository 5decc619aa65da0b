"""What prepares images is tied to the number that keeps old answers out of the cache."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import Preprocessing, to_tensor
from predictor.inference.prediction import PIPELINE

IMAGENET = Preprocessing(
    dtype="float32", scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), layout="NCHW"
)
SMALL = Preprocessing(height=32, width=32, resize_to=36)
SMOOTH = np.stack(np.meshgrid(np.arange(256), np.arange(200)), axis=-1).astype(np.uint8)
COLOURS = np.dstack([SMOOTH, SMOOTH[::-1, :, 0]])


def encoded(pixels: npt.NDArray[Any], kind: str, mode: str | None = None, **options: Any) -> bytes:
    """An image file in memory."""
    image, out = Image.fromarray(pixels), io.BytesIO()
    (image.convert(mode) if mode else image).save(out, kind, **options)
    return out.getvalue()


def turned() -> bytes:
    """An image that its EXIF orientation turns."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(COLOURS, "PNG", exif=exif)


def large(cat: bytes) -> bytes:
    """A JPEG that is decoded at a fraction of its size."""
    return encoded(np.asarray(Image.open(io.BytesIO(cat)).convert("RGB").resize((1300, 1200))), "JPEG")


# What is decoded how, without losses wherever the test itself encodes, and what is made of it.
SAMPLES: dict[str, tuple[Callable[[bytes], bytes], Preprocessing, bool]] = {
    "JPEG": (lambda cat: cat, IMAGENET, False),
    "large JPEG": (large, SMALL, False),
    "large JPEG, exact": (large, SMALL, True),
    "PNG": (lambda _: encoded(COLOURS, "PNG"), Preprocessing(), False),
    "opacity": (lambda _: encoded(np.dstack([COLOURS, COLOURS[:, :, 1]]), "PNG"), SMALL, False),
    "16 bits": (lambda _: encoded(SMOOTH[:, :, 0].astype(np.uint16) * 257, "PNG"), SMALL, False),
    "orientation": (lambda _: turned(), SMALL, False),
    "GIF": (lambda _: encoded(SMOOTH[:, :, 0], "GIF"), SMALL, False),
    "BMP": (lambda _: encoded(COLOURS, "BMP"), SMALL, False),
    "WebP": (lambda _: encoded(COLOURS, "WEBP", lossless=True), SMALL, False),
    "CMYK": (lambda _: encoded(np.full((64, 64, 3), 200, np.uint8), "JPEG", "CMYK"), SMALL, False),
    "grey": (lambda cat: cat, Preprocessing(channels="L", mean=(0.0,), std=(1.0,)), False),
    "fit": (lambda cat: cat, Preprocessing(resize="fit", resize_to=224, fill=(114, 114, 114)), False),
    "stretch": (lambda cat: cat, Preprocessing(resize="stretch", interpolation="bilinear"), False),
    "linear": (lambda cat: cat, Preprocessing(interpolation="linear"), False),
}
# A digest that changes, be it by a new Pillow, means that answers in the cache are answers for other tensors:
# raise PIPELINE in predictor/inference/prediction.py, and write the new number and digests here.
PINNED_NUMBER = 2
PINNED = {
    "JPEG": "4fe5d366d9917a0c",
    "large JPEG": "a25ac69a84e960ff",
    "large JPEG, exact": "585b264304ed8d63",
    "PNG": "e26e706902800f11",
    "opacity": "c5564786613f45ef",
    "16 bits": "233915a488828b2d",
    "orientation": "2c1e0a04cbdb4674",
    "GIF": "233915a488828b2d",
    "BMP": "e83305c12cbc3e7f",
    "WebP": "e83305c12cbc3e7f",
    "CMYK": "d15e23abe488c198",
    "grey": "91ecfd8bf8440f4a",
    "fit": "7e5d7cbbe1c083cf",
    "stretch": "e456674ae6b1913c",
    "linear": "81f7c24375b37c72",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_preparation_is_that_of_the_number(name: str, cat: Path) -> None:
    """Whoever changes how images are decoded or prepared raises the number that stands in each key."""
    make, preprocessing, exact = SAMPLES[name]
    shortest = 0 if exact else preprocessing.shortest

    scaled = decode_scaled(make(cat.read_bytes()), Limits(), shortest, mode=preprocessing.mode)
    tensor = to_tensor(scaled, preprocessing, exact=exact)
    # Rounded, for the last bits of a product may differ between machines.
    values = np.round(tensor.astype(np.float64) * 1000).astype("<i4")

    assert (PIPELINE, hashlib.sha256(values.tobytes()).hexdigest()[:16]) == (PINNED_NUMBER, PINNED[name])
