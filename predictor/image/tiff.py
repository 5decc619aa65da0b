"""The first page of a TIFF with nothing but what makes its pixels (TIFF 6.0; BigTIFF).

A decoder that gets the file as it is would read tags of any length, tables of parts that no image has, and
tiles far larger than the image.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product, zip_longest

from predictor.errors import ImageTooLarge, InvalidImage, UnsupportedImage

OTHER_PIXELS = (
    "The TIFF image has pixels of a kind that is not supported; save it as RGB or grey, of 8 or 16 bits."
)
"""What is wrong if the tags are whole, but no decoder knows what they describe."""

_MAX_TAGS = 4096
# A row for each of 65 535, in six planes.
_MAX_PARTS = 400_000
# A palette of 16 bits has 3 * 65536 values.
_MAX_VALUES = 3 << 16
# Tiles may reach over the edges; this much more than twice the image is decoded at most.
_MARGIN = 1 << 24
_WIDTH, _HEIGHT, _COMPRESSION, _SAMPLES, _PLANAR = 256, 257, 259, 277, 284
_STRIPS, _ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_LAYOUT = {*(_WIDTH, _HEIGHT, _COMPRESSION, _SAMPLES, _PLANAR, _ROWS, _TILE_WIDTH, _TILE_HEIGHT)}
_BITS, _PHOTOMETRIC = 258, 262
_PLAIN, _YCBCR = 1, 6
# No decoder here knows larger pixels, and says so.
_MOST_BITS = 128
_SEPARATE = 2
_PARTS = (_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES)
# Bits, colours, orientation, predictor, options of CCITT, palette, kinds of samples, JPEG tables, YCbCr.
_KEPT = frozenset(
    (
        *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, 266, 274, _SAMPLES, _ROWS, _PLANAR, *_PARTS),
        *(292, 293, 317, 320, _TILE_WIDTH, _TILE_HEIGHT, 332, 338, 339, 347),
        *range(512, 522),
        *range(529, 533),
    )
)
# None, CCITT (three), LZW, JPEG (old and new), Deflate, PackBits, Deflate by its old number, Zstandard.
_COMPRESSIONS = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 50000))
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_WHOLE = {1: "B", 3: "H", 4: "L", 16: "Q"}


def strip_tiff(data: bytes) -> tuple[bytes, bytes]:
    """A TIFF of the first page alone, and an empty EXIF block: its decoder turns it upright itself.

    Raises:
        InvalidImage: the page is damaged or incomplete.
        ImageTooLarge: its tiles have far more pixels than it has.
        UnsupportedImage: it is compressed by a method that hardly any file uses.
    """
    try:
        file = _File(data)
        tags = file.first_page()
    except struct.error as error:
        raise InvalidImage("The TIFF image is truncated.") from error
    _check(file, tags)
    return file.only(tags), b""


@dataclass(frozen=True)
class _Tag:
    """A tag, with the bytes of its entry and of its values."""

    entry: bytes
    kind: int
    values: memoryview


class _File:
    """A TIFF as it was sent."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.order = "<" if data.startswith(b"II") else ">"
        self._big = b"+" in data[2:4]
        self._offset, self._count = ("Q", "Q") if self._big else ("L", "H")

    def first_page(self) -> dict[int, _Tag]:
        """What is kept of the tags of the first page; of equal ones the first."""
        (start,) = struct.unpack_from(self.order + self._offset, self._data, 8 if self._big else 4)
        (count,) = struct.unpack_from(self.order + self._count, self._data, start)
        if count > _MAX_TAGS:
            raise InvalidImage("The TIFF image has too many tags.")
        start += struct.calcsize(self.order + self._count)
        length = 20 if self._big else 12
        tags: dict[int, _Tag] = {}
        for place in range(start, start + count * length, length):
            number, kind, values = struct.unpack_from(self.order + "HH" + self._offset, self._data, place)
            if number in _KEPT and number not in tags and kind in _SIZES:
                tags[number] = self._tag(place, length, kind, values)
        return tags

    def _tag(self, place: int, length: int, kind: int, count: int) -> _Tag:
        width = struct.calcsize(self.order + self._offset)
        size, start = count * _SIZES[kind], place + length - width
        if size > width:
            (start,) = struct.unpack_from(self.order + self._offset, self._data, start)
        if start + size > len(self._data) or place + length > len(self._data):
            raise InvalidImage("The TIFF image is truncated.")
        return _Tag(self._data[place : place + length], kind, memoryview(self._data)[start : start + size])

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self._data)

    def values(self, tag: _Tag | None) -> tuple[int, ...]:
        """The values of a tag of whole numbers; none of another."""
        if tag is None or tag.kind not in _WHOLE:
            return ()
        count = len(tag.values) // _SIZES[tag.kind]
        return struct.unpack(f"{self.order}{count}{_WHOLE[tag.kind]}", tag.values)

    def only(self, tags: dict[int, _Tag]) -> bytes:
        """The file with a directory of these tags instead of its own, and no page behind it."""
        header = 8 if self._big else 4
        filling = bytes(-len(self._data) % 8)
        start = struct.pack(self.order + self._offset, len(self._data) + len(filling))
        entries = b"".join(tags[number].entry for number in sorted(tags))
        count = struct.pack(self.order + self._count, len(tags))
        rest = memoryview(self._data)[header + len(start) :]
        return b"".join((self._data[:header], start, rest, filling, count, entries, bytes(len(start))))


def _first_values(file: _File, tags: dict[int, _Tag]) -> dict[int, int]:
    """The first value of each tag that says how the pixels lie."""
    try:
        return {
            number: int(struct.unpack_from(file.order + _WHOLE[tags[number].kind], tags[number].values)[0])
            for number in _LAYOUT & tags.keys()
        }
    except (KeyError, struct.error) as error:
        raise InvalidImage("A tag of the TIFF image is of the wrong type.") from error


def _check(file: _File, tags: dict[int, _Tag]) -> None:
    values = _first_values(file, tags)
    if values.get(_COMPRESSION, 1) not in _COMPRESSIONS:
        raise UnsupportedImage(
            "The TIFF image is compressed by a method that is not supported; save it with LZW or Deflate."
        )
    tiled = _TILE_WIDTH in values or _TILE_HEIGHT in values
    width, height = values.get(_WIDTH, 0), values.get(_HEIGHT, 0)
    across = values.get(_TILE_WIDTH, 0) if tiled else width
    down = values.get(_TILE_HEIGHT, 0) if tiled else min(height, values.get(_ROWS, height))
    if not across or not down:
        raise InvalidImage("The TIFF image has no size.")
    columns, rows = -(-width // across), -(-height // down)
    if columns * across * rows * down > 2 * width * height + _MARGIN:
        raise ImageTooLarge("The tiles of the TIFF image have too many pixels.")
    planes = values.get(_SAMPLES, 1) if values.get(_PLANAR) == _SEPARATE else 1
    _check_parts(tags, min(columns * rows * planes, _MAX_PARTS))
    if values.get(_COMPRESSION, 1) != _PLAIN:
        _check_ends(file, tags)
    elif columns * rows * planes <= _MAX_PARTS and file.values(tags.get(_PHOTOMETRIC)) != (_YCBCR,):
        _check_plain(file, tags, _Grid(width, height, across, down, planes))


def _check_parts(tags: dict[int, _Tag], parts: int) -> None:
    for number, tag in tags.items():
        most = parts if number in _PARTS else _MAX_VALUES
        if len(tag.values) > most * _SIZES[tag.kind]:
            raise InvalidImage("The TIFF image has more strips, tiles or values than its size needs.")


@dataclass(frozen=True)
class _Grid:
    """The strips or tiles of an image, in pixels; those at its edges may reach over them."""

    width: int
    height: int
    across: int
    down: int
    planes: int

    def bytes_of(self, bits: int) -> Iterator[int]:
        """The bytes that each part needs at so many bits for a pixel, in the order of the parts."""
        stride = -(-self.across * bits // 8)
        rows = [min(self.down, self.height - top) for top in range(0, self.height, self.down)]
        columns = [min(self.across, self.width - left) for left in range(0, self.width, self.across)]
        for _, down, across in product(range(self.planes), rows, columns):
            yield (down - 1) * stride + -(-across * bits // 8)


def _check_plain(file: _File, tags: dict[int, _Tag], grid: _Grid) -> None:
    """Refuse pixels that are not compressed and not all there: what follows would be taken for them."""
    bits, starts = file.values(tags.get(_BITS)) or (1,), file.values(tags.get(_STRIPS) or tags.get(_TILES))
    samples = (file.values(tags.get(_SAMPLES)) or (1,))[0] if grid.planes == 1 else 1
    pixel = sum(bits) if len(bits) == samples else bits[0] * samples
    if pixel > _MOST_BITS:
        return
    needed = grid.bytes_of(pixel)
    ends = [
        start + size if start else file.size + 1 for start, size in zip_longest(starts, needed, fillvalue=0)
    ]
    if max(ends, default=file.size + 1) > file.size:
        raise InvalidImage("The TIFF image is truncated.")


def _check_ends(file: _File, tags: dict[int, _Tag]) -> None:
    """Refuse compressed parts that end behind the file: a decoder may fill up what is missing."""
    for starts, lengths in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        ends = map(sum, zip(file.values(tags.get(starts)), file.values(tags.get(lengths)), strict=False))
        if max(ends, default=0) > file.size:
            raise InvalidImage("The TIFF image is truncated.")
