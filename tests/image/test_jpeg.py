"""The walk over JPEG's markers: scans counted, metadata dropped."""

import struct
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.errors import InvalidImage
from predictor.image.decode import Limits, decode
from predictor.image.jpeg import MAX_SCANS, strip

Encode = Callable[..., bytes]
SOS = b"\xff\xda"


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


@pytest.fixture
def progressive(smooth: npt.NDArray[np.uint8], encode: Encode) -> bytes:
    """A progressive JPEG without metadata."""
    return encode(Image.fromarray(smooth), "JPEG", progressive=True)


def _with_scans(data: bytes, count: int) -> bytes:
    """The same picture, its last scan repeated until there are `count`."""
    last, end = data.rindex(SOS), data.rindex(b"\xff\xd9")
    return data[:end] + data[last:end] * (count - data.count(SOS)) + data[end:]


def test_scans_up_to_the_limit(progressive: bytes) -> None:
    """As many scans as allowed are decoded."""
    assert decode(_with_scans(progressive, MAX_SCANS), Limits()).size == (128, 96)


@pytest.mark.promise("I6")
@pytest.mark.parametrize("count", [MAX_SCANS + 1, 505, 50_000])
def test_scan_bomb(progressive: bytes, count: int) -> None:
    """More scans are refused before any is decoded."""
    with pytest.raises(InvalidImage, match="100 scans"):
        decode(_with_scans(progressive, count), Limits())


@pytest.mark.promise("I6")
@pytest.mark.parametrize("marker", [0xE2, 0xFE])
def test_scan_marks_inside_segments(progressive: bytes, marker: int) -> None:
    """Bytes that look like scans inside a profile or a comment are not counted, before and between scans."""
    decoy = _segment(marker, SOS * 500)
    second = progressive.index(SOS, progressive.index(SOS) + 2)
    data = progressive[:2] + decoy + progressive[2:second] + decoy + progressive[second:]

    assert decode(data, Limits()).tobytes() == decode(progressive, Limits()).tobytes()


def test_strip_drops_metadata(progressive: bytes) -> None:
    """Metadata segments go, the EXIF block comes back, everything else stays byte for byte."""
    adobe = _segment(0xEE, b"Adobe\0\x64\0\0\0\0\1")
    data = (
        progressive[:2]
        + adobe
        + _segment(0xE1, b"Exif\0\0block")
        + _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0xmp")
        + _segment(0xE2, b"MPF\0II*\0")
        + _segment(0xED, b"Photoshop 3.0\0")
        + _segment(0xFE, b"comment")
        + progressive[2:]
    )

    assert strip(data) == (progressive[:2] + adobe + progressive[2:], b"Exif\0\0block")


@pytest.mark.promise("I8")
def test_strip_directory_of_terabytes(progressive: bytes) -> None:
    """A directory whose every entry claims the whole block is never read into memory."""
    entries = b"".join(struct.pack("<HHLL", tag, 7, 60_000, 8) for tag in range(0x8000, 0x8000 + 5000))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5000) + entries
    data = progressive[:2] + _segment(0xE1, exif) + progressive[2:]

    stripped, block = strip(data)

    assert (stripped, block) == (progressive, exif)


def test_junk_before_a_marker(progressive: bytes) -> None:
    """Bytes between segments are skipped as decoders skip them."""
    data = progressive[:2] + b"\0" * 1000 + b"\xff\xff\xff" + progressive[2:]

    assert strip(data)[0] == progressive


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0",
        b"\xff\xd8\xff\xe0\0\x10JFIF",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + b"\xff" * 99,
    ],
)
def test_no_scan(data: bytes) -> None:
    """A JPEG that ends before its first scan is invalid."""
    with pytest.raises(InvalidImage):
        strip(data)


def test_too_many_segments(progressive: bytes) -> None:
    """A flood of small segments is refused, not walked to its end."""
    with pytest.raises(InvalidImage, match="segments"):
        strip(progressive[:2] + _segment(0xFE, b"") * 100_000 + progressive[2:])


@pytest.mark.parametrize("decoy", [SOS * 200, b""])
def test_too_many_segments_between_scans(decoy: bytes, progressive: bytes) -> None:
    """Nor is a flood between scans, where marks inside a comment have the scans counted."""
    second = progressive.index(SOS, progressive.index(SOS) + 2)
    flood = _segment(0xFE, decoy) + _segment(0xFE, b"") * 1_000_000
    data = progressive[:second] + flood + progressive[second:]

    start = time.process_time()
    if decoy:
        with pytest.raises(InvalidImage, match="segments"):
            strip(data)
    else:
        strip(data)

    assert time.process_time() - start < 0.5
