"""AVIF and HEIC: the brands, and where the streams lie that are given to a decoder."""

import itertools
import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.errors import ImageTooLarge, InvalidImage, UnsupportedImage
from predictor.image.decode import Limits, decode, sniff
from predictor.image.isobmff import check_frames
from predictor.image_formats import HEIF_INSTALLED
from tests.image.containers import avif, box, stream_of

Encode = Callable[..., bytes]
Pixels = npt.NDArray[np.uint8]
SIZE = (128, 96)


@pytest.fixture
def still(smooth: Pixels, encode: Encode) -> bytes:
    """An AVIF of one image."""
    return encode(Image.fromarray(smooth), "AVIF")


@pytest.fixture
def sequence(smooth: Pixels, encode: Encode) -> bytes:
    """An AVIF of several images."""
    frames = [Image.fromarray(np.roll(smooth, 9 * step, axis=1)) for step in range(4)]
    return encode(frames[0], "AVIF", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    "brands",
    [
        b"avif\0\0\0\0",
        b"mif1\0\0\0\0mif1avifmiaf",
        b"miaf\0\0\0\0miafMA1Bavif",
        b"MA1A\0\0\0\0mif1avif",
        b"msf1\0\0\0\0mif1avif",
        b"avio\0\0\0\0avioavif",
        b"isom\0\0\0\0" + b"abcd" * 20 + b"avif",
    ],
)
def test_brands_of_avif(brands: bytes, still: bytes) -> None:
    """An AVIF is known by any of its brands, whichever stands in front."""
    data = avif(stream_of(still), SIZE, brands=brands)

    assert sniff(data) == "AVIF"
    assert decode(data, Limits()).tobytes() == decode(still, Limits()).tobytes()


@pytest.mark.parametrize("size", [(17_000, 17_000), (40_000, 2_000)])
def test_larger_than_the_decoder_opens(size: tuple[int, int], still: bytes) -> None:
    """An AVIF with more pixels than its decoder opens is too large, not damaged."""
    with pytest.raises(ImageTooLarge, match=f"{size[0]} x {size[1]} pixels"):
        decode(avif(stream_of(still), size), Limits())


@pytest.mark.parametrize("codec", [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"])
@pytest.mark.parametrize("front", [b"", b"mif1", b"msf1", b"miaf"])
def test_brands_of_heic(codec: bytes, front: bytes) -> None:
    """HEIC is known by any of its brands, too; without its package it is refused, and the package named."""
    data = box(b"ftyp", (front or codec) + b"\0\0\0\0mif1" + codec) + bytes(60)

    assert sniff(data) == "HEIF"
    with pytest.raises(UnsupportedImage, match="HEIC") as caught:
        decode(data, Limits(formats=("JPEG",)))
    assert HEIF_INSTALLED or "pillow-heif" in caught.value.detail


@pytest.mark.parametrize(
    "brands", [b"mp42\0\0\0\0isommp42", b"qt  \0\0\0\0", b"mif1\0\0\0\0mif1miaf", b"avi"]
)
def test_other_brands(brands: bytes) -> None:
    """Films, and containers that name no codec, announce no format."""
    assert sniff(box(b"ftyp", brands) + b"\0\0\0\x08avif") is None


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("pieces", [1, 3])
def test_places(*, inside: bool, pieces: int, still: bytes) -> None:
    """An item is found in a box of its own or among the metadata, in one piece or in several."""
    stream = stream_of(still)
    cuts = np.linspace(0, len(stream), pieces + 1).astype(int).tolist()
    extents = [(first, last - first) for first, last in itertools.pairwise(cuts)]
    data = avif(stream, SIZE, inside=inside, extents=extents)

    assert decode(data, Limits()).tobytes() == decode(still, Limits()).tobytes()
    with pytest.raises(ImageTooLarge):
        check_frames(data, SIZE[0] * SIZE[1] - 1)


def test_sequence(sequence: bytes) -> None:
    """Of a sequence the first sample is looked at."""
    check_frames(sequence, SIZE[0] * SIZE[1])
    with pytest.raises(ImageTooLarge):
        check_frames(sequence, SIZE[0] * SIZE[1] - 1)


@pytest.mark.promise("I8")
def test_overlapping_pieces(still: bytes) -> None:
    """An item that is put together from the same bytes again and again is refused before it is copied."""
    stream = stream_of(still)

    with pytest.raises(InvalidImage, match="overlap"):
        check_frames(avif(stream, SIZE, extents=[(0, len(stream))] * 5000), 10**6)


@pytest.mark.promise("I8")
@pytest.mark.parametrize("flood", [box(b"free") * 1_000_000, box(b"moov", box(b"trak") * 1_000_000)])
def test_flood_of_boxes(flood: bytes, still: bytes) -> None:
    """A flood of boxes is not walked to its end."""
    with pytest.raises(InvalidImage, match="too many"):
        check_frames(still + flood, 10**6)


def test_boxes_twice(still: bytes) -> None:
    """Of two boxes for the same thing none is believed."""
    start = still.index(b"meta") - 4
    twice = box(b"iinf", struct.pack(">H", 0), full=0)
    size = struct.pack(">L", int.from_bytes(still[start : start + 4], "big") + len(twice))

    with pytest.raises(InvalidImage, match="twice"):
        check_frames(
            still[:start] + size + still[start + 4 : start + 12] + twice + still[start + 12 :], 10**6
        )


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_cut_off(part: float, still: bytes, sequence: bytes) -> None:
    """Damaged boxes are an invalid image, and the decoder's errors do not show."""
    for data in (still, sequence):
        with pytest.raises((InvalidImage, UnsupportedImage)):
            decode(data[: int(len(data) * part)], Limits())


@pytest.mark.skipif(not HEIF_INSTALLED, reason="pillow-heif is not installed")
class TestHeif:
    """HEIC, where the package that opens it is installed."""

    def test_pixels(self, smooth: Pixels, encode: Encode) -> None:
        """A HEIC of high quality comes back within two levels on average, with its alpha on white."""
        alpha = np.full(smooth.shape[:2], 128, np.uint8)
        plain = decode(encode(Image.fromarray(smooth), "HEIF", quality=95), Limits())
        clear = decode(encode(Image.fromarray(np.dstack([smooth, alpha])), "HEIF", quality=95), Limits())

        assert np.abs(np.asarray(plain, int) - smooth).mean() < 2
        assert np.abs(np.asarray(clear, int) - (smooth * (128 / 255) + 127)).mean() < 3

    def test_first_image(self, encode: Encode) -> None:
        """Of several images the first is taken."""
        images = [Image.new("RGB", (64, 48), colour) for colour in ("red", "lime", "blue")]
        data = encode(images[0], "HEIF", save_all=True, append_images=images[1:])

        assert np.abs(np.asarray(decode(data, Limits()), int) - [255, 0, 0]).max() <= 5

    def test_limits(self, smooth: Pixels, encode: Encode) -> None:
        """Too many pixels are refused by the header, and a frame that is larger than it says as well."""
        data = encode(Image.fromarray(smooth), "HEIF")
        with pytest.raises(ImageTooLarge, match="128 x 96"):
            decode(data, Limits(max_pixels=SIZE[0] * SIZE[1] - 1))

        start = data.index(b"ispe") + 8
        with pytest.raises(InvalidImage):
            decode(data[:start] + struct.pack(">LL", 8, 8) + data[start + 8 :], Limits())

    @pytest.mark.parametrize("percent", range(10, 100, 10))
    def test_cut_off(self, percent: int, smooth: Pixels, encode: Encode) -> None:
        """Part of an image is refused."""
        data = encode(Image.fromarray(smooth), "HEIF")
        with pytest.raises((InvalidImage, UnsupportedImage)):
            decode(data[: len(data) * percent // 100], Limits())
