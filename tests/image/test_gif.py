"""What is left of a GIF before it is decoded."""

from collections.abc import Callable

import pytest
from PIL import Image

from predictor.errors import InvalidImage
from predictor.image.decode import Limits, decode
from predictor.image.gif import strip

Encode = Callable[..., bytes]


@pytest.fixture
def plain(encode: Encode) -> bytes:
    """A GIF with a transparent colour and nothing else beside its frame."""
    image = Image.new("P", (8, 6), 1)
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putpixel((3, 3), 2)
    return encode(image, "GIF", transparency=2)


def _frame(data: bytes) -> int:
    return data.index(b"!\xf9")


def test_plain_picture_unchanged(plain: bytes) -> None:
    """A picture without comments stays byte for byte, its transparent colour too."""
    assert strip(plain) == (plain, b"")


@pytest.mark.parametrize("block", [b"!\xfe\x03abc\0", b"!\xff\x0bNETSCAPE2.0\x03\1\0\0\0", b"\0\0"])
def test_comments_dropped(block: bytes, plain: bytes) -> None:
    """Comments, application blocks and stray bytes before the first frame go."""
    at = _frame(plain)

    assert strip(plain[:at] + block + plain[at:])[0] == plain


@pytest.mark.parametrize(
    "block", [b"!\xfe" + b"\x01a" * 2_000_000 + b"\0", b"!\xfe\0" * 2_000_000, b"\0" * 2_000_000]
)
def test_flood_refused(block: bytes, plain: bytes) -> None:
    """Millions of tiny pieces before the first frame are refused."""
    at = _frame(plain)

    with pytest.raises(InvalidImage, match="blocks"):
        decode(plain[:at] + block + plain[at:], Limits())


@pytest.mark.parametrize("length", [6, 10, 13, 20])
def test_truncated(length: int, plain: bytes) -> None:
    """A GIF that ends before its first frame is invalid."""
    with pytest.raises(InvalidImage):
        decode(plain[:length], Limits())


def test_no_frame(plain: bytes) -> None:
    """A GIF that says it is over before its first frame is invalid."""
    with pytest.raises(InvalidImage, match="no frame"):
        decode(plain[: _frame(plain)] + b";", Limits())
