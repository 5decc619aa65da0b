"""JPEG and GIF: parts counted and bounded, metadata dropped, pixels left as they are."""

import struct
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.errors import InvalidImage, UnsupportedImage
from predictor.image.decode import Limits, decode
from predictor.image.formats import MAX_SCANS, strip_gif, strip_jpeg

Encode = Callable[..., bytes]
SOS = b"\xff\xda"


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


@pytest.fixture
def progressive(smooth: npt.NDArray[np.uint8], encode: Encode) -> bytes:
    """A progressive JPEG without metadata."""
    return encode(Image.fromarray(smooth), "JPEG", progressive=True)


def _with_scans(data: bytes, count: int) -> bytes:
    """The same image, its last scan repeated until there are `count`."""
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


@pytest.mark.parametrize(("frame", "bits"), [(0xC1, 12), (0xC2, 12), (0xC3, 16), (0xC5, 8), (0xF7, 8)])
def test_pixels_of_another_kind(frame: int, bits: int, progressive: bytes) -> None:
    """A JPEG of 12 bits, or of a kind that no decoder here knows, is refused as such, not as damaged."""
    begin = progressive.index(b"\xff\xc2")
    data = bytearray(progressive)
    data[begin + 1], data[begin + 4] = frame, bits

    with pytest.raises(UnsupportedImage, match="8 bits, or as PNG"):
        decode(bytes(data), Limits())


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

    assert strip_jpeg(data) == (progressive[:2] + adobe + progressive[2:], b"Exif\0\0block")


@pytest.mark.promise("I8")
def test_strip_directory_of_terabytes(progressive: bytes) -> None:
    """A directory whose every entry claims the whole block is never read into memory."""
    entries = b"".join(struct.pack("<HHLL", tag, 7, 60_000, 8) for tag in range(0x8000, 0x8000 + 5000))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5000) + entries
    data = progressive[:2] + _segment(0xE1, exif) + progressive[2:]

    stripped, block = strip_jpeg(data)

    assert (stripped, block) == (progressive, exif)


def test_junk_before_a_marker(progressive: bytes) -> None:
    """Bytes between segments are skipped as decoders skip them."""
    data = progressive[:2] + b"\0" * 1000 + b"\xff\xff\xff" + progressive[2:]

    assert strip_jpeg(data)[0] == progressive


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
        strip_jpeg(data)


def test_too_many_segments(progressive: bytes) -> None:
    """A flood of small segments is refused, not walked to its end."""
    with pytest.raises(InvalidImage, match="segments"):
        strip_jpeg(progressive[:2] + _segment(0xFE, b"") * 100_000 + progressive[2:])


@pytest.mark.parametrize("decoy", [SOS * 200, b""])
def test_too_many_segments_between_scans(decoy: bytes, progressive: bytes) -> None:
    """Nor is a flood between scans, where marks inside a comment have the scans counted."""
    second = progressive.index(SOS, progressive.index(SOS) + 2)
    flood = _segment(0xFE, decoy) + _segment(0xFE, b"") * 1_000_000
    data = progressive[:second] + flood + progressive[second:]

    start = time.process_time()
    if decoy:
        with pytest.raises(InvalidImage, match="segments"):
            strip_jpeg(data)
    else:
        strip_jpeg(data)

    assert time.process_time() - start < 0.5


JPEGS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("RGB", {}),
    "progressive": ("RGB", {"progressive": True}),
    "restarts": ("RGB", {"restart_marker_blocks": 3}),
    "grey": ("L", {"optimize": True}),
    "grey progressive": ("L", {"progressive": True}),
    "cmyk": ("CMYK", {"quality": 95}),
}


@pytest.fixture(params=JPEGS)
def whole(request: pytest.FixtureRequest, smooth: npt.NDArray[np.uint8], encode: Encode) -> bytes:
    """A JPEG of each way of writing."""
    mode, options = JPEGS[request.param]
    return encode(Image.fromarray(smooth).convert(mode), "JPEG", **options)


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("shortest", [0, 24])
def test_no_end_marker(missing: int, shortest: int, whole: bytes) -> None:
    """A JPEG that lacks only its end marker, or half of that, has the pixels that it has with it."""
    got = decode(whole[:-missing], Limits(), shortest)

    assert got.tobytes() == decode(whole, Limits(), shortest).tobytes()


def test_no_end_marker_with_metadata(whole: bytes) -> None:
    """An end marker inside metadata is not that of the image."""
    thumbnail = _segment(0xE1, b"Exif\0\0" + whole[:50] + b"\xff\xd9")

    assert decode(whole[:2] + thumbnail + whole[2:-2], Limits()).size == (128, 96)


@pytest.mark.promise("I4")
def test_more_than_the_end_marker_is_missing(whole: bytes) -> None:
    """If any byte of the last scan is missing as well, the image is refused."""
    for missing in (*range(3, 60), *range(60, len(whole) - 400, 97)):
        with pytest.raises(InvalidImage):
            decode(whole[:-missing], Limits())


@pytest.mark.promise("I4")
def test_scans_are_missing(progressive: bytes) -> None:
    """An image whose later scans are missing is blurred, not whole, although each scan is complete."""
    segments = [at for at in range(len(progressive)) if progressive[at : at + 2] in (b"\xff\xc4", SOS)]

    assert len(segments) > 8
    for end in segments[1:]:
        with pytest.raises(InvalidImage):
            decode(progressive[:end], Limits())


@pytest.fixture
def plain(encode: Encode) -> bytes:
    """A GIF with a transparent colour and nothing else beside its frame."""
    image = Image.new("P", (8, 6), 1)
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putpixel((3, 3), 2)
    return encode(image, "GIF", transparency=2)


def _frame(data: bytes) -> int:
    return data.index(b"!\xf9")


def test_plain_gif_unchanged(plain: bytes) -> None:
    """An image without comments stays byte for byte, its transparent colour too."""
    assert strip_gif(plain) == (plain, b"")


@pytest.mark.parametrize("block", [b"!\xfe\x03abc\0", b"!\xff\x0bNETSCAPE2.0\x03\1\0\0\0", b"\0\0"])
def test_comments_dropped(block: bytes, plain: bytes) -> None:
    """Comments, application blocks and stray bytes before the first frame go."""
    at = _frame(plain)

    assert strip_gif(plain[:at] + block + plain[at:])[0] == plain


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


@pytest.mark.parametrize("grey", [True, False])
def test_palette_of_the_first_frame(encode: Encode, *, grey: bool) -> None:
    """A first frame's own palette counts, also if it is grey."""
    image = Image.new("P", (8, 6), 200)
    image.putpalette([value for shade in range(256) for value in (shade, shade, shade if grey else 7)])
    data = encode(image, "GIF", optimize=False)
    frame = data.index(b",\0\0\0\0\x08\0\x06\0")
    start, palette = data[:10] + bytes((data[10] | 0x87,)) + data[11:13], data[13 : 13 + 768]
    own = (
        start
        + bytes((255, 10, 10)) * 256
        + data[13 + 768 : frame + 9]
        + b"\x87"
        + palette
        + data[frame + 10 :]
    )

    shown = np.asarray(decode(own, Limits())).reshape(-1, 3)

    assert np.unique(shown, axis=0).tolist() == [[200, 200, 200 if grey else 7]]


def test_no_frame(plain: bytes) -> None:
    """A GIF that says it is over before its first frame is invalid."""
    with pytest.raises(InvalidImage, match="no frame"):
        decode(plain[: _frame(plain)] + b";", Limits())
