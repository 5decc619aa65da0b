"""PNG's chunk structure (W3C PNG, third edition): what is read before a decoder sees the bytes.

Text, colour profiles, animation and private chunks are dropped, so none of them is decompressed,
parsed, or able to fail a good picture.
"""

import struct
import zlib

from predictor.errors import InvalidImage

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 100_000
_KEPT = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_GREY, _COLOUR, _PALETTE = 0, 2, 3
_IHDR_BODY = 16


def strip(data: bytes) -> tuple[bytes, bytes]:
    """The same picture with only the chunks that make its pixels, and its EXIF block (empty if none).

    Raises:
        InvalidImage: the picture has more chunks than any real one.
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
