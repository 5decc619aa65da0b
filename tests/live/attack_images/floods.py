"""Images with very many frames or pieces, written piece by piece."""

import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from tests.image import containers
from tests.image.mutants import encoded, png_chunk

SIZE = (300, 200)
_MAX_SEGMENT = 65_000


def plain() -> Image.Image:
    """The image that all floods show first."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    planes = (x * 255 // SIZE[0], y * 255 // SIZE[1], (x + y) % 256)
    return Image.fromarray(np.stack(planes, -1).astype(np.uint8))


def gif_frames(count: int) -> bytes:
    """A GIF with that many small frames behind its first."""
    first, small = encoded(plain(), "GIF"), encoded(Image.new("P", (8, 8)), "GIF")
    frame = small[_gif_frame(small) : -1]
    return first[:-1] + frame * count + b";"


def gif_comments() -> bytes:
    """A GIF with comments of 18 MB before its first frame."""
    data = encoded(plain(), "GIF")
    frame = _gif_frame(data)
    return data[:frame] + b"!\xfe" + (b"\xff" + b"a" * 255) * 70_000 + b"\0" + data[frame:]


def png_frames(count: int) -> bytes:
    """An animated PNG with that many small frames behind its first."""
    body = zlib.compress((b"\0" + bytes(24)) * 8)
    frames = b"".join(
        _frame_control(2 * number + 1, (8, 8)) + png_chunk(b"fdAT", struct.pack(">L", 2 * number + 2) + body)
        for number in range(count)
    )
    data = encoded(plain(), "PNG")
    end = len(data) - 12
    begin = png_chunk(b"acTL", struct.pack(">LL", count + 1, 0)) + _frame_control(0, SIZE)
    return data[:33] + begin + data[33:end] + frames + data[end:]


def png_chunks(*chunks: tuple[bytes, bytes], times: int = 1) -> bytes:
    """A PNG with chunks behind its header."""
    data = encoded(plain(), "PNG")
    return data[:33] + b"".join(png_chunk(*chunk) for chunk in chunks) * times + data[33:]


def webp_frames(count: int) -> bytes:
    """An animated WebP with that many small frames behind its first."""
    small = _webp_frame(encoded(Image.new("RGB", (8, 8)), "WEBP")[12:], (8, 8))
    first = _webp_frame(encoded(plain(), "WEBP")[12:], SIZE)
    return _webp(2, SIZE, _webp_chunk(b"ANIM", bytes(6)), first, small * count)


def webp_canvas(width: int, height: int) -> bytes:
    """A WebP of a hundred bytes, one small frame on a canvas of any size."""
    frame = _webp_frame(encoded(Image.new("RGB", (8, 8)), "WEBP")[12:], (8, 8))
    return _webp(2, (width, height), _webp_chunk(b"ANIM", bytes(6)), frame)


def webp_told(megabytes: int) -> bytes:
    """A WebP with a profile, an EXIF block and XMP of that size each."""
    profile, exif, xmp = (
        _webp_chunk(name, bytes(megabytes * 1_000_000)) for name in (b"ICCP", b"EXIF", b"XMP ")
    )
    return _webp(0x2C, SIZE, profile, encoded(plain(), "WEBP")[12:], exif, xmp)


def webp_pieces(count: int) -> bytes:
    """A WebP with that many empty chunks."""
    return _webp(0, SIZE, _webp_chunk(b"ABCD", b"") * count, encoded(plain(), "WEBP")[12:])


def jpeg_frames(count: int) -> bytes:
    """A file of several JPEGs behind each other, of which the first names the others."""
    return encoded(plain(), "MPO", save_all=True, append_images=[Image.new("RGB", SIZE)] * count)


def jpeg_segments(marker: int, body: bytes, times: int) -> bytes:
    """A JPEG with segments behind its first marker."""
    data = encoded(plain(), "JPEG")
    return data[:2] + _segment(marker, body) * times + data[2:]


def jpeg_comments_between_scans(count: int) -> bytes:
    """A JPEG with that many comments between its scans, one of which holds marks of scans."""
    data = encoded(plain(), "JPEG", progressive=True)
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    flood = _segment(0xFE, b"") * count + _segment(0xFE, b"\xff\xda" * 120)
    return data[:second] + flood + data[second:]


def jpeg_scans(side: int, count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until there are `count`."""
    data = encoded(Image.new("RGB", (side, side), "teal"), "JPEG", progressive=True)
    last, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + data[last:end] * (count - data.count(b"\xff\xda")) + data[end:]


def exif_entries(count: int = 65_535) -> bytes:
    """An EXIF block of entries that each claim 60 KB."""
    entry = struct.pack("<HHLL", 0x8000, 7, 60_000, 8)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entry * count


def _gif_frame(data: bytes) -> int:
    """Where what belongs to the first frame begins, behind the header and the palette."""
    return 13 + (3 << (data[10] & 7) + 1)


def _frame_control(number: int, size: tuple[int, int]) -> bytes:
    return png_chunk(b"fcTL", struct.pack(">LLLLLHHBB", number, *size, 0, 0, 1, 10, 0, 0))


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _webp_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<L", len(body)) + body + b"\0" * (len(body) % 2)


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _webp_frame(picture: bytes, size: tuple[int, int]) -> bytes:
    place = bytes(6) + _three(size[0] - 1) + _three(size[1] - 1) + _three(10) + b"\0"
    return _webp_chunk(b"ANMF", place + picture)


def _webp(flags: int, size: tuple[int, int], *chunks: bytes) -> bytes:
    header = _webp_chunk(b"VP8X", bytes((flags, 0, 0, 0)) + _three(size[0] - 1) + _three(size[1] - 1))
    body = b"WEBP" + header + b"".join(chunks)
    return b"RIFF" + struct.pack("<L", len(body)) + body


_TIFF = {256: (3, [SIZE[0]]), 257: (3, [SIZE[1]]), 258: (3, [8]), 262: (3, [1]), 277: (3, [1])}


def _tiff(tags: dict[int, tuple[int, Any]], **options: Any) -> bytes:
    return containers.tiff(_TIFF | tags, [plain().convert("L").tobytes()], **options)


def tiff_told(megabytes_each: int) -> bytes:
    """A TIFF with a profile, XMP and Photoshop's block."""
    return _tiff({number: (7, bytes(megabytes_each * 1_000_000)) for number in (700, 34377, 34675)})


def tiff_tags(count: int) -> bytes:
    """A TIFF with that many private tags."""
    return _tiff({number: (3, [1]) for number in range(40_000, 40_000 + count)})


def tiff_strips(count: int) -> bytes:
    """A TIFF that claims that many strips."""
    return _tiff({273: (4, bytes(4 * count))}, keep=True)


def tiff_pages(count: int) -> bytes:
    """A TIFF with that many small pages behind its first."""
    first = _tiff({}, front=False)
    page = struct.pack("<HHHLL", 1, 256, 3, 1, 8)
    pages = b"".join(
        page + struct.pack("<L", len(first) + (number + 1) * 18 if number + 1 < count else 0)
        for number in range(count)
    )
    return first[:-4] + struct.pack("<L", len(first)) + pages


def avif_boxes(count: int) -> bytes:
    """An AVIF with that many empty boxes behind it."""
    return encoded(plain(), "AVIF") + containers.box(b"free") * count


def avif_pieces(count: int) -> bytes:
    """An AVIF whose image is put together from the same bytes again and again."""
    stream = containers.stream_of(encoded(plain(), "AVIF"))
    return containers.avif(stream, SIZE, extents=[(0, len(stream))] * count)
