"""BMP of 4 or 8 bits that Pillow reads wrongly: compressed ones, and ones with a short palette.

Pillow's reader of run lengths loses empty rows, pixels behind the early end of an image and odd places, and
goes on behind a run that does not fit into its row. It takes a palette that is black and white for pixels of
one bit each, and gives colours that the palette lacks a shade of grey. What is uncompressed, with 8 bits and
a whole palette, it reads rightly.

Layout: BITMAPFILEHEADER, BITMAPINFOHEADER and Bitmap Compression of the Windows documentation.
"""

import struct

from predictor.errors import InvalidImage

OTHER_PIXELS = "The BMP image has pixels of a kind that is not supported; save it with 24 bits, or as PNG."
"""What is wrong if its header is whole, but no decoder knows what it describes."""

_PIXELS_AT, _INFO_AT, _SIZE_AT, _BITS_AT, _COLOURS_AT = 10, 14, 18, 28, 46
_SHORTEST_INFO = 40
_COLOUR = 4
_RLE8, _RLE4 = 1, 2
_END_OF_ROW, _END_OF_IMAGE, _STEP = b"\0\0", b"\0\1", 2
_PAIRS = [bytes((value >> 4, value & 15)) for value in range(256)]
_DAMAGED = "The BMP image is damaged: a run of pixels lies outside its row."
_TRUNCATED = "The BMP image is truncated."


def prepare(data: bytes) -> tuple[bytes, bytes]:
    """The file as Pillow reads it rightly, and no EXIF block.

    Args:
        data: a BMP file, whose width and height are within bounds.

    Raises:
        InvalidImage: its runs lie outside its rows, or end before the image does.
    """
    (header,) = struct.unpack_from("<I", data, _INFO_AT)
    if header < _SHORTEST_INFO:
        return data, b""
    width, _, _, bits, compression = struct.unpack_from("<iiHHI", data, _SIZE_AT)
    if compression not in (_RLE8, _RLE4) or width <= 0:
        return _with_whole_palette(data, header), b""
    if bits != {_RLE8: 8, _RLE4: 4}[compression]:
        raise InvalidImage("The BMP image is damaged: its compression is not one of its pixels.")
    return _uncompressed(data, header), b""


def _uncompressed(data: bytes, header: int) -> bytes:
    """The same image with a byte for each pixel; pixels that the runs step over have the first colour."""
    width, height, _, bits, _ = struct.unpack_from("<iiHHI", data, _SIZE_AT)
    (at,), (colours,) = (
        struct.unpack_from("<I", data, _PIXELS_AT),
        struct.unpack_from("<I", data, _COLOURS_AT),
    )
    palette = _INFO_AT + header
    end = palette + _COLOUR * (colours if 0 < colours < 1 << bits else 1 << bits)
    # Some programs leave the palette out of the offset, or the offset out.
    at, end = (at, min(at, end)) if at > palette else (end, end)
    pixels = _pixels(data, at, (width, abs(height)), bits)
    start = _INFO_AT + _SHORTEST_INFO + (_COLOUR << 8)
    head = struct.pack("<2sLHHL", b"BM", start + len(pixels), 0, 0, start)
    info = struct.pack("<LllHHLLllLL", _SHORTEST_INFO, width, height, 1, 8, 0, len(pixels), 0, 0, 0, 0)
    return b"".join((head, info, data[palette:end].ljust(_COLOUR << 8, b"\0"), pixels))


def _pixels(data: bytes, at: int, size: tuple[int, int], bits: int) -> bytearray:
    """The rows of run lengths from a place on, each filled up to whole units of 4 bytes."""
    width, rows = size
    stride = width + -width % 4
    # Some programs fill a compressed row up in this way, too.
    widest = width + -width % (32 // bits)
    pixels = bytearray(stride * rows)
    column = row = 0
    while row < rows and (code := data[at : at + 2]) != _END_OF_IMAGE:
        if len(code) < 2:
            _check_end(row, column, size)
            break
        if code == _END_OF_ROW:
            column, row, at = 0, row + 1, at + 2
            continue
        across, down, length, run = _run(data, at, bits)
        # What one pixel that is repeated has too much is cut off, as far as nothing follows it in its row.
        if column + across > widest and (code[0] == 0 or column >= widest):
            raise InvalidImage(_DAMAGED)
        if kept := run[: max(0, width - column)]:
            start = row * stride + column
            pixels[start : start + len(kept)] = kept
        column, row, at = column + across, row + down, at + length
    return pixels


def _run(data: bytes, at: int, bits: int) -> tuple[int, int, int, bytes]:
    """How far pixels go to the right and up, how many bytes say so, and the pixels; a step has none."""
    count, value = data[at], data[at + 1]
    if count:
        return count, 0, 2, (_PAIRS[value] * 128 if bits == 4 else data[at + 1 : at + 2] * count)[:count]
    if value == _STEP:
        return data[at + 2], data[at + 3], 4, b""
    length = (value * bits + 7) // 8
    stored = data[at + 2 : at + 2 + length]
    if len(stored) < length:
        raise InvalidImage(_TRUNCATED)
    run = b"".join(map(_PAIRS.__getitem__, stored))[:value] if bits == 4 else stored
    return value, 0, 2 + length + length % 2, run


def _check_end(row: int, column: int, size: tuple[int, int]) -> None:
    """See that the last row is whole where the file ends without an end mark."""
    width, rows = size
    if row < rows - 1 or column < width:
        raise InvalidImage(_TRUNCATED)


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
