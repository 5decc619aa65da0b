"""What is read of a file's structure before a decoder sees its bytes.

JPEG: markers (ITU-T T.81, annex B). GIF: blocks (GIF89a specification).
"""

import re

import numpy as np

from predictor.errors import InvalidImage, UnsupportedImage

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
# Frames of a kind that no decoder here knows: hierarchical, lossless with arithmetic coding, and JPEG-LS.
_OTHER_FRAMES = frozenset((0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7))
_FRAMES = _OTHER_FRAMES | {0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA}
# The bits a colour, 10 to 16, that medical images and scanners have; any other number is damage.
_OTHER_BITS = frozenset((b"\x0a", b"\x0c", b"\x0e", b"\x10"))
_OTHER_PIXELS = (
    "The JPEG image has pixels of a kind that is not supported, such as 12 bits a colour or JPEG-LS; "
    "save it as JPEG with 8 bits, or as PNG."
)


def strip_jpeg(data: bytes) -> tuple[bytes, bytes]:
    """The same image without metadata before its first scan, and its EXIF block (empty if none).

    Raises:
        InvalidImage: the segments are damaged or too many, or the image has more than 100 scans.
        UnsupportedImage: no decoder knows its kind of pixels.
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
        if marker in _FRAMES:
            _check_frame(marker, segment)
        if marker not in _METADATA:
            kept.append(segment)
        elif marker == _APP1 and not exif and segment.startswith(_EXIF, 4):
            exif = segment[4:]
        position = end
    raise InvalidImage(_TOO_MANY)


def _check_frame(marker: int, segment: bytes) -> None:
    if marker in _OTHER_FRAMES or segment[4:5] in _OTHER_BITS:
        raise UnsupportedImage(_OTHER_PIXELS)


def _rest_behind(head: bytes, data: bytes, start: int) -> bytes:
    # Most images are megabytes of which nothing was dropped: these are not copied.
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
    # in 0.2 ms per megabyte; only an image with too many, perhaps inside a comment, is walked.
    if _pairs(data, first) > MAX_SCANS and _scans(data, first) > MAX_SCANS:
        raise InvalidImage(f"The JPEG image has more than {MAX_SCANS} scans.")


def _pairs(data: bytes, position: int) -> int:
    """How often FF DA stands anywhere from a position on."""
    view = np.frombuffer(data, np.uint8, offset=position)
    return int(np.count_nonzero((view[:-1] == 0xFF) & (view[1:] == _SOS)))


def _scans(data: bytes, position: int) -> int:
    """Scans from a position to the end of the image; counting stops past the limit."""
    scans = 0
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None or found[1][0] == _EOI or scans > MAX_SCANS:
            return scans
        marker = found[1][0]
        scans += marker == _SOS
        position = found.end() if marker in _ALONE else _end(data, found.start())
    raise InvalidImage(_TOO_MANY)


END = b"\xff\xd9"
_RESTARTS = [bytes((0xFF, marker)) for marker in range(0xD0, 0xD8)]
_BITS = (b"\x5a\xc3" * 256, b"\xa5\x3c" * 256)
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def endings(data: bytes) -> tuple[bytes, ...]:
    """The JPEG with the end marker that it lacks, at once and behind bytes that may belong to its last scan.

    All of them have the same pixels if only the end marker is missing. Without any if it is there.

    Raises:
        InvalidImage: scans are missing as well.
    """
    if data.rfind(END) >= 0:
        return ()
    if not _all_scans(data):
        raise InvalidImage("The JPEG image is truncated.")
    begun = data.rstrip(b"\xff")
    last = max((begun.rfind(marker), number + 1) for number, marker in enumerate(_RESTARTS))
    restart = _RESTARTS[last[1] % 8 if last[0] > begun.rfind(b"\xff\xda") else 0]
    return begun + END, *(b"".join((begun, bits, restart, bits, END)) for bits in _BITS)


def _all_scans(data: bytes) -> bool:
    """Whether the scans give each coefficient of each component to its last bit (T.81, B.2.3 and G)."""
    missing: dict[int, set[int]] = {}
    position = 2
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None:
            break
        marker, start = found[1][0], found.start()
        position = found.end() if marker in _ALONE else _end(data, start)
        if marker in _SOF:
            missing |= {name: set(range(64)) for name in data[start + 10 : position : 3]}
        elif marker == _SOS:
            first, last, bits = data[position - 3 : position]
            for name in data[start + 5 : position - 3 : 2]:
                missing.get(name, set()).difference_update(() if bits & 15 else range(first, last + 1))
    return bool(missing) and not any(missing.values())


_MAX_PIECES = 100_000
_EXTENSION, _FRAME, _TRAILER = b"!,;"
_GRAPHIC_CONTROL = b"!\xf9"


def strip_gif(data: bytes) -> tuple[bytes, bytes]:
    """The same image without comments before its first frame, and an empty EXIF block (GIF has none).

    Raises:
        InvalidImage: the image ends before its first frame, or has too many pieces before it.
    """
    try:
        return _strip(data), b""
    except IndexError as error:
        raise InvalidImage("The GIF image is truncated.") from error


def _strip(data: bytes) -> bytes:
    position = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    kept = [data[:position]]
    pieces = _MAX_PIECES
    while (block := data[position]) != _FRAME:
        if block == _TRAILER or pieces <= 0:
            raise InvalidImage("The GIF image has no frame, or too many blocks before its first frame.")
        end, pieces = (
            _extension(data, position, pieces) if block == _EXTENSION else (position + 1, pieces - 1)
        )
        if data[position : position + 2] == _GRAPHIC_CONTROL:
            kept.append(data[position:end])
        position = end
    return _with_own_palette(b"".join(kept), data, position)


def _with_own_palette(head: bytes, data: bytes, frame: int) -> bytes:
    """The image with its first frame's own palette as the palette of all; Pillow drops one that is grey."""
    flags, behind = data[frame + 9], frame + 10
    if not flags & 0x80:
        return b"".join((head, memoryview(data)[frame:]))
    length = 3 << (flags & 7) + 1
    extensions = head[13 + (3 << (head[10] & 7) + 1 if head[10] & 0x80 else 0) :]
    start = head[:10] + bytes((head[10] & 0x70 | 0x80 | flags & 7,)) + head[11:13]
    described = data[frame : frame + 9] + bytes((flags & 0x78,))
    palette, rest = data[behind : behind + length], memoryview(data)[behind + length :]
    return b"".join((start, palette, extensions, described, rest))


def _extension(data: bytes, position: int, pieces: int) -> tuple[int, int]:
    """Where an extension block ends, and how many pieces may still follow."""
    end = position + 2
    while (length := data[end]) and pieces > 0:
        end += length + 1
        pieces -= 1
    return end + 1, pieces - 1
