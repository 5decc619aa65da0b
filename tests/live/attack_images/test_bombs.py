"""I1 and I6: small files that would become very many pixels or passes over them."""

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
from PIL import Image

from predictor.cores import cores
from tests.image.containers import avif, stream_of, tiff, with_frames
from tests.image.mutants import encoded, png_chunk
from tests.live.attack_images import floods
from tests.live.attack_images.conftest import MB, Target
from tests.live.memory import growth, growth_together, resident

pytestmark = pytest.mark.live


def png(side: int, kind: tuple[int, int], bytes_a_row: int) -> bytes:
    """A black PNG, as small as zlib makes it; `kind` is bit depth and colour type."""
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(bytes_a_row + 1)) for _ in range(side)) + packer.flush()
    header = struct.pack(">LLBBBBB", side, side, *kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def claiming(kind: str, side: int) -> bytes:
    """A small image whose header claims to be of another size."""
    data = bytearray(encoded(Image.new("RGB", (8, 8)), kind))
    match kind:
        case "JPEG":
            struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, side, side)
        case "GIF":
            struct.pack_into("<HH", data, 6, side, side)
        case _:
            struct.pack_into("<ll", data, 18, side, side)
    return bytes(data)


def claiming_tiff(side: int, tile: int = 0) -> bytes:
    """A small TIFF whose tags claim a size, or a size of its tiles."""
    sizes = {256: side, 257: side} | ({322: tile, 323: tile} if tile else {})
    tags = {number: (4, [size]) for number, size in sizes.items()}
    kinds = {258: (3, [8]), 259: (3, [8]), 262: (3, [1]), 277: (3, [1])}
    return tiff(tags | kinds, [zlib.compress(bytes(10 * MB), 9)], tiled=bool(tile))


@cache
def stream(side: int) -> bytes:
    """The AV1 stream of a black square."""
    return stream_of(encoded(Image.new("RGB", (side, side)), "AVIF", speed=10))


BOMBS = {
    "png 1 bit 13000": lambda: png(13_000, (1, 0), 1_625),
    "png grey 40000": lambda: png(40_000, (1, 0), 5_000),
    "png rgba of 16 bits 7100": lambda: png(7_100, (16, 6), 56_800),
    "webp canvas 7100": lambda: floods.webp_canvas(7_100, 7_100),
    "webp canvas 13000": lambda: floods.webp_canvas(13_000, 13_000),
    "webp canvas 16383": lambda: floods.webp_canvas(16_383, 16_383),
    "gif 65535": lambda: claiming("GIF", 65_535),
    "jpeg 65500": lambda: claiming("JPEG", 65_500),
    "bmp 30000": lambda: claiming("BMP", 30_000),
    "tiff 30000": lambda: claiming_tiff(30_000),
    "tiff of tiles of 65520": lambda: claiming_tiff(16, 65_520),
    "avif 7100 that claims 8": lambda: avif(stream(7_100), (8, 8)),
    "avif of 100 frames of 4900": lambda: avif(with_frames(stream(4_900), 100), (4_900, 4_900)),
}


@pytest.mark.promise("I1")
@pytest.mark.parametrize("name", BOMBS)
def test_pixel_bomb(target: Target, name: str) -> None:
    """Refused by its header: in a moment, and without memory for its pixels."""
    answer = target.send(BOMBS[name]())

    assert (answer.status, answer.said) == (413, "image_too_large")
    assert answer.seconds < target.whole / 3
    assert answer.grown < 16 * MB


@pytest.mark.promise("I1")
@pytest.mark.parametrize(
    "name", ["png rgba of 16 bits 6900", "webp canvas 7000", "thin", "tiff 7000", "avif 7000"]
)
def test_large_within_the_limits(target: Target, name: str) -> None:
    """A small file of as many pixels as are allowed is answered, and its memory comes back."""
    picture = {
        "png rgba of 16 bits 6900": lambda: png(6_900, (16, 6), 55_200),
        "webp canvas 7000": lambda: floods.webp_canvas(7_000, 7_000),
        "thin": lambda: encoded(Image.new("RGB", (60_000, 1)), "PNG"),
        "tiff 7000": lambda: encoded(
            Image.new("RGB", (7_000, 7_000)), "TIFF", compression="tiff_adobe_deflate"
        ),
        "avif 7000": lambda: avif(stream(7_000), (7_000, 7_000)),
    }[name]()
    before = resident(target.workers())
    answer = target.send(picture)

    assert answer.status == 200
    assert answer.grown < 1_000 * MB
    assert resident(target.workers()) - before < 64 * MB


@pytest.mark.promise("I6")
@pytest.mark.parametrize(("scans", "expected"), [(100, 200), (101, 422), (505, 422)])
def test_scan_bomb(target: Target, scans: int, expected: int) -> None:
    """100 scans of 24 million pixels are decoded, 101 are refused before any is."""
    answer = target.send(floods.jpeg_scans(4_900, scans), "image/jpeg")

    assert answer.status == expected
    assert answer.seconds < (20 if expected == 200 else 1 / 3) * target.whole
    assert answer.grown < (256 if expected == 200 else 16) * MB


def test_previews_take_turns(target: Target) -> None:
    """Of many large images sent to the page at once, one for each core is decoded, and a preview for each.

    A worker may use the cores that another one leaves idle, so one alone may hold as many images. Without
    turns two workers grew by 800 MB on two cores.
    """
    side = 3_000
    picture = floods.webp_canvas(side, side)
    # An image and its preview need up to 143 MB, measured in a service that has had no other.
    one = 16 * side * side
    with (
        growth(target.workers()) as each,
        growth_together(target.workers()) as together,
        ThreadPoolExecutor(16) as pool,
    ):
        answers = list(pool.map(lambda _: target.post("/", files={"image": picture}), range(32)))

    assert {answer.status_code for answer in answers} == {200}
    assert each.most < (cores() + 1) * one + 64 * MB
    assert together.most < 2 * cores() * one + 64 * MB
