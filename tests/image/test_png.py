"""PNG: chunks counted and bounded, metadata dropped, pixels left as they are, and all of them there."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from predictor.errors import InvalidImage
from predictor.image import png
from predictor.image.decode import Limits, decode
from predictor.image.png import strip_png

MakePng = Callable[..., bytes]
ROWS = b"".join(b"\0" + bytes(range(start, start + 12)) for start in (0, 40, 80))


def test_plain_png_unchanged(make_png: MakePng) -> None:
    """An image without anything else stays byte for byte."""
    data = make_png(4, 3, (8, 2), ROWS)

    assert strip_png(data) == (data, b"")


def test_metadata_dropped(make_png: MakePng) -> None:
    """Text, profile, animation and private chunks go; the EXIF block comes back."""
    extra = [
        (b"iCCP", b"name\0\0" + zlib.compress(bytes(10_000_000))),
        (b"zTXt", b"key\0\0" + zlib.compress(bytes(10_000_000))),
        (b"acTL", b"broken"),
        (b"prVt", b"private"),
        (b"eXIf", b"block"),
    ]

    assert strip_png(make_png(4, 3, (8, 2), ROWS, *extra)) == (make_png(4, 3, (8, 2), ROWS), b"block")


def test_broken_metadata_keeps_picture(make_png: MakePng) -> None:
    """A text chunk with a wrong checksum does not fail a good image."""
    data = make_png(4, 3, (8, 2), ROWS, (b"tEXt", b"key\0value")).replace(b"value", b"other")

    image = decode(data, Limits())

    assert np.asarray(image)[2, 0].tolist() == [80, 81, 82]


def test_broken_header_refused(make_png: MakePng) -> None:
    """A header whose checksum is wrong is an invalid image."""
    data = bytearray(make_png(4, 3, (8, 2), ROWS))
    data[19] ^= 1

    with pytest.raises(InvalidImage):
        decode(bytes(data), Limits())


@pytest.mark.parametrize("body", [b"", b"\0", b"\0" * 5, b"\0" * 8])
def test_short_colour_key_ignored(body: bytes, make_png: MakePng) -> None:
    """A colour key of the wrong length is dropped."""
    assert strip_png(make_png(4, 3, (8, 2), ROWS, (b"tRNS", body)))[0] == make_png(4, 3, (8, 2), ROWS)


def test_too_many_chunks(make_png: MakePng) -> None:
    """A flood of chunks is refused, not walked to its end."""
    with pytest.raises(InvalidImage, match="chunks"):
        decode(make_png(4, 3, (8, 2), ROWS, *[(b"tEXt", b"")] * 120_000), Limits())


KINDS = [(1, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (2, 3), (8, 4), (8, 6)]
"""Depth, and the type of colours."""
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def _file(depth: int, colour: int, data: bytes, *, interlaced: bool = False) -> bytes:
    """A PNG of 11 x 9 pixels, whatever its pixels are."""
    header = struct.pack(">LLBBBBB", 11, 9, depth, colour, 0, 0, interlaced)
    palette = [(b"PLTE", bytes(range(12)))] if colour == 3 else []
    chunks = [(b"IHDR", header), *palette, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return png.SIGNATURE + b"".join(
        struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))
        for name, body in chunks
    )


@pytest.mark.promise("I4")
@pytest.mark.parametrize(("depth", "colour"), KINDS)
@pytest.mark.parametrize("shade", [b"\0", b"\xff"])
def test_rows_are_missing(depth: int, colour: int, shade: bytes) -> None:
    """Pixels that end between two rows are refused; black ones that are there are not missing."""
    row = b"\0" + shade * -(-11 * depth * SAMPLES[colour] // 8)

    assert decode(_file(depth, colour, 9 * row), Limits()).size == (11, 9)
    for rows in (0, 1, 5, 8):
        with pytest.raises(InvalidImage):
            decode(_file(depth, colour, rows * row), Limits())


@pytest.mark.promise("I4")
@pytest.mark.parametrize("shade", [0, 200])
def test_passes_are_missing(shade: int) -> None:
    """Of an interlaced image no pass, and no row of one, may be missing."""
    # Columns and rows of each pass of 11 x 9 pixels, by the standard's figure of Adam7.
    passes = [(2, 2), (1, 2), (3, 1), (3, 3), (6, 2), (5, 5), (11, 4)]
    rows = [b"\0" + bytes([shade]) * columns for columns, count in passes for _ in range(count)]

    whole = decode(_file(8, 0, b"".join(rows), interlaced=True), Limits())

    assert np.unique(np.asarray(whole)).tolist() == [shade]
    for count in (0, 2, 8, 13, len(rows) - 1):
        with pytest.raises(InvalidImage):
            decode(_file(8, 0, b"".join(rows[:count]), interlaced=True), Limits())


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_black_below(mode: str) -> None:
    """An image whose last rows are black is whole."""
    file = io.BytesIO()
    Image.new(mode, (30, 20)).save(file, "PNG")

    assert decode(file.getvalue(), Limits()).size == (30, 20)
