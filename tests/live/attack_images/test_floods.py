"""I5 and I8: very many frames, and metadata without end."""

import zlib
from collections.abc import Callable
from functools import cache

import pytest

from tests.live.attack_images import floods
from tests.live.attack_images.conftest import MB, Target

pytestmark = pytest.mark.live


@cache
def _zeros() -> bytes:
    return zlib.compress(bytes(60 * MB))


FRAMES: dict[str, Callable[[int], bytes]] = {
    "gif": floods.gif_frames,
    "png": floods.png_frames,
    "webp": floods.webp_frames,
    "tiff": floods.tiff_pages,
    "mpo": lambda count: floods.jpeg_frames(min(count, 200)),
}
FLOODS: dict[str, tuple[int, Callable[[], bytes]]] = {
    "png text of 60 MB": (200, lambda: floods.png_chunks((b"zTXt", b"k\0\0" + _zeros()))),
    "png text of 60 MB, 16 times": (
        200,
        lambda: floods.png_chunks((b"iTXt", b"k\0\1\0\0\0" + _zeros()), times=16),
    ),
    "png profile of 60 MB": (200, lambda: floods.png_chunks((b"iCCP", b"k\0\0" + _zeros()))),
    "png 99 000 texts": (200, lambda: floods.png_chunks((b"tEXt", b""), times=99_000)),
    "png 1 600 000 texts": (422, lambda: floods.png_chunks((b"tEXt", b""), times=1_600_000)),
    "png exif of terabytes": (200, lambda: floods.png_chunks((b"eXIf", floods.exif_entries()))),
    "jpeg exif of terabytes": (
        200,
        lambda: floods.jpeg_segments(0xE1, b"Exif\0\0" + floods.exif_entries(5_000), 1),
    ),
    "jpeg profile of 16 MB": (
        200,
        lambda: floods.jpeg_segments(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(65_000), 250),
    ),
    "jpeg 4000 exif blocks": (200, lambda: floods.jpeg_segments(0xE1, b"Exif\0\0" + bytes(4_000), 4_000)),
    "jpeg 4 000 000 comments": (422, lambda: floods.jpeg_segments(0xFE, b"", 4_000_000)),
    "jpeg 4 000 000 comments between scans": (422, lambda: floods.jpeg_comments_between_scans(4_000_000)),
    "webp profile, exif and xmp of 18 MB": (200, lambda: floods.webp_told(6)),
    "webp 2 000 000 pieces": (200, lambda: floods.webp_pieces(2_000_000)),
    "webp 170 000 frames": (200, lambda: floods.webp_frames(170_000)),
    "gif comments of 18 MB": (200, floods.gif_comments),
    "tiff metadata of 18 MB": (200, lambda: floods.tiff_told(6)),
    "tiff 5 000 tags": (422, lambda: floods.tiff_tags(5_000)),
    "tiff of 4 000 000 strips": (422, lambda: floods.tiff_strips(4_000_000)),
    "avif 2 000 000 boxes": (422, lambda: floods.avif_boxes(2_000_000)),
    "avif of 9 000 equal pieces": (422, lambda: floods.avif_pieces(9_000)),
}


@pytest.mark.promise("I5")
@pytest.mark.parametrize("kind", FRAMES)
def test_frames(target: Target, kind: str) -> None:
    """Of 10 000 frames the first is decoded, in about the time of an image that has no other."""
    one, many = FRAMES[kind](1), FRAMES[kind](10_000)
    quickest = min(target.send(one).seconds for _ in range(5))
    flooded = min((target.send(many) for _ in range(5)), key=lambda answer: answer.seconds)

    assert flooded.status == 200
    assert flooded.said == target.send(one).said
    assert flooded.seconds < 2 * quickest + 0.05
    assert flooded.grown < 64 * MB


@pytest.mark.promise("I8")
@pytest.mark.parametrize("name", FLOODS)
def test_metadata_flood(target: Target, name: str) -> None:
    """Metadata are neither unpacked nor parsed: the image is answered, or refused for its pieces."""
    status, make = FLOODS[name]

    answer = target.send(make())

    assert answer.status == status
    assert answer.seconds < target.whole
    assert answer.grown < 128 * MB
