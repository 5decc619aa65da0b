"""`predictor.image.bmp`: palettes that name fewer colours than the pixels could."""

import io
import struct
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.errors import InvalidImage
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


def test_cut() -> None:
    """A file that ends in its palette, its header or its pixels is refused as damaged."""
    data = _bmp(8, BLACK_AND_WHITE)

    for length in (20, 40, 58, len(data) - 1):
        with pytest.raises(InvalidImage):
            decode(data[:length], LIMITS)
