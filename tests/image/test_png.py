"""What is left of a PNG before it is decoded."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest

from predictor.errors import InvalidImage
from predictor.image.decode import Limits, decode
from predictor.image.png import strip

MakePng = Callable[..., bytes]
ROWS = b"".join(b"\0" + bytes(range(start, start + 12)) for start in (0, 40, 80))


def test_plain_picture_unchanged(make_png: MakePng) -> None:
    """A picture without anything else stays byte for byte."""
    data = make_png(4, 3, (8, 2), ROWS)

    assert strip(data) == (data, b"")


def test_metadata_dropped(make_png: MakePng) -> None:
    """Text, profile, animation and private chunks go; the EXIF block comes back."""
    extra = [
        (b"iCCP", b"name\0\0" + zlib.compress(bytes(10_000_000))),
        (b"zTXt", b"key\0\0" + zlib.compress(bytes(10_000_000))),
        (b"acTL", b"broken"),
        (b"prVt", b"private"),
        (b"eXIf", b"block"),
    ]

    assert strip(make_png(4, 3, (8, 2), ROWS, *extra)) == (make_png(4, 3, (8, 2), ROWS), b"block")


def test_broken_metadata_keeps_picture(make_png: MakePng) -> None:
    """A text chunk with a wrong checksum does not fail a good picture."""
    data = make_png(4, 3, (8, 2), ROWS, (b"tEXt", b"key\0value")).replace(b"value", b"other")

    image = decode(data, Limits())

    assert np.asarray(image)[2, 0].tolist() == [80, 81, 82]


def test_broken_header_refused(make_png: MakePng) -> None:
    """A header whose checksum is wrong is an invalid picture."""
    data = bytearray(make_png(4, 3, (8, 2), ROWS))
    data[19] ^= 1

    with pytest.raises(InvalidImage):
        decode(bytes(data), Limits())


@pytest.mark.parametrize("body", [b"", b"\0", b"\0" * 5, b"\0" * 8])
def test_short_colour_key_ignored(body: bytes, make_png: MakePng) -> None:
    """A colour key of the wrong length is dropped."""
    assert strip(make_png(4, 3, (8, 2), ROWS, (b"tRNS", body)))[0] == make_png(4, 3, (8, 2), ROWS)


def test_too_many_chunks(make_png: MakePng) -> None:
    """A flood of chunks is refused, not walked to its end."""
    with pytest.raises(InvalidImage, match="chunks"):
        decode(make_png(4, 3, (8, 2), ROWS, *[(b"tEXt", b"")] * 120_000), Limits())
