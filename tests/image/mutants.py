"""Small images of every accepted format, and damaged ones made of them, each known by its number.

`python -m tests.image.mutants FIRST COUNT` decodes damaged images in a process of its own, which may die
of them: before each it writes the number, and at the end how many there were of each outcome and the most
processor time that one took.
"""

import collections
import io
import json
import random
import struct
import sys
import time
import zlib
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from predictor.errors import ImageError
from predictor.image.decode import Limits, decode

WIDTH, HEIGHT = 45, 31
_LIMITS = Limits()
_MAX_CHANGES = 8
# Numbers at which lengths, counts and sizes go wrong.
_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@cache
def pictures() -> dict[str, bytes]:
    """Images of each accepted format and, of its kinds of pixels and ways of writing."""
    return {f"{kind} {name}": data for kind, named in _made().items() for name, data in named.items()}


@cache
def singles() -> dict[str, bytes]:
    """Those of the images that have one frame only."""
    return {name: data for name, data in pictures().items() if "frames" not in name}


def mutant(number: int) -> bytes:
    """A damaged image; the same number always gives the same."""
    chance = random.Random(number)
    name = chance.choice(sorted(pictures()))
    data = bytearray(pictures()[name])
    for _ in range(chance.randint(1, _MAX_CHANGES)):
        _change(data, chance)
    # A decoder looks no further than to the first wrong checksum.
    return with_checksums(bytes(data)) if name.startswith("PNG") and chance.random() < 0.8 else bytes(data)


def with_checksums(png: bytes) -> bytes:
    """A PNG whose chunks, as far as they can be told apart, have right checksums."""
    data, position = bytearray(png), 8
    while position + 12 <= len(data):
        end = position + 8 + struct.unpack_from(">L", data, position)[0]
        if end + 4 > len(data):
            break
        struct.pack_into(">L", data, end, zlib.crc32(data[position + 4 : end]))
        position = end + 4
    return bytes(data)


def png_chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as Pillow writes it."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _sources() -> tuple[Image.Image, Image.Image, Image.Image]:
    """An image with alpha, in colour, and grey."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = (x * 5, y * 8, (x * y) % 256, 255 - 3 * x)
    rgba = Image.fromarray(np.stack(planes, -1).astype(np.uint8))
    return rgba, rgba.convert("RGB"), rgba.convert("L")


def _told() -> dict[str, Any]:
    """Metadata."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    return {"exif": exif, "icc_profile": bytes(range(200))}


def _made() -> dict[str, dict[str, bytes]]:
    made = {"JPEG": _jpegs(), "PNG": _pngs(), "WEBP": _webps(), "GIF": _gifs()}
    made |= {"AVIF": _avifs(), "TIFF": _tiffs()}
    for kind, named in made.items():
        named["frames"] = _frames("MPO" if kind == "JPEG" else kind)
    return {**made, "BMP": _bmps()}


def _frames(kind: str) -> bytes:
    _, rgb, _ = _sources()
    return encoded(rgb, kind, save_all=True, append_images=[rgb.rotate(180), rgb.rotate(90)])


def _jpegs() -> dict[str, bytes]:
    _, rgb, grey = _sources()
    return {
        "baseline": encoded(rgb, "JPEG"),
        "progressive": encoded(rgb, "JPEG", progressive=True),
        "restarts": encoded(rgb, "JPEG", restart_marker_blocks=2, subsampling=0),
        "grey": encoded(grey, "JPEG", optimize=True),
        "cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "told": encoded(rgb, "JPEG", comment=b"said", **_told()),
    }


def _pngs() -> dict[str, bytes]:
    rgba, rgb, grey = _sources()
    return {
        "rgb": encoded(rgb, "PNG"),
        "rgba": encoded(rgba, "PNG"),
        "grey": encoded(grey, "PNG"),
        "grey with alpha": encoded(rgba.convert("LA"), "PNG"),
        "one bit": encoded(grey.convert("1"), "PNG"),
        "16 bits": encoded(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "PNG"),
        "palette": encoded(rgba.convert("P"), "PNG", transparency=bytes(range(255))),
        "interlaced": _interlaced(grey),
        "told": encoded(rgb, "PNG", dpi=(72, 72), **_told()),
    }


def _webps() -> dict[str, bytes]:
    rgba, rgb, _ = _sources()
    return {
        "lossy": encoded(rgb, "WEBP"),
        "lossless": encoded(rgb, "WEBP", lossless=True),
        "alpha": encoded(rgba, "WEBP"),
        "told": encoded(rgb, "WEBP", xmp=b"<x/>", **_told()),
    }


def _gifs() -> dict[str, bytes]:
    rgba, rgb, grey = _sources()
    return {
        "palette": encoded(rgb, "GIF"),
        "one bit": encoded(grey.convert("1"), "GIF", interlace=False),
        "transparent": encoded(rgba.convert("P"), "GIF", transparency=3, comment=b"said"),
    }


def _bmps() -> dict[str, bytes]:
    rgba, rgb, grey = _sources()
    return {
        "24 bits": encoded(rgb, "BMP"),
        "32 bits": encoded(rgba, "BMP"),
        "palette": encoded(rgba.convert("P"), "BMP"),
        "one bit": encoded(grey.convert("1"), "BMP"),
        "runs": _runs(),
    }


def _avifs() -> dict[str, bytes]:
    rgba, rgb, grey = _sources()
    return {
        "lossy": encoded(rgb, "AVIF"),
        "444": encoded(rgb, "AVIF", subsampling="4:4:4", quality=100),
        "alpha": encoded(rgba, "AVIF"),
        "grey": encoded(grey, "AVIF"),
        "told": encoded(rgb, "AVIF", xmp=b"<x/>", **_told()),
    }


def _tiffs() -> dict[str, bytes]:
    rgba, rgb, grey = _sources()
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    return {
        "rgb": encoded(rgb, "TIFF"),
        "lzw": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "deflate": encoded(rgba, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg": encoded(rgb, "TIFF", compression="jpeg"),
        "packbits": encoded(grey, "TIFF", compression="packbits"),
        "fax": encoded(grey.convert("1"), "TIFF", compression="group4"),
        "palette": encoded(rgba.convert("P"), "TIFF"),
        "cmyk": encoded(rgb.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        "16 bits": encoded(deep, "TIFF"),
        "floating point": encoded(grey.convert("F"), "TIFF"),
        "big": encoded(rgb, "TIFF", big_tiff=True),
        "told": encoded(rgb, "TIFF", dpi=(72, 72), **_told()),
    }


def _interlaced(grey: Image.Image) -> bytes:
    """A grey PNG in the seven passes of Adam7, which Pillow reads but does not write."""
    pixels = np.asarray(grey)
    passes = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    rows = (row for top, left, down, right in passes for row in pixels[top::down, left::right])
    header = struct.pack(">LLBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 1)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def _runs() -> bytes:
    """A BMP of 8 bits whose rows are runs of equal pixels, which Pillow reads but does not write."""
    rows = b"".join(bytes((WIDTH - 20, row, 20, 255 - row, 0, 0)) for row in range(HEIGHT)) + b"\0\1"
    palette = b"".join(bytes((index, 255 - index, index // 2, 0)) for index in range(256))
    header = struct.pack("<LllHHLLllLL", 40, WIDTH, HEIGHT, 1, 8, 1, len(rows), 2835, 2835, 256, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<LHHL", start + len(rows), 0, 0, start) + header + palette + rows


def _change(data: bytearray, chance: random.Random) -> None:
    """One of the changes that fuzzers make."""
    # Most of what matters stands near the beginning.
    limit = max(2, len(data) if chance.random() < 0.5 else min(len(data), 120))
    at, end = sorted((chance.randrange(limit), chance.randrange(limit)))
    match chance.randrange(7):
        case 0:
            data[at : at + 1] = bytes((chance.randrange(256),))
        case 1:
            width, order = chance.choice((1, 2, 4)), chance.choice(("little", "big"))
            number = chance.choice(_EDGES) & ((1 << 8 * width) - 1)
            data[at : at + width] = number.to_bytes(width, order)  # type: ignore[arg-type]
        case 2:
            del data[at:end]
        case 3:
            data[at:at] = data[at:end]
        case 4:
            data[at:at] = chance.randbytes(chance.randint(1, 40))
        case 5:
            other = pictures()[chance.choice(sorted(pictures()))]
            data[at:end] = other[at:end]
        case _:
            del data[max(20, end * chance.randrange(1, 5)) :]


def main(first: int, count: int) -> None:
    """Decode damaged images, and write what came of them."""
    outcomes, slowest = collections.Counter[str](), 0.0
    for number in range(first, first + count):
        # The last line of a process that died says of what.
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        data = mutant(number)
        start = time.process_time()
        try:
            image = decode(data, _LIMITS, 16 * (number % 2))
        except ImageError as error:
            outcomes[error.code] += 1
        else:
            assert image.mode == "RGB"
            assert image.width * image.height <= _LIMITS.max_pixels
            outcomes["opened"] += 1
        slowest = max(slowest, time.process_time() - start)
    sys.stdout.write(json.dumps({"outcomes": outcomes, "slowest": slowest}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
