"""How much an AV1 stream makes its decoder work (AV1 Bitstream & Decoding Process Specification, 5.3 to 5.5).

A decoder allocates what the stream says, which need not be what the file around it says, and it decodes every
frame that comes before the one that is shown.
"""

from collections.abc import Iterator

from predictor.errors import ImageTooLarge, InvalidImage

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6


class Pieces:
    """Counts what a file is made of, so that a flood of small pieces is not walked to its end.

    Args:
        most: pieces that are allowed.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def add(self) -> None:
        """Count one; InvalidImage if there are too many."""
        self._left -= 1
        if self._left < 0:
            raise InvalidImage("The AVIF image has too many boxes or pieces.")


def work(stream: memoryview, max_pixels: int, pieces: Pieces) -> int:
    """The pixels of all frames of an item or a sample together.

    Args:
        stream: its OBUs.
        max_pixels: most pixels of one frame.
        pieces: counts the OBUs.

    Raises:
        ImageTooLarge: a frame has more pixels than allowed.
        IndexError: the stream ends too soon.
    """
    largest = frames = 0
    for kind, body in _units(stream, pieces):
        if kind == _SEQUENCE_HEADER:
            largest = max(largest, _frame_pixels(body, max_pixels))
        frames += kind in (_FRAME_HEADER, _FRAME)
    return largest * frames


def _units(view: memoryview, pieces: Pieces) -> Iterator[tuple[int, memoryview]]:
    place = 0
    while place < len(view):
        pieces.add()
        header = view[place]
        place += 2 if header & 4 else 1
        size = len(view) - place
        if header & 2:
            size, place = _leb128(view, place)
        yield header >> 3 & 15, view[place : place + size]
        place += size


def _leb128(view: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 56, 7):
        byte = view[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
    return value, place


class _Bits:
    """Numbers of so many bits, one after the other."""

    def __init__(self, view: memoryview) -> None:
        self._value, self._left = int.from_bytes(view, "big"), 8 * len(view)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError
        return self._value >> self._left & ((1 << count) - 1)

    def skip_zeros(self) -> None:
        """A number of variable length (4.10.3)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        self.take(zeros if zeros < 32 else 0)


def _frame_pixels(header: memoryview, max_pixels: int) -> int:
    """The most pixels that a frame can have by its sequence header (5.5.1)."""
    bits = _Bits(header[:512])
    bits.take(4)
    still = bits.take(1)
    bits.take(5) if still else _skip_operating_points(bits)
    across, down = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(across) + 1, bits.take(down) + 1
    # A frame may have a size of its own, of as many bits, which encoders choose no larger than they need.
    if width * height > max_pixels or (not still and 1 << across + down > 4 * max_pixels):
        raise ImageTooLarge(f"A frame of the AVIF image has more than {max_pixels} pixels.")
    return width * height


def _skip_operating_points(bits: _Bits) -> None:
    delay = 0
    if bits.take(1):
        bits.take(64)
        if bits.take(1):
            bits.skip_zeros()
        if bits.take(1):
            delay = bits.take(5) + 1
            bits.take(42)
    displayed = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay and bits.take(1):
            bits.take(2 * delay + 1)
        if displayed and bits.take(1):
            bits.take(4)
