"""AVIF and HEIC: which of the two a file is, and whether the frames of an AVIF suit its image.

Boxes: ISO/IEC 14496-12. Items: ISO/IEC 23008-12.
"""

import re
from collections.abc import Iterator

from predictor.errors import ImageTooLarge, InvalidImage
from predictor.image.av1 import Pieces, work

_CODECS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIF"),
}
# Those that Pillow looks for in front; a file whose other brands say AVIF may have any there.
_IN_FRONT = (b"avif", b"avis")
_MAX_BRANDS_END = 1024
_MAX_PIECES = 10_000
# Colour, alpha, a preview and a gain map, each as large as the image.
_MAX_WORK = 4
_TRUNCATED = "The AVIF image is truncated."
_SIZE = re.compile(rb"ispe\0{4}(.{4})(.{4})", re.DOTALL)


def format_of(data: bytes) -> str | None:
    """AVIF or HEIF, by the first brand that names a codec; None if no brand does."""
    end = min(int.from_bytes(data[:4], "big"), _MAX_BRANDS_END)
    brands = (data[8:12], *(data[place : place + 4] for place in range(16, end - 3, 4)))
    return next((_CODECS[brand] for brand in brands if brand in _CODECS), None)


def strip_avif(data: bytes) -> tuple[bytes, bytes]:
    """The AVIF with the brand in front that its decoder looks for, and an empty EXIF block."""
    if data[8:12] in _IN_FRONT:
        return data, b""
    return b"".join((data[:8], _IN_FRONT[0], memoryview(data)[12:])), b""


def check_size(data: bytes, max_pixels: int) -> None:
    """Refuse an AVIF by the sizes in its boxes; its decoder does not open a large one, nor say why.

    Raises:
        ImageTooLarge: an image in it has more than `max_pixels`.
    """
    for found in _SIZE.finditer(data):
        width, height = (int.from_bytes(side) for side in found.groups())
        if width * height > max_pixels:
            raise ImageTooLarge(
                f"The image has {width} x {height} pixels; at most {max_pixels} pixels are accepted."
            )


def check_frames(data: bytes, max_pixels: int) -> None:
    """Refuse an AVIF whose AV1 frames are larger, or more, than its image needs.

    Raises:
        ImageTooLarge: a frame has more than `max_pixels`, or all together more than four times as many.
        InvalidImage: the boxes are damaged, or very many.
    """
    try:
        pieces = Pieces(_MAX_PIECES)
        works = [work(stream, max_pixels, pieces) for stream in _Boxes(data, pieces).streams()]
    except IndexError as error:
        raise InvalidImage(_TRUNCATED) from error
    if sum(works) > _MAX_WORK * max_pixels:
        raise ImageTooLarge("The frames of the AVIF image have too many pixels.")


def _number(view: memoryview, place: int, width: int) -> int:
    if place + width > len(view):
        raise IndexError
    return int.from_bytes(view[place : place + width], "big")


class _Boxes:
    """Reads where the AV1 streams of a file lie."""

    def __init__(self, data: bytes, pieces: Pieces) -> None:
        self._file = memoryview(data)
        self._pieces = pieces
        self._joined = 0

    def streams(self) -> list[memoryview]:
        """What the decoder of AV1 may be given: items of that codec, and the first sample of each track."""
        found: list[memoryview] = []
        for name, body in self._boxes(self._file):
            if name == b"meta":
                found += self._items(body[4:])
            elif name == b"moov":
                tables = self._inside(body, (b"trak", b"mdia", b"minf", b"stbl"))
                found += map(self._first_sample, tables)
        return found

    def _boxes(self, view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
        """Names and bodies of the boxes that follow one another."""
        place = 0
        while place + 8 <= len(view):
            self._pieces.add()
            size, begin = _number(view, place, 4), 8
            if size == 1:
                size, begin = _number(view, place + 8, 8), 16
            end = place + size if size else len(view)
            if end < place + begin:
                raise InvalidImage("The AVIF image is damaged.")
            yield bytes(view[place + 4 : place + 8]), view[place + begin : end]
            place = end

    def _single(self, view: memoryview, names: tuple[bytes, ...]) -> dict[bytes, memoryview]:
        """The bodies of boxes of which there may be one each; what is not there is empty."""
        found = [(name, body) for name, body in self._boxes(view) if name in names]
        if len(found) > len(dict(found)):
            raise InvalidImage("The AVIF image has a box twice.")
        return dict.fromkeys(names, memoryview(b"")) | dict(found)

    def _inside(self, view: memoryview, path: tuple[bytes, ...]) -> list[memoryview]:
        bodies = [view]
        for wanted in path:
            bodies = [inner for body in bodies for name, inner in self._boxes(body) if name == wanted]
        return bodies

    def _items(self, meta: memoryview) -> list[memoryview]:
        boxes = self._single(meta, (b"iinf", b"iloc", b"idat"))
        coded = set(self._coded_items(boxes[b"iinf"]))
        sources = {0: self._file, 1: boxes[b"idat"]}
        return [
            self._together([sources[source][start : start + length] for start, length in extents])
            for item, source, extents in _Places(boxes[b"iloc"], self._pieces).items()
            if item in coded and source in sources
        ]

    def _together(self, parts: list[memoryview]) -> memoryview:
        """The parts of an item; they are copied, here and by the decoder, if there are several."""
        if len(parts) == 1:
            return parts[0]
        self._joined += sum(map(len, parts))
        if self._joined > 2 * len(self._file):
            raise InvalidImage("The items of the AVIF image overlap.")
        return memoryview(b"".join(parts))

    def _coded_items(self, iinf: memoryview) -> Iterator[int]:
        if not len(iinf):
            return
        for name, body in self._boxes(iinf[6 if iinf[0] == 0 else 8 :]):
            width = 2 if name == b"infe" and body[0] == 2 else 4
            if name == b"infe" and bytes(body[6 + width : 10 + width]) == b"av01":
                yield _number(body, 4, width)

    def _first_sample(self, stbl: memoryview) -> memoryview:
        table = self._single(stbl, (b"stsz", b"stco", b"co64"))
        chunks = [(table[name], width) for name, width in ((b"stco", 4), (b"co64", 8)) if len(table[name])]
        if not len(table[b"stsz"]) or len(chunks) != 1:
            return memoryview(b"")
        start = _number(chunks[0][0], 8, chunks[0][1])
        size = _number(table[b"stsz"], 4, 4) or _number(table[b"stsz"], 12, 4)
        return self._file[start : start + size]


class _Places:
    """Reads the box that says where items lie."""

    def __init__(self, iloc: memoryview, pieces: Pieces) -> None:
        self._view = iloc
        self._pieces = pieces
        self._place = 4

    def _next(self, width: int) -> int:
        self._place += width
        return _number(self._view, self._place - width, width)

    def items(self) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
        """Each item with what its places count from, and these: starts and lengths."""
        if not len(self._view):
            return
        version, sizes = self._view[0], self._next(2)
        wide = 2 if version < 2 else 4
        for _ in range(self._next(wide)):
            item = self._next(wide)
            source = self._next(2) & 15 if version else 0
            self._next(2)
            base = self._next(sizes >> 4 & 15)
            yield item, source, list(self._extents(base, sizes, sizes & 15 if version else 0))

    def _extents(self, base: int, sizes: int, index: int) -> Iterator[tuple[int, int]]:
        for _ in range(self._next(2)):
            self._pieces.add()
            self._next(index)
            start = base + self._next(sizes >> 12)
            yield start, self._next(sizes >> 8 & 15)
