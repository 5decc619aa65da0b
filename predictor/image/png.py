"""PNG: what is read of its chunks before a decoder sees them, and whether its pixels are all there.

Source: W3C PNG, third edition.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from predictor.errors import InvalidImage

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 100_000
_KEPT = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_GREY, _COLOUR, _PALETTE = 0, 2, 3
_IHDR_BODY = 16


def strip_png(data: bytes) -> tuple[bytes, bytes]:
    """The same image with only the chunks that make its pixels, and its EXIF block (empty if none).

    Raises:
        InvalidImage: the image has more chunks than any real one.
    """
    kept: list[bytes | memoryview] = [SIGNATURE]
    exif = b""
    view = memoryview(data)
    position = len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            return b"".join(kept), exif
        length, name = struct.unpack_from(">L4s", data, position)
        end = position + 12 + length
        if name in _KEPT:
            kept.append(view[position:end])
        elif name == b"tRNS":
            kept.append(_transparency(data, data[position + 8 : end - 4]))
        elif name == b"eXIf":
            exif = data[position + 8 : end - 4]
        position = end
    raise InvalidImage("The PNG image has too many chunks.")


def _transparency(data: bytes, body: bytes) -> bytes:
    """A tRNS chunk whose colour key is on the scale that decoded pixels have.

    Grey of 2 and 4 bits is decoded to 8 bits and colour of 16 bits to its upper 8, the key is not.
    """
    depth, colour = data[_IHDR_BODY + 8], data[_IHDR_BODY + 9]
    if colour == _PALETTE:
        return _chunk(b"tRNS", body)
    count = {_GREY: 1, _COLOUR: 3}.get(colour)
    if count is None or len(body) != 2 * count:
        return b""
    key = struct.unpack(f">{count}H", body)
    return _chunk(b"tRNS", struct.pack(f">{count}H", *(_scaled(value, depth, colour) for value in key)))


def _scaled(value: int, depth: int, colour: int) -> int:
    value &= (1 << depth) - 1
    if depth == 16:
        return value >> 8 if colour == _COLOUR else value
    return value * (255 // ((1 << depth) - 1)) if depth in (2, 4) else value


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))


# How many samples a pixel has, by the type of its colours.
_SAMPLES = {_GREY: 1, _COLOUR: 3, _PALETTE: 1, 4: 2, 6: 4}
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of each pass its first column and row, and how far the next ones are."""
# So many bytes become 16 MB at most.
_PIECE = 1 << 14


def check_rows(data: bytes, image: Image.Image) -> None:
    """See that the pixels do not end between two rows: a decoder leaves those that are missing black.

    Most images are not black in the rows that come last, and nothing more is looked at.

    Args:
        data: the file, as `strip_png` gives it.
        image: what was decoded of it.

    Raises:
        InvalidImage: pixels are missing.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">LLBBBBB", data, _IHDR_BODY)
    # An interlaced image ends with the second row of every two.
    last = height // 2 * 2 - 1 if interlaced else height - 1
    if last >= 0 and np.asarray(image.crop((0, last, width, last + 1))).any():
        return
    bits = depth * _SAMPLES[colour]
    needed = sum(_bytes_of(one, width, height, bits) for one in (_ADAM7 if interlaced else _WHOLE))
    for length in _inflated(data):
        needed -= length
        if needed <= 0:
            return
    raise InvalidImage("The PNG image is truncated.")


def _bytes_of(way: tuple[int, int, int, int], width: int, height: int, bits: int) -> int:
    """The bytes of a pass: each row begins with one for its filter."""
    left, top, across, down = way
    columns, rows = -(-(width - left) // across), -(-(height - top) // down)
    return rows * (1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else 0


def _inflated(data: bytes) -> Iterator[int]:
    """How many bytes each piece of the compressed pixels has."""
    inflater, position = zlib.decompressobj(), len(SIGNATURE)
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">L4s", data, position)
        end = position + 8 + length
        for start in range(position + 8, end, _PIECE) if name == b"IDAT" else ():
            yield len(inflater.decompress(data[start : min(start + _PIECE, end)]))
        position = end + 4
