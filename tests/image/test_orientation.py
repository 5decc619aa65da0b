"""EXIF orientation against numpy's turns and flips."""

import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.image.decode import Limits, decode
from predictor.image.orientation import orientation

Pixels = npt.NDArray[np.uint8]
Encode = Callable[..., bytes]
# What a viewer does with the stored rows to show them, by the table of Exif 2.3, section 4.6.4.
TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


def _exif(order: str, *entries: tuple[int, int, int, int]) -> bytes:
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    body = b"".join(struct.pack(order + "HHLHxx", *entry) for entry in entries)
    return mark + struct.pack(order + "LH", 8, len(entries)) + body


@pytest.mark.parametrize("value", TURNS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_upright(kind: str, value: int, pixels: Pixels, encode: Encode) -> None:
    """All eight orientations come out upright, once."""
    exif = Image.Exif()
    exif[0x0112] = value
    options = {"lossless": True} if kind == "WEBP" else {}

    data = encode(Image.fromarray(pixels), kind, exif=exif, **options)

    image = decode(data, Limits(formats=("PNG", "WEBP", "TIFF")))
    assert np.array_equal(np.asarray(image), TURNS[value](pixels))


@pytest.mark.parametrize("value", TURNS)
@pytest.mark.parametrize("shortest", [0, 20])
def test_upright_jpeg(value: int, shortest: int, smooth: Pixels, encode: Encode) -> None:
    """A JPEG comes out upright at full and at reduced scale."""
    exif = Image.Exif()
    exif[0x0112] = value
    image = Image.fromarray(smooth)

    stored = np.asarray(decode(encode(image, "JPEG"), Limits(), shortest))
    turned = np.asarray(decode(encode(image, "JPEG", exif=exif), Limits(), shortest))

    assert np.array_equal(turned, TURNS[value](stored))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mark", [b"", b"Exif\0\0"])
def test_orientation_by_hand(order: str, mark: bytes) -> None:
    """Both byte orders are read, with and without the leading mark, behind other entries."""
    assert orientation(mark + _exif(order, (0x010F, 3, 1, 5), (0x0112, 3, 1, 6))) == 6


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"JUNK" * 20,
        _exif("<", (0x0112, 3, 1, 9)),
        _exif("<", (0x0112, 3, 1, 0)),
        _exif("<", (0x0112, 2, 1, 6)),
        _exif(">", (0x010F, 3, 1, 6)),
        _exif("<", (0x010F, 3, 1, 6))[:-3],
        b"II*\0\x08\0\0\0\xff\xff",
    ],
)
def test_orientation_damaged(block: bytes) -> None:
    """A block that is damaged, or gives no usable orientation, counts as upright."""
    assert orientation(block) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_keeps_picture(kind: str, smooth: Pixels, encode: Encode) -> None:
    """A broken EXIF block does not fail a good picture."""
    options = {"lossless": True} if kind == "WEBP" else {}
    image = Image.fromarray(smooth)
    data = encode(image, kind, exif=b"Exif\0\0II*\0\xf0\xff\xff\xff junk", **options)

    assert decode(data, Limits()).tobytes() == decode(encode(image, kind, **options), Limits()).tobytes()
