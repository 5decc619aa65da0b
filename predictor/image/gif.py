"""GIF's block structure (GIF89a specification): what is read before a decoder sees the bytes.

Comments and application blocks may be millions of tiny pieces; only the block that holds the
transparent colour, which comes before the first frame, matters to its pixels.
"""

from predictor.errors import InvalidImage

_MAX_PIECES = 100_000
_EXTENSION, _FRAME, _TRAILER = b"!,;"
_GRAPHIC_CONTROL = b"!\xf9"


def strip(data: bytes) -> tuple[bytes, bytes]:
    """The same picture without comments before its first frame, and an empty EXIF block (GIF has none).

    Raises:
        InvalidImage: the picture ends before its first frame, or has too many pieces before it.
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
    return b"".join((*kept, memoryview(data)[position:]))


def _extension(data: bytes, position: int, pieces: int) -> tuple[int, int]:
    """Where an extension block ends, and how many pieces may still follow."""
    end = position + 2
    while (length := data[end]) and pieces > 0:
        end += length + 1
        pieces -= 1
    return end + 1, pieces - 1
