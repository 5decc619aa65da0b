"""TIFF and AVIF files by hand, so that what they say of themselves may be wrong."""

import struct
from typing import Any


def tiff(
    tags: dict[int, tuple[int, Any]],
    parts: list[bytes],
    *,
    order: str = "<",
    front: bool = True,
    tiled: bool = False,
    keep: bool = False,
    following: int = 0,
) -> bytes:
    """A TIFF by hand.

    Args:
        tags: type and values of each tag.
        parts: strips or tiles.
        order: `<` or `>`.
        front: whether the directory comes before the parts.
        tiled: whether the parts are tiles.
        keep: whether the tags hold against the parts' places and sizes, too.
        following: where the next directory is.
    """
    codes = {1: "B", 2: "B", 3: "H", 4: "L", 7: "B", 9: "B"}
    places, sizes = (324, 325) if tiled else (273, 279)
    made = {places: (4, [0] * len(parts)), sizes: (4, [len(part) for part in parts])}
    tags = made | tags if keep else tags | made
    length = 2 + 12 * len(tags) + 4
    start = 8 + (0 if front else sum(map(len, parts)))
    data = 8 if not front else start + length + sum(_out_of_line(*one) for one in tags.values())
    starts = [data + sum(map(len, parts[:number])) for number in range(len(parts))]
    if tags[places] == made[places]:
        tags[places] = (4, starts)
    entries, values = b"", b""
    for number, (kind, given) in sorted(tags.items()):
        body = given if isinstance(given, bytes) else struct.pack(f"{order}{len(given)}{codes[kind]}", *given)
        count = len(body) // (4 if kind == 9 else struct.calcsize("<" + codes[kind]))
        entries += struct.pack(order + "HHL", number, kind, count)
        entries += (
            body.ljust(4, b"\0") if len(body) <= 4 else struct.pack(order + "L", start + length + len(values))
        )
        values += body if len(body) > 4 else b""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "L", following) + values
    body = b"".join((directory, *parts) if front else (*parts, directory))
    return mark + struct.pack(order + "L", start) + body


def _out_of_line(kind: int, given: Any) -> int:
    size = len(given) if isinstance(given, bytes) else len(given) * {3: 2, 4: 4}.get(kind, 1)
    return size if size > 4 else 0


def box(name: bytes, *bodies: bytes, full: int | None = None) -> bytes:
    """A box of ISO/IEC 14496-12, with a version if it is a full one."""
    body = (b"" if full is None else struct.pack(">L", full << 24)) + b"".join(bodies)
    return struct.pack(">L4s", 8 + len(body), name) + body


def stream_of(avif: bytes) -> bytes:
    """The AV1 stream of a still image that Pillow wrote."""
    return avif[avif.index(b"mdat") + 4 :]


def with_frames(stream: bytes, count: int) -> bytes:
    """The stream of a still image with its frame so many times, behind its first two units."""
    start = 4 + stream[3]
    return stream[:start] + stream[start:] * count


def avif(
    stream: bytes,
    size: tuple[int, int],
    *,
    brands: bytes = b"avif\0\0\0\0avifmif1miaf",
    extents: list[tuple[int, int]] | None = None,
    inside: bool = False,
) -> bytes:
    """An AVIF of one item.

    Args:
        stream: its OBUs.
        size: width and height that the file claims.
        brands: the body of its first box.
        extents: starts within the stream, and lengths; by default all of it.
        inside: whether the stream lies in a box of the metadata.
    """
    ftyp = box(b"ftyp", brands)
    properties = box(
        b"ipco",
        box(b"ispe", struct.pack(">LL", *size), full=0),
        box(b"pixi", b"\3\x08\x08\x08", full=0),
        box(b"av1C", b"\x81\0\x0c\0"),
    )
    uses = box(b"ipma", struct.pack(">LHB3B", 1, 1, 3, 1, 2, 0x83), full=0)
    item = box(b"infe", struct.pack(">HH4sB", 1, 0, b"av01", 0), full=2)

    def meta(start: int) -> bytes:
        places = [(start + first, length) for first, length in extents or [(0, len(stream))]]
        iloc = struct.pack(">BBHHHHH", 0x44, 0, 1, 1, int(inside), 0, len(places))
        return box(
            b"meta",
            box(b"hdlr", bytes(4) + b"pict" + bytes(13), full=0),
            box(b"pitm", struct.pack(">H", 1), full=0),
            box(b"iloc", iloc, *(struct.pack(">LL", *place) for place in places), full=1),
            box(b"iinf", struct.pack(">H", 1), item, full=0),
            box(b"iprp", properties, uses),
            *([box(b"idat", stream)] if inside else []),
            full=0,
        )

    if inside:
        return ftyp + meta(0)
    return ftyp + meta(len(ftyp) + len(meta(0)) + 8) + box(b"mdat", stream)
