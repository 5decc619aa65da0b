"""AV1 streams that would make a decoder work far more than their image needs."""

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.errors import ImageTooLarge, InvalidImage
from predictor.image.av1 import Pieces, work
from predictor.image.decode import Limits, decode
from tests.image.containers import avif, stream_of, with_frames

Encode = Callable[..., bytes]
PIXELS = 128 * 96


@pytest.fixture
def stream(smooth: npt.NDArray[np.uint8], encode: Encode) -> bytes:
    """The AV1 stream of an image of 128 x 96 pixels."""
    return stream_of(encode(Image.fromarray(smooth), "AVIF"))


def counted(stream: bytes, most: int = PIXELS) -> int:
    """The pixels of all frames."""
    return work(memoryview(stream), most, Pieces(100))


def test_still(stream: bytes) -> None:
    """A still image is one frame of its pixels."""
    assert counted(stream) == PIXELS


@pytest.mark.promise("I1")
def test_larger_than_claimed(encode: Encode) -> None:
    """A frame that is larger than the file around it says is refused before memory is taken for it."""
    data = avif(stream_of(encode(Image.new("RGB", (1100, 1000)), "AVIF", speed=10)), (8, 8))
    assert decode(data, Limits()).size == (8, 8)
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLarge):
            decode(data, Limits(max_pixels=1_000_000))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.promise("I6")
@pytest.mark.parametrize("count", [5, 1_000, 20_000])
def test_frames_that_are_not_shown(count: int, stream: bytes) -> None:
    """Frames before the one that is shown are counted, and refused before any is decoded."""
    data = avif(with_frames(stream, count), (128, 96))
    begun = time.process_time()

    with pytest.raises((ImageTooLarge, InvalidImage), match=r"pixels|pieces"):
        decode(data, Limits(max_pixels=PIXELS))

    assert time.process_time() - begun < 0.5


def test_operating_points() -> None:
    """The size stands behind timing, decoder models and operating points of any number."""
    fields = (
        *((3, 0), (1, 0), (1, 0), (1, 1), (32, 1), (32, 30), (1, 1), (3, 0b010)),
        *((1, 1), (5, 9), (32, 1), (5, 3), (5, 3), (1, 1), (5, 1)),
        *((12, 1), (5, 9), (1, 0), (1, 1), (10, 0), (10, 0), (1, 0), (1, 1), (4, 3)),
        *((12, 2), (5, 3), (1, 0), (1, 0)),
        *((4, 6), (4, 5), (7, 127), (6, 40)),
    )
    bits = "".join(f"{value:0{width}b}" for width, value in fields)
    body = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    frame = b"\x32\1\0"

    assert counted(b"\x0a" + bytes((len(body),)) + body + frame * 3) == 3 * 128 * 41


def test_size_of_a_frame_of_its_own(stream: bytes) -> None:
    """A frame may have any size that its number of bits can say, which is bounded as well."""
    fields = (
        (3, 0),
        (1, 0),
        (1, 0),
        (1, 0),
        (1, 0),
        (5, 0),
        (12, 0),
        (5, 0),
        (4, 15),
        (4, 15),
        (16, 7),
        (16, 7),
    )
    bits = "".join(f"{value:0{width}b}" for width, value in fields)
    body = int(bits.ljust(80, "0"), 2).to_bytes(10, "big")

    with pytest.raises(ImageTooLarge):
        counted(b"\x0a\x0a" + body, 50_000_000)


def test_units_without_sizes(stream: bytes) -> None:
    """A unit without a size reaches to the end."""
    body = stream[4 : 4 + stream[3]]
    assert stream[:3] == b"\x12\0\x0a"

    assert counted(b"\x08" + body) == 0
    with pytest.raises(IndexError):
        counted(b"\x0a\2" + body[:2])
