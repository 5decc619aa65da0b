"""`predictor.image.bmp`: palettes that name fewer colours than the pixels could."""

import io
import struct
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.errors import ImageTooLarge, InvalidImage, UnsupportedImage
from predictor.image.decode import Limits, decode

LIMITS = Limits()
INDICES = np.array([[0, 1, 1, 0, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0, 1, 0]], np.uint8)
BLACK_AND_WHITE = [(0, 0, 0), (255, 255, 255)]


def _bmp(
    bits: int, palette: list[tuple[int, int, int]], *, header: int = 40, offset: int | None = None
) -> bytes:
    """A BMP of INDICES by the Windows documentation, whose rows go from the bottom up."""
    if bits == 8:
        rows = [bytes(row) for row in INDICES]
    else:
        rows = [bytes(int(a) << 4 | int(b) for a, b in list(pairwise(row))[::2]) for row in INDICES]
    pixels = b"".join(row.ljust(-(-len(row) // 4) * 4, b"\0") for row in rows[::-1])
    colours = b"".join(bytes((blue, green, red, 0)) for red, green, blue in palette)
    start = 14 + header + len(colours) if offset is None else offset
    fields = struct.pack("<LllHHLLllLL", header, 8, 2, 1, bits, 0, len(pixels), 0, 0, len(palette), 0)
    file = struct.pack("<2sLHHL", b"BM", 14 + header + len(colours) + len(pixels), 0, 0, start)
    return file + fields.ljust(header, b"\0") + colours + pixels


def _shown(palette: list[tuple[int, int, int]]) -> npt.NDArray[np.uint8]:
    return np.array([*palette, *[(0, 0, 0)] * 2], np.uint8)[INDICES]


@pytest.mark.parametrize("header", [40, 108, 124])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(
    "palette",
    [BLACK_AND_WHITE, BLACK_AND_WHITE[::-1], [(0, 0, 0)], [(9, 8, 7), (1, 2, 3)], [(0, 0, 0), (1, 1, 1)]],
)
def test_few_colours(bits: int, header: int, palette: list[tuple[int, int, int]]) -> None:
    """Each pixel has the colour of the palette that it names, or black where there is none."""
    assert np.array_equal(np.asarray(decode(_bmp(bits, palette, header=header), LIMITS)), _shown(palette))


@pytest.mark.parametrize("offset", [0, 54])
def test_offset_without_palette(offset: int) -> None:
    """A file that does not tell where its pixels are has them behind the palette."""
    got = np.asarray(decode(_bmp(8, BLACK_AND_WHITE, offset=offset), LIMITS))

    assert np.array_equal(got, _shown(BLACK_AND_WHITE))


def test_palette_ends_at_the_pixels() -> None:
    """Colours that would lie in the pixels are none."""
    data = bytearray(_bmp(8, BLACK_AND_WHITE))
    struct.pack_into("<I", data, 46, 3)

    assert np.array_equal(np.asarray(decode(bytes(data), LIMITS)), _shown(BLACK_AND_WHITE))


def test_mask_that_pillow_writes() -> None:
    """A mask of black and white that Pillow saves as BMP is read as it was."""
    mask = Image.fromarray(INDICES, "P")
    mask.putpalette([value for colour in BLACK_AND_WHITE for value in colour])
    file = io.BytesIO()
    mask.save(file, "BMP")

    assert np.array_equal(np.asarray(decode(file.getvalue(), LIMITS)), _shown(BLACK_AND_WHITE))


@pytest.mark.parametrize(("bits", "compression"), [(2, 0), (24, 4), (16, 6), (0, 5)])
def test_pixels_of_another_kind(bits: int, compression: int) -> None:
    """A BMP with pixels that no decoder here knows is refused as such, not as damaged."""
    data = bytearray(_bmp(8, BLACK_AND_WHITE))
    struct.pack_into("<HL", data, 28, bits, compression)

    with pytest.raises(UnsupportedImage, match="24 bits"):
        decode(bytes(data), LIMITS)


def test_cut() -> None:
    """A file that ends in its palette, its header or its pixels is refused as damaged."""
    data = _bmp(8, BLACK_AND_WHITE)

    for length in (20, 40, 58, len(data) - 1):
        with pytest.raises(InvalidImage):
            decode(data[:length], LIMITS)


RUNS = {
    8: [
        (b"\x01\x01\x00\x03\x01\x01\x01\x00\x02\x00\x01\x01\x01\x00", b"\x00\x00"),
        (b"\x01\x00\x02\x01\x01\x00\x00\x04\x01\x00\x00\x00", b"\x00\x01"),
    ],
    4: [
        (b"\x04\x11\x04\x00", b"\x00\x00"),
        (b"\x01\x00\x03\x11\x00\x04\x10\x00", b"\x00\x01"),
    ],
}
"""Both rows of an image of 8 x 2 pixels from the bottom up, and what ends each. Layout of runs: Bitmap
Compression of the Windows documentation."""
SHOWN = {
    8: [[0, 1, 1, 0, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0, 1, 0]],
    4: [[0, 1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0]],
}


def _compressed(bits: int, runs: bytes) -> bytes:
    whole = [(shade, shade, shade) for shade in range(1 << bits)]
    fields = struct.pack(
        "<LllHHLLllLL", 40, 8, 2, 1, bits, {8: 1, 4: 2}[bits], len(runs), 0, 0, len(whole), 0
    )
    colours = b"".join(bytes((*colour, 0)) for colour in whole)
    start = 14 + len(fields) + len(colours)
    return struct.pack("<2sLHHL", b"BM", start + len(runs), 0, 0, start) + fields + colours + runs


@pytest.mark.promise("I4")
@pytest.mark.parametrize("bits", [8, 4])
def test_runs(bits: int) -> None:
    """An image without its last compressed pixels is refused; one that only lacks its end mark is read."""
    runs = b"".join(row + end for row, end in RUNS[bits])
    whole = _compressed(bits, runs)

    for data in (whole, whole[:-1], whole[:-2]):
        assert np.array_equal(np.asarray(decode(data, LIMITS))[..., 0], SHOWN[bits])
    for length in range(len(whole) - len(runs), len(whole) - 4):
        with pytest.raises(InvalidImage):
            decode(whole[:length], LIMITS)


@pytest.mark.parametrize("offset", [0, 54])
def test_runs_behind_a_palette_that_the_offset_leaves_out(offset: int) -> None:
    """Where the offset leaves the palette out, or is none, the runs begin behind the palette."""
    data = bytearray(_compressed(8, b"".join(row + end for row, end in RUNS[8])))
    struct.pack_into("<I", data, 10, offset)

    assert np.array_equal(np.asarray(decode(bytes(data), LIMITS))[..., 0], SHOWN[8])


@pytest.mark.parametrize(
    ("bits", "runs", "shown"),
    [
        (8, b"\x08\x03\x00\x01", [[0] * 8, [3] * 8]),
        (8, b"\x00\x00\x08\x03\x00\x00", [[3] * 8, [0] * 8]),
        (8, b"\x02\x07\x00\x02\x03\x01\x03\x05\x00\x01", [[0] * 5 + [5] * 3, [7, 7] + [0] * 6]),
        (8, b"\x00\x05\x01\x02\x03\x04\x05\x00\x03\x09\x00\x01", [[0] * 8, [1, 2, 3, 4, 5, 9, 9, 9]]),
        (4, b"\x00\x05\x12\x34\x50\x00\x03\x67\x00\x01", [[0] * 8, [1, 2, 3, 4, 5, 6, 7, 6]]),
    ],
)
def test_unusual_runs(bits: int, runs: bytes, shown: list[list[int]]) -> None:
    """An image may end early, have empty rows, steps, and odd numbers of pixels that are not repeated."""
    assert np.asarray(decode(_compressed(bits, runs), LIMITS))[..., 0].tolist() == shown


@pytest.mark.parametrize("width", [5, 3])
def test_rows_that_are_filled_up(width: int) -> None:
    """Pixels behind the end of a row that fill it up to whole units of 4 bytes are cut off."""
    row = bytes((0, -(-width // 4) * 4, *range(1, width + 1))) + bytes(-width % 4) + b"\x00\x00"
    data = bytearray(_compressed(8, row * 2 + b"\x00\x01"))
    struct.pack_into("<l", data, 18, width)

    assert np.asarray(decode(bytes(data), LIMITS))[..., 0].tolist() == [list(range(1, width + 1))] * 2


@pytest.mark.parametrize(("bits", "compression"), [(8, 2), (4, 1), (1, 1)])
def test_compression_of_other_pixels(bits: int, compression: int) -> None:
    """A compression that is not for pixels of these bits is refused."""
    data = bytearray(_compressed(8, b"".join(row + end for row, end in RUNS[8])))
    struct.pack_into("<HI", data, 28, bits, compression)

    with pytest.raises(InvalidImage):
        decode(bytes(data), LIMITS)


def test_size_is_checked_before_runs_are_read() -> None:
    """An image that is too large is refused before its pixels are made."""
    data = bytearray(_compressed(8, b"\x02\x01\x00\x01"))
    struct.pack_into("<ll", data, 18, 60_000, 60_000)

    with pytest.raises(ImageTooLarge):
        decode(bytes(data), LIMITS)


@pytest.mark.promise("I4")
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(
    "runs",
    [b"\x12\x01\x01\x01", b"\x00\x12" + bytes(18), b"\x06\x01\x00\x0c" + bytes(12), b"\x00\x02\x11\x00"],
)
def test_run_outside_its_row(bits: int, runs: bytes) -> None:
    """A run of pixels that lies outside its row is damaged, as whatever follows it lies elsewhere."""
    with pytest.raises(InvalidImage, match="a run of pixels lies outside its row"):
        decode(_compressed(bits, runs + b"\x00\x00" + RUNS[bits][1][0] + b"\x00\x01"), LIMITS)


@pytest.mark.parametrize("bits", [8, 4])
def test_repeated_too_often(bits: int) -> None:
    """The last pixel of a row may be repeated beyond its end, as some programs write it."""
    runs = b"\x07\x00\xff\x11\x00\x00" + RUNS[bits][1][0] + b"\x00\x01"

    got = np.asarray(decode(_compressed(bits, runs), LIMITS))[..., 0]

    assert got.tolist() == [SHOWN[bits][0], [0] * 7 + [17 if bits == 8 else 1]]


def test_pixels_left_out() -> None:
    """Pixels that the runs step over have the first colour of the palette."""
    runs = b"\x02\x07\x00\x02\x04\x00\x02\x09\x00\x00" + b"\x08\x05\x00\x01"

    got = np.asarray(decode(_compressed(8, runs), LIMITS))[..., 0]

    assert got.tolist() == [[5] * 8, [7, 7, 0, 0, 0, 0, 9, 9]]
