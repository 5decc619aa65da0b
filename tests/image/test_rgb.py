"""Every kind of pixels against RGB computed by hand with numpy, and EXIF orientation undone."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.image.decode import Limits, decode, decode_scaled
from predictor.image.rgb import orientation, to_rgb

LIMITS = Limits()
Pixels = npt.NDArray[np.uint8]
Encode = Callable[..., bytes]
RNG = np.random.default_rng(11)


def _decoded(data: bytes) -> npt.NDArray[np.int64]:
    return np.asarray(decode(data, LIMITS)).astype(np.int64)


def _on_white(colour: npt.NDArray[Any], alpha: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Porter and Duff's "over" on white: a * c + (1 - a) * 255."""
    share = alpha[..., np.newaxis] / 255
    shown: npt.NDArray[np.float64] = share * colour + (1 - share) * 255
    return shown


def _grey(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.repeat(values[..., np.newaxis], 3, axis=-1)


def _rows(values: npt.NDArray[Any]) -> bytes:
    """PNG scan lines, each behind the filter byte 0, 16-bit values big end first."""
    kind = ">u2" if values.dtype.itemsize == 2 else "u1"
    return b"".join(b"\0" + row.astype(kind).tobytes() for row in values)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_rgba_on_white(kind: str, pixels: Pixels, encode: Encode) -> None:
    """Alpha shows white behind, and a hidden colour under alpha 0 stays hidden."""
    alpha = RNG.integers(0, 256, pixels.shape[:2], dtype=np.uint8)
    alpha[:5] = 0
    image = Image.fromarray(np.dstack([pixels, alpha]))

    got = _decoded(encode(image, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {})))

    assert np.abs(got - _on_white(pixels, alpha)).max() <= 1
    assert (got[:5] == 255).all()


def test_la_on_white(pixels: Pixels, encode: Encode) -> None:
    """Grey with alpha shows white behind."""
    image = Image.fromarray(pixels[..., :2])

    assert image.mode == "LA"
    got = _decoded(encode(image, "PNG"))
    assert np.abs(got - _on_white(_grey(pixels[..., 0]), pixels[..., 1])).max() <= 1


@pytest.mark.parametrize("header", [56, 108, 124])
@pytest.mark.parametrize(
    ("order", "masks"), [("BGRA", (0xFF0000, 0xFF00, 0xFF)), ("RGBA", (0xFF, 0xFF00, 0xFF0000))]
)
@pytest.mark.parametrize("alpha", [0, 1, 255])
def test_bmp_alpha(header: int, order: str, masks: tuple[int, ...], alpha: int, pixels: Pixels) -> None:
    """A BMP whose alpha is zero everywhere is opaque; any other alpha shows white behind."""
    values = np.dstack(
        [pixels if order == "RGBA" else pixels[..., ::-1], np.zeros(pixels.shape[:2], np.uint8)]
    )
    values[0, 0, 3] = alpha
    start = 14 + header
    fields = struct.pack(
        "<LllHHLLllLL4L", header, 56, 40, 1, 32, 3, values.size, 0, 0, 0, 0, *masks, 0xFF000000
    )
    file = struct.pack("<2sLHHL", b"BM", start + values.size, 0, 0, start)
    data = file + fields.ljust(header, b"\0") + values[::-1].tobytes()

    got = _decoded(data)

    assert np.array_equal(got, pixels) if not alpha else (got[1:] == 255).all()
    opaque = decode_scaled(data, LIMITS, mode="RGBA").pixels.getchannel("A").getextrema()
    assert opaque == ((255, 255) if not alpha else (0, alpha))


def test_transparent_everywhere(pixels: Pixels, encode: Encode) -> None:
    """In formats whose programs know alpha, an image that is transparent everywhere is white."""
    image = Image.fromarray(np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)]))

    for kind in ("PNG", "WEBP", "TIFF", "AVIF"):
        assert (_decoded(encode(image, kind)) == 255).all()


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_avif(subsampling: str, smooth: Pixels, encode: Encode) -> None:
    """An AVIF of high quality comes back within two levels on average, with its alpha on white."""
    alpha = np.linspace(0, 255, smooth.shape[1]).astype(np.uint8)[np.newaxis].repeat(len(smooth), 0)
    plain = _decoded(encode(Image.fromarray(smooth), "AVIF", quality=95, subsampling=subsampling))
    clear = _decoded(
        encode(Image.fromarray(np.dstack([smooth, alpha])), "AVIF", quality=95, subsampling=subsampling)
    )
    grey = _decoded(encode(Image.fromarray(smooth[..., 0]), "AVIF", quality=95))

    assert np.abs(plain - smooth).mean() < 2
    assert np.abs(clear - _on_white(smooth, alpha)).mean() < 2
    assert np.abs(grey - _grey(smooth[..., 0])).mean() < 2


def test_tiff_of_16_bits(encode: Encode) -> None:
    """16-bit grey of a TIFF is divided by 257, as that of a PNG is."""
    values = np.arange(65_536, dtype=np.uint16).reshape(256, 256)

    assert np.array_equal(
        _decoded(encode(Image.fromarray(values), "TIFF")), _grey(np.floor(values / 257 + 0.5))
    )


def test_tiff_palette(pixels: Pixels, encode: Encode) -> None:
    """The colours of a palette are looked up."""
    image = Image.fromarray(pixels).quantize(200)

    assert np.array_equal(_decoded(encode(image, "TIFF")), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(("mode", "straight"), [("RGBa", "RGBA"), ("La", "LA"), ("PA", "PA")])
def test_rare_alpha(mode: str, straight: str) -> None:
    """Premultiplied alpha and palettes with alpha show white behind."""
    source = Image.new(
        straight, (2, 1), {"RGBA": (200, 100, 0, 255), "LA": (80, 255), "PA": (0, 255)}[straight]
    )
    source.putpixel((1, 0), {"RGBA": (9, 9, 9, 0), "LA": (9, 0), "PA": (0, 0)}[straight])
    if straight == "PA":
        source.putpalette([200, 100, 0])
    picture = to_rgb(source if mode == straight else source.convert(mode))

    expected = (80, 80, 80) if mode == "La" else (200, 100, 0)
    assert [picture.getpixel((0, 0)), picture.getpixel((1, 0))] == [expected, (255, 255, 255)]


@pytest.mark.parametrize("transparency", [None, 3, bytes([255, 128, 0, 17])])
def test_palette(transparency: int | bytes | None, make_png: Callable[..., bytes]) -> None:
    """Palette colours are looked up, with transparency as one index or as a table."""
    palette = RNG.integers(0, 256, (8, 3), dtype=np.uint8)
    index = RNG.integers(0, 8, (9, 12), dtype=np.uint8)
    alpha = np.full(8, 255, np.uint8)
    chunks = [(b"PLTE", palette.tobytes())]
    if transparency is not None:
        table = transparency if isinstance(transparency, bytes) else b"\xff" * transparency + b"\0"
        alpha[: len(table)] = list(table)
        chunks.append((b"tRNS", table))

    got = _decoded(make_png(12, 9, (8, 3), _rows(index), *chunks))

    assert np.abs(got - _on_white(palette[index], alpha[index])).max() <= 1


def test_gif_palette(encode: Encode) -> None:
    """A GIF's transparent index shows white, its other colours are looked up."""
    palette = RNG.integers(0, 256, (16, 3), dtype=np.uint8)
    index = RNG.integers(0, 16, (9, 12), dtype=np.uint8)
    image = Image.fromarray(index)
    image.putpalette(palette.tobytes())
    data = encode(image, "GIF", transparency=5, optimize=False)

    expected = np.where((index == 5)[..., np.newaxis], 255, palette[index])
    assert np.array_equal(_decoded(data), expected)


@pytest.mark.parametrize(("transparency", "empty"), [(None, 0), (7, 255)])
def test_gif_frame_smaller_than_the_image(transparency: int | None, empty: int, encode: Encode) -> None:
    """What a GIF's first frame leaves empty is black, or white if it has a transparent colour."""
    frame = Image.new("P", (4, 3), 1)
    frame.putpalette([200, 100, 50, 10, 20, 30] + [9] * 18)
    options = {} if transparency is None else {"transparency": transparency}
    data = bytearray(encode(frame, "GIF", optimize=False, **options))
    at = data.index(b",\0\0\0\0\4\0\3\0")
    struct.pack_into("<HH", data, 6, 8, 6)
    struct.pack_into("<HH", data, at + 1, 2, 1)

    expected = np.full((6, 8, 3), empty)
    expected[1:4, 2:6] = (10, 20, 30)
    assert np.array_equal(_decoded(bytes(data)), expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_png_grey_key(depth: int, make_png: Callable[..., bytes]) -> None:
    """Grey of every depth fills 0 to 255, and the one grey that is named transparent shows white."""
    levels = (1 << depth) - 1
    values = RNG.integers(0, levels + 1, (6, 16), dtype=np.uint8)
    bits = np.unpackbits(values[..., np.newaxis], axis=-1)[..., 8 - depth :].reshape(6, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(bits, axis=-1))
    key = int(values[0, 0])

    plain = _decoded(make_png(16, 6, (depth, 0), rows))
    keyed = _decoded(make_png(16, 6, (depth, 0), rows, (b"tRNS", struct.pack(">H", key))))

    grey = _grey(values * (255 // levels))
    assert np.array_equal(plain, grey)
    assert np.array_equal(keyed, np.where((values == key)[..., np.newaxis], 255, grey))


@pytest.mark.parametrize("depth", [8, 16])
def test_png_colour_key(depth: int, make_png: Callable[..., bytes]) -> None:
    """The one colour that is named transparent shows white, in 8 and in 16 bits a channel."""
    kind = np.uint8 if depth == 8 else np.uint16
    values = RNG.integers(0, 1 << depth, (6, 5, 3)).astype(kind)
    values[2:4, 1:3] = (17, 180, 250) if depth == 8 else (300, 40_000, 65_000)
    key = (b"tRNS", struct.pack(">3H", *values[2, 1].tolist()))

    got = _decoded(make_png(5, 6, (depth, 2), _rows(values), key))

    expected = values.astype(float) / (257 if depth == 16 else 1)
    expected[2:4, 1:3] = 255
    assert np.abs(got - expected).max() <= 1


@pytest.mark.promise("I7")
def test_png_16_bit_grey(make_png: Callable[..., bytes]) -> None:
    """16-bit grey is divided by 257 and rounded, not clipped; its transparent grey shows white."""
    values = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    expected = _grey(np.floor(values / 257 + 0.5))

    assert np.array_equal(_decoded(make_png(256, 256, (16, 0), _rows(values))), expected)
    keyed = _decoded(make_png(256, 256, (16, 0), _rows(values), (b"tRNS", struct.pack(">H", 1000))))
    expected[values == 1000] = 255
    assert np.array_equal(keyed, expected)


@pytest.mark.parametrize(("mode", "kind"), [("I;16", "<u2"), ("I;16B", ">u2"), ("I", "<i4")])
def test_16_bit_in_memory(mode: str, kind: str) -> None:
    """16-bit grey of either byte order, or inside 32-bit integers, is divided by 257."""
    values = np.array([[0, 257, 32_896, 65_535]])
    image = Image.frombytes(mode, (4, 1), values.astype(kind).tobytes())

    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_32_bit_clipped() -> None:
    """Integers outside 16 bits become black or white."""
    image = Image.fromarray(np.array([[-5, 70_000, 2_000_000_000]], np.int32))

    assert np.asarray(to_rgb(image))[0, :, 1].tolist() == [0, 255, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 0.5, 1], [0, 128, 255]), ([0, 100.4, 300], [0, 100, 255]), ([-1, float("nan"), 7], [0, 0, 7])],
)
def test_floating_point(values: list[float], expected: list[int], encode: Encode) -> None:
    """Floating-point grey is 0 to 1 if it stays inside, else 0 to 255; what is no number is black."""
    data = encode(Image.fromarray(np.array([values], np.float32)), "TIFF")

    assert _decoded(data)[0, :, 2].tolist() == expected


@pytest.mark.promise("I7")
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str, smooth: Pixels, encode: Encode) -> None:
    """CMYK, plain in TIFF and inverted by Adobe's convention in JPEG, is (1 - ink) (1 - black)."""
    inks = np.dstack([smooth, smooth[::-1, ::-1, 0] // 3])
    image = Image.frombytes("CMYK", (128, 96), inks.tobytes())
    data = encode(image, kind, **({"quality": 98} if kind == "JPEG" else {}))

    expected = (255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:]) / 255
    assert np.abs(_decoded(data) - expected).mean() < (2 if kind == "JPEG" else 1)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_one_bit(kind: str, encode: Encode) -> None:
    """One-bit images become black and white."""
    values = RNG.integers(0, 2, (9, 13)).astype(bool)

    assert np.array_equal(_decoded(encode(Image.fromarray(values), kind)), _grey(values * 255))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_grey(kind: str, pixels: Pixels, encode: Encode) -> None:
    """8-bit grey is repeated in all channels."""
    assert np.array_equal(_decoded(encode(Image.fromarray(pixels[..., 0]), kind)), _grey(pixels[..., 0]))


def test_grey_jpeg(smooth: Pixels, encode: Encode) -> None:
    """A grey JPEG has three equal channels."""
    got = _decoded(encode(Image.fromarray(smooth[..., 2]), "JPEG", quality=95))

    assert np.abs(got - _grey(smooth[..., 2])).mean() < 1


def test_rgb_is_not_copied(pixels: Pixels) -> None:
    """An image that is RGB already is handed on as it is."""
    image = Image.fromarray(pixels)

    assert to_rgb(image) is image


def test_reads_back(pixels: Pixels) -> None:
    """What comes out can be written and read again."""
    out = io.BytesIO()
    to_rgb(Image.fromarray(pixels[..., 0])).save(out, "PNG")

    assert np.array_equal(_decoded(out.getvalue()), _grey(pixels[..., 0]))


# What a viewer does with the stored rows to show them, by the table of Exif 2.3, section 4.6.4.
TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


def _exif(order: str, *entries: tuple[int, int, int, int]) -> bytes:
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    body = b"".join(struct.pack(order + "HHLHxx", *entry) for entry in entries)
    return mark + struct.pack(order + "LH", 8, len(entries)) + body


@pytest.mark.parametrize("value", TURNS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_upright(kind: str, value: int, pixels: Pixels, encode: Encode) -> None:
    """All eight orientations come out upright, once."""
    exif = Image.Exif()
    exif[0x0112] = value
    options = {"lossless": True} if kind == "WEBP" else {}

    data = encode(Image.fromarray(pixels), kind, exif=exif, **options)

    image = decode(data, LIMITS)
    assert np.array_equal(np.asarray(image), TURNS[value](pixels))


@pytest.mark.parametrize("value", TURNS)
def test_upright_avif(value: int, smooth: Pixels, encode: Encode) -> None:
    """An AVIF, which says how it is turned in a property of its own, comes out upright once."""
    exif = Image.Exif()
    exif[0x0112] = value
    image = Image.fromarray(smooth)

    stored = np.asarray(decode(encode(image, "AVIF"), LIMITS))
    turned = np.asarray(decode(encode(image, "AVIF", exif=exif), LIMITS))

    assert np.array_equal(turned, TURNS[value](stored))


@pytest.mark.parametrize("value", TURNS)
@pytest.mark.parametrize("shortest", [0, 20])
def test_upright_jpeg(value: int, shortest: int, smooth: Pixels, encode: Encode) -> None:
    """A JPEG comes out upright at full and at reduced scale."""
    exif = Image.Exif()
    exif[0x0112] = value
    image = Image.fromarray(smooth)

    stored = np.asarray(decode(encode(image, "JPEG"), Limits(), shortest))
    turned = np.asarray(decode(encode(image, "JPEG", exif=exif), Limits(), shortest))

    assert np.array_equal(turned, TURNS[value](stored))


_BOXES = {
    1: (0, 0, 500.5, 375.5),
    2: (0.5, 0, 501, 375.5),
    3: (0.5, 0.5, 501, 376),
    4: (0, 0.5, 500.5, 376),
    5: (0, 0, 375.5, 500.5),
    6: (0.5, 0, 376, 500.5),
    7: (0.5, 0.5, 376, 501),
    8: (0, 0.5, 375.5, 501),
}


@pytest.mark.parametrize("value", _BOXES)
def test_reduced_box(value: int, encode: Encode) -> None:
    """Half of an odd side ends within a pixel, which orientation may put first."""
    exif = Image.Exif()
    exif[0x0112] = value
    data = encode(Image.new("RGB", (1001, 751)), "JPEG", exif=exif)

    scaled = decode_scaled(data, Limits(), 300)

    assert scaled.box == _BOXES[value]
    assert scaled.size == ((1001, 751) if value < 5 else (751, 1001))
    assert scaled.pixels.size == ((501, 376) if value < 5 else (376, 501))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mark", [b"", b"Exif\0\0"])
def test_orientation_by_hand(order: str, mark: bytes) -> None:
    """Both byte orders are read, with and without the leading mark, behind other entries."""
    assert orientation(mark + _exif(order, (0x010F, 3, 1, 5), (0x0112, 3, 1, 6))) == 6


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"JUNK" * 20,
        _exif("<", (0x0112, 3, 1, 9)),
        _exif("<", (0x0112, 3, 1, 0)),
        _exif("<", (0x0112, 2, 1, 6)),
        _exif(">", (0x010F, 3, 1, 6)),
        _exif("<", (0x010F, 3, 1, 6))[:-3],
        b"II*\0\x08\0\0\0\xff\xff",
    ],
)
def test_orientation_damaged(block: bytes) -> None:
    """A block that is damaged, or gives no usable orientation, counts as upright."""
    assert orientation(block) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_keeps_picture(kind: str, smooth: Pixels, encode: Encode) -> None:
    """A broken EXIF block does not fail a good image."""
    options = {"lossless": True} if kind == "WEBP" else {}
    image = Image.fromarray(smooth)
    data = encode(image, kind, exif=b"Exif\0\0II*\0\xf0\xff\xff\xff junk", **options)

    assert decode(data, Limits()).tobytes() == decode(encode(image, kind, **options), Limits()).tobytes()
