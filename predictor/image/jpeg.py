"""JPEG's marker structure (ITU-T T.81, annex B): what is read before a decoder sees the bytes.

Two things a decoder does not guard against are settled here: segments that only carry metadata,
which would be parsed, and scans, each of which costs a pass over the whole picture.
"""

import re

import numpy as np

from predictor.errors import InvalidImage

MAX_SCANS = 100
_MAX_SEGMENTS = 4096
_TOO_MANY = "The JPEG image has too many segments."
_EOI = 0xD9
_SOS = 0xDA
_APP1 = 0xE1
_ALONE = frozenset((0x01, 0xD8))
# APP0 (JFIF) and APP14 (Adobe) say which colours the numbers mean; the other APPn and COM are for people.
_METADATA = frozenset((*range(0xE1, 0xEE), 0xEF, 0xFE))
_EXIF = b"Exif\0\0"
# FF 00 is a stuffed byte, FF FF is padding, FF D0 to FF D7 restart a scan: no segment begins there.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)


def strip(data: bytes) -> tuple[bytes, bytes]:
    """The same picture without metadata before its first scan, and its EXIF block (empty if none).

    Raises:
        InvalidImage: the segments are damaged or too many, or the picture has more than 100 scans.
    """
    kept = [b"\xff\xd8"]
    exif = b""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        marker, start, end = _segment(data, position)
        if marker == _SOS:
            _check_scans(data, start)
            return _rest_behind(b"".join(kept), data, start), exif
        segment = data[start:end]
        if marker not in _METADATA:
            kept.append(segment)
        elif marker == _APP1 and not exif and segment.startswith(_EXIF, 4):
            exif = segment[4:]
        position = end
    raise InvalidImage(_TOO_MANY)


def _rest_behind(head: bytes, data: bytes, start: int) -> bytes:
    # Most pictures are megabytes of which nothing was dropped: these are not copied.
    return data if len(head) == start else b"".join((head, memoryview(data)[start:]))


def _segment(data: bytes, position: int) -> tuple[int, int, int]:
    """Marker, start and end of the segment at or after a position."""
    found = _MARKER.search(data, position)
    if found is None or found[1][0] == _EOI:
        raise InvalidImage("The JPEG image ends before its first scan.")
    marker, start = found[1][0], found.start()
    if marker in _ALONE:
        return marker, start, start + 2
    return marker, start, _end(data, start)


def _end(data: bytes, start: int) -> int:
    if start + 4 > len(data):
        raise InvalidImage("The JPEG image is truncated.")
    return start + 2 + max(2, int.from_bytes(data[start + 2 : start + 4], "big"))


def _check_scans(data: bytes, first: int) -> None:
    # Every scan begins with FF DA, so there are never more scans than such pairs, and numpy counts these
    # in 0.2 ms per megabyte; only a picture with too many, perhaps inside a comment, is walked.
    if _pairs(data, first) > MAX_SCANS and _scans(data, first) > MAX_SCANS:
        raise InvalidImage(f"The JPEG image has more than {MAX_SCANS} scans.")


def _pairs(data: bytes, position: int) -> int:
    """How often FF DA stands anywhere from a position on."""
    view = np.frombuffer(data, np.uint8, offset=position)
    return int(np.count_nonzero((view[:-1] == 0xFF) & (view[1:] == _SOS)))


def _scans(data: bytes, position: int) -> int:
    """Scans from a position to the end of the picture; counting stops past the limit."""
    scans = 0
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None or found[1][0] == _EOI or scans > MAX_SCANS:
            return scans
        marker = found[1][0]
        scans += marker == _SOS
        position = found.end() if marker in _ALONE else _end(data, found.start())
    raise InvalidImage(_TOO_MANY)
