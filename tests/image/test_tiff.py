"""TIFF: the first page alone, and within bounds on tags, parts and tiles."""

import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.errors import ImageTooLarge, InvalidImage, UnsupportedImage
from predictor.image.decode import Limits, decode
from predictor.image.tiff import strip_tiff
from tests.image.containers import tiff

Encode = Callable[..., bytes]
Pixels = npt.NDArray[np.uint8]
SHORT, LONG, ASCII = 3, 4, 2
GREY = {256: (SHORT, [16]), 257: (SHORT, [16]), 258: (SHORT, [8]), 262: (SHORT, [1]), 277: (SHORT, [1])}
TILED = {322: (SHORT, [16]), 323: (SHORT, [16]), 259: (SHORT, [8])}
ROWS = bytes(range(256))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("front", [True, False])
@pytest.mark.parametrize("rows", [1, 5, 16, 0xFFFFFFFF])
def test_strips(order: str, *, front: bool, rows: int) -> None:
    """Strips of any height, in both byte orders, behind or before the directory."""
    height = min(rows, 16)
    strips = [ROWS[16 * first : 16 * (first + height)] for first in range(0, 16, height)]

    image = decode(tiff(GREY | {278: (LONG, [rows])}, strips, order=order, front=front), Limits())

    assert np.asarray(image)[..., 0].tobytes() == ROWS


@pytest.mark.parametrize("front", [True, False])
def test_tiles(*, front: bool) -> None:
    """Tiles that reach over the edges of the image."""
    tiles = [zlib.compress(ROWS), zlib.compress(ROWS[::-1])]

    image = decode(tiff(GREY | TILED | {256: (SHORT, [20])}, tiles, tiled=True, front=front), Limits())

    assert image.size == (20, 16)
    assert np.asarray(image)[:, :16, 0].tobytes() == ROWS
    assert np.asarray(image)[0, 16:, 0].tolist() == [255, 254, 253, 252]


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd"])
def test_compressions(compression: str, pixels: Pixels, encode: Encode) -> None:
    """The lossless methods that are in use give back the pixels."""
    data = encode(Image.fromarray(pixels), "TIFF", compression=compression)

    assert np.array_equal(np.asarray(decode(data, Limits())), pixels)


def test_jpeg_inside(smooth: Pixels, encode: Encode) -> None:
    """A JPEG inside a TIFF is decoded."""
    image = decode(encode(Image.fromarray(smooth), "TIFF", compression="jpeg", quality=95), Limits())

    assert np.abs(np.asarray(image, int) - smooth).mean() < 3


@pytest.mark.parametrize("kind", [1, 2])
def test_grey_and_alpha_apart(kind: int) -> None:
    """Where grey and alpha lie in planes apart, the alpha is not read, and does not hide the image."""
    tags = GREY | {258: (SHORT, [8, 8]), 277: (SHORT, [2]), 284: (SHORT, [2]), 338: (SHORT, [kind])}
    data = tiff(tags | {259: (SHORT, [8])}, [zlib.compress(ROWS), zlib.compress(bytes([200]) * 256)])

    assert np.asarray(decode(data, Limits()))[..., 0].tobytes() == ROWS


def test_rare_compression(encode: Encode) -> None:
    """A method that hardly any file uses is refused by a sentence that says what to do."""
    data = encode(Image.new("RGB", (9, 9)), "TIFF", compression="lzma")

    with pytest.raises(UnsupportedImage, match="LZW or Deflate"):
        decode(data, Limits())


def test_no_other_page_or_tag(encode: Encode) -> None:
    """Other pages, EXIF, profiles and private tags reach no decoder."""
    exif = Image.Exif()
    exif[0x010F] = "maker"
    pages = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    data = encode(
        pages[0], "TIFF", save_all=True, append_images=pages[1:], exif=exif, icc_profile=b"x" * 99
    )  # fmt: skip

    with Image.open(io.BytesIO(strip_tiff(data)[0])) as image:
        assert (image.getexif().keys() - {*range(256, 300)}, getattr(image, "n_frames", 0)) == (set(), 1)
        assert "icc_profile" not in image.info


@pytest.mark.promise("I5")
@pytest.mark.parametrize("order", ["<", ">"])
def test_loop_of_pages(order: str) -> None:
    """A page that is followed by itself is one page."""
    assert decode(tiff(GREY, [ROWS], order=order, following=8), Limits()).size == (16, 16)


@pytest.mark.promise("I8")
@pytest.mark.parametrize(
    "tags",
    [
        {number: (7, bytes(4_000_000)) for number in (700, 34377, 34675, 37500)},
        {number: (ASCII, bytes(100)) for number in range(40_000, 43_000)},
    ],
)
def test_flood_of_metadata(tags: dict[int, tuple[int, Any]]) -> None:
    """Metadata are not read."""
    data = tiff(GREY | tags, [ROWS])
    start = time.process_time()

    assert np.asarray(decode(data, Limits()))[..., 0].tobytes() == ROWS
    assert time.process_time() - start < 0.5


def test_too_many_tags() -> None:
    """A directory of more tags than any real one is not walked."""
    with pytest.raises(InvalidImage, match="too many tags"):
        decode(tiff(GREY | {number: (SHORT, [1]) for number in range(30_000, 36_000)}, [ROWS]), Limits())


@pytest.mark.promise("I8")
@pytest.mark.parametrize("number", [258, 273, 279, 320, 339, 347])
def test_endless_tag(number: int) -> None:
    """A tag that claims millions of values is refused before they are read."""
    data = tiff({**GREY, number: (SHORT, bytes(2 * 4_000_000))}, [ROWS], keep=True)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidImage, match="more strips, tiles or values"):
            decode(data, Limits())
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.promise("I8")
def test_values_of_terabytes() -> None:
    """A tag whose values would end far behind the file is refused."""
    data = bytearray(tiff(GREY | {320: (SHORT, bytes(600))}, [ROWS]))
    place = data.index(struct.pack("<HH", 320, SHORT))
    struct.pack_into("<L", data, place + 4, 0xFFFFFFFF)

    with pytest.raises(InvalidImage, match="truncated"):
        decode(bytes(data), Limits())


@pytest.mark.promise("I1")
@pytest.mark.parametrize(
    ("width", "height", "across", "down"),
    [(8, 8, 65_520, 65_520), (60_000, 1, 16, 1 << 20), (16, 16, 1 << 31, 1 << 31), (1, 60_000, 1 << 24, 16)],
)
def test_tile_bomb(width: int, height: int, across: int, down: int) -> None:
    """Tiles of far more pixels than the image has are refused before memory is taken for one."""
    sizes = {256: width, 257: height, 322: across, 323: down}
    tags = GREY | TILED | {number: (LONG, [size]) for number, size in sizes.items()}
    data = tiff(tags, [zlib.compress(bytes(10_000_000))], tiled=True)
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLarge, match="tiles"):
            decode(data, Limits())
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.promise("I1")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # pytest resets the filters
@pytest.mark.parametrize("size", [(10_000, 10_000), (0xFFFF, 0xFFFF), (0xFFFFFFFF, 1), (1, 0xFFFFFFFF)])
def test_pixel_bomb(size: tuple[int, int]) -> None:
    """An image of too many pixels is refused by its tags."""
    data = tiff(GREY | {256: (LONG, [size[0]]), 257: (LONG, [size[1]]), 259: (SHORT, [8])}, [b"x"])

    with pytest.raises(ImageTooLarge):
        decode(data, Limits())


@pytest.mark.parametrize(
    "tags",
    [
        {256: (SHORT, [0])},
        {257: (ASCII, b"16")},
        {322: (SHORT, [0]), 323: (SHORT, [16])},
        {322: (SHORT, [16])},
        {259: (9, b"\5\0\0\0")},
        {278: (SHORT, [0])},
    ],
)
def test_nonsense(tags: dict[int, tuple[int, Any]]) -> None:
    """Sizes of nothing, and tags of the wrong type, are an invalid image."""
    with pytest.raises(InvalidImage):
        decode(tiff(GREY | tags, [ROWS]), Limits())


@pytest.mark.parametrize(
    "tags", [{258: (SHORT, [64])}, {258: (SHORT, [24])}, {277: (SHORT, [60_000])}, {277: (SHORT, [5])}]
)
def test_other_pixels(tags: dict[int, tuple[int, Any]]) -> None:
    """Pixels of a kind that no decoder here knows are no damage; the sentence says what to do."""
    with pytest.raises(UnsupportedImage, match="8 or 16 bits"):
        decode(tiff(GREY | tags, [ROWS * 8]), Limits())


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0",
        b"II*\0\x08\0\0\0" + bytes(64),
        b"MM\0*\0\0\0\x08" + bytes(64),
        b"II*\0\xff\xff\xff\xff" + bytes(64),
        b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(64),
        b"II*\0\x08\0\0\0\xff\xff" + bytes(64),
    ],
)
def test_no_directory(data: bytes) -> None:
    """A header with nothing sensible behind it is an invalid image."""
    with pytest.raises(InvalidImage):
        decode(data, Limits())


@pytest.mark.promise("I4")
@pytest.mark.parametrize("method", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4"])
@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.98])
def test_cut_off_behind_the_directory(method: str, part: float, encode: Encode, pixels: Pixels) -> None:
    """Half an image is refused also where the directory, and so all of its tags, comes first."""
    image = Image.fromarray(pixels).convert("1" if method == "group4" else "RGB")
    data = encode(image, "TIFF", compression=method)
    with Image.open(io.BytesIO(data)) as written:
        found: Any = written.tag_v2  # type: ignore[attr-defined]
    kept = [number for number in GREY | {259: 0, 278: 0} if number in found]
    tags: dict[int, tuple[int, Any]] = {n: (SHORT, np.atleast_1d(found[n]).tolist()) for n in kept}
    tags |= {347: (7, found[347])} if 347 in found else {}
    strips = [data[start : start + size] for start, size in zip(found[273], found[279], strict=True)]
    whole = tiff(tags, strips)

    assert decode(whole, Limits()).size == (56, 40)
    with pytest.raises(InvalidImage):
        decode(whole[: int(len(whole) * part)], Limits())


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong with an image is in its answer, not in the service's log."""
    caplog.set_level("DEBUG")

    with pytest.raises(UnsupportedImage):
        decode(tiff(GREY | {277: (SHORT, [2051])}, [ROWS]), Limits())

    assert caplog.messages == []


@pytest.mark.promise("I4")
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "RGBA", "I;16"])
@pytest.mark.parametrize("rows", [None, 5])
def test_uncompressed_pixels_are_cut(mode: str, rows: int | None) -> None:
    """Pixels that are not all there are refused, one byte or all of them: what follows is none of theirs."""
    image = Image.fromarray(np.arange(30 * 20, dtype=np.uint16).reshape(20, 30) * 7)
    image = image if mode == "I;16" else image.convert("L").convert(mode)
    file = io.BytesIO()
    image.save(file, "TIFF", tiffinfo={278: rows} if rows else {})
    data = file.getvalue()

    assert decode(data, Limits()).size == (30, 20)
    for cut in (1, 20, 60, 400, 10_000):
        with pytest.raises(InvalidImage):
            decode(data[:-cut], Limits())


@pytest.mark.promise("I4")
def test_strips_are_missing() -> None:
    """Uncompressed strips that have no place, or the place 0, are missing."""
    strips = [ROWS[start : start + 64] for start in range(0, 256, 64)]
    tags = GREY | {278: (SHORT, [4]), 279: (LONG, [64] * 4)}

    def made(*places: int) -> bytes:
        """A file of these strips with other places in its directory; the first strip lies at 8."""
        return tiff(tags | {273: (LONG, list(places))}, strips, front=False, keep=True)

    assert np.asarray(decode(made(8, 72, 136, 200), Limits()))[..., 0].tobytes() == ROWS
    for places in ((8,), (8, 72, 136), (8, 72, 0, 200), (0, 72, 136, 200)):
        with pytest.raises(InvalidImage):
            decode(made(*places), Limits())
