"""Bytes to upright RGB within limits, and what is refused."""

import io
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.errors import ImageTooLarge, InvalidImage, UnsupportedImage
from predictor.image.decode import MAX_SIDE, Limits, decode, decode_scaled, sniff

LIMITS = Limits()
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True}, "BMP": {}, "TIFF": {}}
Pixels = npt.NDArray[np.uint8]
Encode = Callable[..., bytes]


def _sample(kind: str) -> bytes:
    shade = np.add.outer(np.arange(31), np.arange(45)).astype(np.uint8) * 3
    out = io.BytesIO()
    Image.fromarray(np.stack([shade, shade.T.reshape(shade.shape), 255 - shade], -1)).save(out, kind)
    return out.getvalue()


SAMPLES = {kind: _sample(kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "TIFF")}


@pytest.mark.parametrize("kind", SAMPLES)
def test_sniff_default_formats(kind: str) -> None:
    """Each format that is opened by default is known by its first bytes."""
    assert sniff(SAMPLES[kind]) == kind


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89", b"<html>", b"BMW builds cars and other things", b"RIFF\0\0\0\0WAVEfmt ", b"\xff\xd8"],
)
def test_sniff_no_picture(data: bytes) -> None:
    """Bytes that only resemble a signature announce no format."""
    assert sniff(data) is None


@pytest.mark.parametrize("kind", LOSSLESS)
def test_decode_lossless(kind: str, pixels: Pixels, encode: Encode) -> None:
    """A lossless format gives back the very pixels that were written."""
    image = decode(encode(Image.fromarray(pixels), kind, **LOSSLESS[kind]), LIMITS)

    assert (image.mode, image.size) == ("RGB", (56, 40))
    assert np.array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"keep_rgb": True}])
def test_decode_jpeg(options: dict[str, Any], smooth: Pixels, encode: Encode) -> None:
    """A JPEG of high quality comes back within two levels of the source on average."""
    image = decode(encode(Image.fromarray(smooth), "JPEG", quality=95, subsampling=0, **options), LIMITS)

    assert np.abs(np.asarray(image, int) - smooth).mean() < 2


@pytest.mark.parametrize("kind", ["JPEG2000", "ICO", "PPM", "TGA", "PCX"])
def test_decode_other_formats(kind: str, smooth: Pixels, encode: Encode) -> None:
    """A format beyond the default ones is opened when it is named, and only then."""
    data = encode(Image.fromarray(smooth).resize((64, 64)), kind)

    assert decode(data, Limits(formats=("PNG", kind))).size == (64, 64)
    with pytest.raises(UnsupportedImage):
        decode(data, LIMITS)


def test_decode_unknown_format_name() -> None:
    """A format name that the library does not know opens nothing."""
    with pytest.raises(UnsupportedImage):
        decode(b"anything", Limits(formats=("NOSUCH", "PPM")))


@pytest.mark.promise("I2")
@pytest.mark.parametrize(
    "data",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"8BPS\0\1" + bytes(64),
        b"%PDF-1.7\n1 0 obj\n",
        b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<svg onload='alert(1)'/>",
        b"just some text",
        b"#define x_width 8\n#define x_height 8\n",
        b"SIMPLE  =                    T",
        b"\0\0\1\0\1\0" + bytes(40),
        b"\x7fELF" + bytes(60),
        b"P6 1 1 255 abc",
        b"\0" * 100,
    ],
)
def test_decode_unwanted_parser(data: bytes) -> None:
    """A format that is not allowed is refused by its bytes, and text is no image."""
    with pytest.raises(UnsupportedImage):
        decode(data, LIMITS)


@pytest.mark.parametrize("prefix", [b"%PDF-1.4\n", b"<html>", b"\n", b"GIF88a"])
def test_decode_polyglot_prefix(prefix: bytes) -> None:
    """An image that stands behind other bytes is not looked for."""
    with pytest.raises(UnsupportedImage):
        decode(prefix + SAMPLES["PNG"], LIMITS)


@pytest.mark.parametrize("kind", SAMPLES)
def test_decode_polyglot_suffix(kind: str) -> None:
    """Bytes after an image change nothing."""
    with_more = decode(SAMPLES[kind] + b"PK\x03\x04<script>" + SAMPLES["PNG"], LIMITS)

    assert with_more.tobytes() == decode(SAMPLES[kind], LIMITS).tobytes()


def test_decode_empty() -> None:
    """No bytes are an invalid image."""
    with pytest.raises(InvalidImage, match="empty"):
        decode(b"", LIMITS)


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("percent", [10, 30, 50, 70, 90])
def test_decode_truncated(kind: str, percent: int) -> None:
    """Part of an image is refused, never guessed."""
    with pytest.raises((InvalidImage, UnsupportedImage)):
        decode(SAMPLES[kind][: len(SAMPLES[kind]) * percent // 100], LIMITS)


def test_decode_too_many_bytes() -> None:
    """One byte more than allowed is refused, whatever the bytes are."""
    data = SAMPLES["PNG"]

    assert decode(data, Limits(max_bytes=len(data))).size == (45, 31)
    with pytest.raises(ImageTooLarge):
        decode(data, Limits(max_bytes=len(data) - 1))


@pytest.mark.parametrize("kind", SAMPLES)
def test_decode_too_many_pixels(kind: str) -> None:
    """One pixel more than allowed is refused in every format."""
    assert decode(SAMPLES[kind], Limits(max_pixels=31 * 45)).size == (45, 31)
    with pytest.raises(ImageTooLarge, match="45 x 31"):
        decode(SAMPLES[kind], Limits(max_pixels=31 * 45 - 1))


@pytest.mark.promise("I1")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # pytest resets the filters
@pytest.mark.parametrize("side", [10_000, 13_000, 40_000])
def test_decode_pixel_bomb(side: int, make_png: Callable[..., bytes]) -> None:
    """A small file of very many pixels is refused from its header, before memory is taken for them."""
    data = make_png(side, side, (8, 6), bytes(1000))
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLarge):
            decode(data, LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_decode_long_side(make_png: Callable[..., bytes]) -> None:
    """A side that no common format can have is refused although the pixels are few."""
    with pytest.raises(ImageTooLarge):
        decode(make_png(MAX_SIDE + 1, 1, (8, 0), bytes(MAX_SIDE + 2)), LIMITS)


def test_decode_threads_keep_their_limits() -> None:
    """Threads with different limits do not see each other's."""
    outcomes: dict[int, set[bool]] = {10: set(), 10_000: set()}

    def work(pixels: int) -> None:
        for _ in range(50):
            try:
                decode(SAMPLES["PNG"], Limits(max_pixels=pixels))
                outcomes[pixels].add(True)
            except ImageTooLarge:
                outcomes[pixels].add(False)

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in outcomes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == {10: {False}, 10_000: {True}}


@pytest.mark.promise("I5")
@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "MPO", "AVIF", "TIFF"])
def test_decode_first_frame(kind: str, encode: Encode) -> None:
    """Of several frames the first is taken."""
    frames = [Image.new("RGB", (24, 16), colour) for colour in ("red", "lime", "blue")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])

    red = np.asarray(decode(data, LIMITS), int)

    assert np.abs(red - [255, 0, 0]).max() <= 3


def test_decode_large_jpeg_at_reduced_scale(encode: Encode) -> None:
    """A JPEG far larger than needed comes at the smallest scale that leaves the wanted side."""
    data = encode(Image.new("RGB", (1600, 1200), "teal"), "JPEG")
    tall = encode(Image.new("RGB", (1200, 1600), "teal"), "JPEG")

    assert decode(data, LIMITS).size == (1600, 1200)
    assert decode(data, LIMITS, shortest=601).size == (1600, 1200)
    assert decode(data, LIMITS, shortest=600).size == (800, 600)
    assert decode(data, LIMITS, shortest=300).size == (400, 300)
    assert decode(data, LIMITS, shortest=10).size == (200, 150)
    assert decode(tall, LIMITS, shortest=300).size == (300, 400)


def test_decode_keeps_no_metadata(smooth: Pixels, encode: Encode) -> None:
    """Nothing that describes a JPEG reaches the decoder, so that nothing in it can be parsed."""
    exif = Image.Exif()
    exif[0x010F] = "maker"
    data = encode(Image.fromarray(smooth), "JPEG", exif=exif, comment=b"note", icc_profile=b"x" * 200)

    assert decode(data, LIMITS).info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"}


def test_decode_error_names_no_library() -> None:
    """A sentence for the caller holds nothing of the library's own message."""
    with pytest.raises(InvalidImage) as caught:
        decode(SAMPLES["PNG"][:60], LIMITS)

    assert caught.value.detail == "The image is damaged or incomplete."
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(("mode", "expected"), [("RGB", (228, 178, 153)), ("RGBA", (200, 100, 50, 128))])
def test_transparency(mode: str, expected: tuple[int, ...], encode: Encode) -> None:
    """Transparent parts become white, unless the transparency is asked for."""
    data = encode(Image.new("RGBA", (4, 4), (200, 100, 50, 128)), "PNG")

    assert decode_scaled(data, Limits(), mode=mode).pixels.getpixel((1, 1)) == pytest.approx(expected, abs=1)


def test_opaque(encode: Encode) -> None:
    """An image without transparency is opaque, whatever its kind."""
    for image in (Image.new("L", (4, 4), 9), Image.new("I;16", (4, 4), 9 * 257), Image.new("P", (4, 4), 0)):
        pixels = decode_scaled(encode(image, "PNG"), Limits(), mode="RGBA").pixels
        assert (pixels.mode, pixels.getchannel("A").getextrema()) == ("RGBA", (255, 255))
