"""EXIF orientation: read without parsing anything else, and undone.

A general EXIF reader copies every value that the block claims to have, and a block of a few
megabytes can claim terabytes. The orientation is one 16-bit number in the first directory.
"""

import struct

from PIL import Image

ORIENTATION = 0x0112
_SHORT = 3
_ENTRY = 12
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that an EXIF block gives; 1 if it gives none or is damaged.

    Args:
        exif: a TIFF structure, with or without the leading `Exif` mark.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    try:
        return _first_directory(tiff, order) if order else 1
    except struct.error:
        return 1


def _first_directory(tiff: bytes, order: str) -> int:
    (start,) = struct.unpack_from(order + "L", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, start)
    for number in range(entries):
        tag, kind, _, value = struct.unpack_from(order + "HHLH", tiff, start + 2 + number * _ENTRY)
        if tag == ORIENTATION:
            return value if kind == _SHORT and 1 <= value <= 8 else 1
    return 1


def upright(image: Image.Image, value: int) -> Image.Image:
    """The picture turned so that its top is up; `value` is its EXIF orientation."""
    turn = _UPRIGHT.get(value)
    return image if turn is None else image.transpose(turn)
