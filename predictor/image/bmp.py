"""BMP of 4 or 8 bits, which Pillow reads wrongly where its runs are damaged or its palette is short.

Pillow goes on behind a run that does not fit into its row, with pixels that nobody stored. It takes a palette
that is black and white for pixels of one bit each, and gives colours that the palette lacks a shade of grey.
With a whole palette it does neither.
"""

import struct

from predictor.errors import InvalidImage

_PIXELS_AT, _INFO_AT, _SIZE_AT, _BITS_AT, _COLOURS_AT = 10, 14, 18, 28, 46
_SHORTEST_INFO = 40
_COLOUR = 4
_RLE8, _RLE4 = 1, 2
_END_OF_ROW, _END_OF_IMAGE, _STEP = b"\0\0", b"\0\1", 2


def prepare(data: bytes) -> tuple[bytes, bytes]:
    """The file as Pillow reads it rightly, and no EXIF block.

    Args:
        data: a BMP file. Layout: BITMAPFILEHEADER and BITMAPINFOHEADER of the Windows documentation.

    Raises:
        InvalidImage: its runs lie outside its rows, or end before the image does.
    """
    (header,) = struct.unpack_from("<I", data, _INFO_AT)
    if header < _SHORTEST_INFO:
        return data, b""
    _check_runs(data, header)
    return _with_whole_palette(data, header), b""


def _check_runs(data: bytes, header: int) -> None:
    """See that compressed pixels lie in the image (Bitmap Compression of the Windows documentation)."""
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, _SIZE_AT)
    (at,) = struct.unpack_from("<I", data, _PIXELS_AT)
    if (bits, compression) not in ((8, _RLE8), (4, _RLE4)) or at < _INFO_AT + header:
        return
    # Some programs fill a row up to whole units of 4 bytes.
    widest = width + -width % (32 // bits)
    column, row, rows = 0, 0, abs(height)
    while row < rows and at + 2 <= len(data) and data[at : at + 2] != _END_OF_IMAGE:
        if data[at : at + 2] == _END_OF_ROW:
            column, row, at = 0, row + 1, at + 2
            continue
        across, down, size = _run(data, at, bits)
        # What one pixel that is repeated has too much is cut off, as far as nothing follows it in its row.
        if column + across > widest and (data[at] == 0 or column >= widest):
            raise InvalidImage("The BMP image is damaged: a run of pixels lies outside its row.")
        column, row, at = column + across, row + down, at + size
    if at + 2 > len(data) and (row < rows - 1 or (row < rows and column < width)):
        raise InvalidImage("The BMP image is truncated.")


def _run(data: bytes, at: int, bits: int) -> tuple[int, int, int]:
    """How far pixels go to the right and up, and how many bytes say so."""
    count, value = data[at], data[at + 1]
    if count:
        return count, 0, 2
    if value == _STEP:
        return data[at + 2], data[at + 3], 4
    return value, 0, 2 + (value * bits + 15) // 16 * 2


def _with_whole_palette(data: bytes, header: int) -> bytes:
    """Fill the palette up with black. It ends where the pixels begin, however many colours it claims."""
    (bits,), (colours,) = (
        struct.unpack_from("<H", data, _BITS_AT),
        struct.unpack_from("<I", data, _COLOURS_AT),
    )
    if bits not in (4, 8) or not 0 < colours < 1 << bits:
        return data
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
    return bytes(filled)
