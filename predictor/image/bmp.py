"""BMP of 4 or 8 bits whose palette names fewer colours than the pixels could, which Pillow reads wrongly.

Pillow takes a palette that is black and white for pixels of one bit each, and gives colours that the palette
lacks a shade of grey. With a whole palette it does neither.
"""

import struct

_PIXELS_AT, _INFO_AT, _BITS_AT, _COLOURS_AT = 10, 14, 28, 46
_SHORTEST_INFO = 40
_COLOUR = 4


def with_whole_palette(data: bytes) -> tuple[bytes, bytes]:
    """Fill the palette up with black. It ends where the pixels begin, however many colours it claims.

    Args:
        data: a BMP file. Layout: BITMAPFILEHEADER and BITMAPINFOHEADER of the Windows documentation.

    Returns:
        The file, and no EXIF block.
    """
    (header,) = struct.unpack_from("<I", data, _INFO_AT)
    if header < _SHORTEST_INFO:
        return data, b""
    (bits,), (colours,) = (
        struct.unpack_from("<H", data, _BITS_AT),
        struct.unpack_from("<I", data, _COLOURS_AT),
    )
    if bits not in (4, 8) or not 0 < colours < 1 << bits:
        return data, b""
    (pixels,) = struct.unpack_from("<I", data, _PIXELS_AT)
    palette = _INFO_AT + header
    end = palette + _COLOUR * colours
    # Some programs leave the palette out of the offset, or the offset out.
    told = pixels > palette
    end = min(end, pixels) if told else end
    missing = palette + (_COLOUR << bits) - end
    filled = bytearray(data[:end] + bytes(missing) + data[end:])
    struct.pack_into("<I", filled, _COLOURS_AT, 0)
    if told:
        struct.pack_into("<I", filled, _PIXELS_AT, pixels + missing)
    return bytes(filled), b""
