"""Bytes of an image -> upright RGB, within limits.

The format is read from the bytes, only allowed formats reach a parser, and only the first frame
is decoded. Metadata is dropped before decoding, except for the EXIF orientation.
"""

import contextlib
import hashlib
import io
import logging
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import AvifImagePlugin, Image, ImageFile, UnidentifiedImageError

from predictor.config import Settings
from predictor.errors import ImageTooLarge, InvalidImage, UnsupportedImage
from predictor.image import bmp, formats, isobmff, kinds, png, tiff
from predictor.image.resize import Scaled
from predictor.image.rgb import on_black, orientation, to_rgb, to_rgba, upright, without_unused_alpha
from predictor.image_formats import FORMATS, HEIF_INSTALLED

# JPEG, GIF and WebP cannot have a longer side; resizing costs memory in proportion to it.
MAX_SIDE = 65_535
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_SIGNATURES: tuple[tuple[str, int, tuple[bytes, ...]], ...] = (
    ("JPEG", 0, (b"\xff\xd8\xff",)),
    ("PNG", 0, (png.SIGNATURE,)),
    ("GIF", 0, (b"GIF87a", b"GIF89a")),
    ("TIFF", 0, (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ("JPEG2000", 0, (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")),
    ("ICO", 0, (b"\0\0\1\0",)),
    ("PSD", 0, (b"8BPS",)),
    ("EPS", 0, (b"%!PS", b"\xc5\xd0\xd3\xc6")),
    ("FITS", 0, (b"SIMPLE",)),
    ("DDS", 0, (b"DDS ",)),
    ("QOI", 0, (b"qoif",)),
    ("ICNS", 0, (b"icns",)),
)
_SIGNED = {name for name, _, _ in _SIGNATURES} | {"WEBP", "BMP", "AVIF", "HEIF"}
_HEIC_NEEDS = "; the service opens HEIC as well if the package pillow-heif is installed"
_PREPARE: dict[str, Callable[[bytes], tuple[bytes, bytes]]] = {
    "JPEG": formats.strip_jpeg,
    "PNG": png.strip_png,
    "GIF": formats.strip_gif,
    "TIFF": tiff.strip_tiff,
    "AVIF": isobmff.strip_avif,
    "BMP": bmp.prepare,
}
# What Pillow's parsers have been seen to raise, and what their code can raise, on damaged bytes.
_DAMAGED = (
    *(ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, LookupError, MemoryError),
    *(OSError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error, zlib.error),
)
# Each thread checks pixels itself, from the header, against its own limits. Pillow's check reaches
# where that cannot, images inside an icon, but half of it is a warning, and changing the
# warning filters around a call is not safe in threads: so the warning is off, once, for good.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# What is wrong with the tags of a TIFF is nothing for the service's log.
logging.getLogger("PIL.TiffImagePlugin").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
# As many images are decoded at once as there are cores; more threads for one would only take turns.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
if HEIF_INSTALLED:
    import pillow_heif

    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.register_heif_opener(thumbnails=False)


@dataclass(frozen=True)
class Limits:
    """What is opened at all.

    Attributes:
        formats: Pillow's names of the formats that are opened.
        max_pixels: most pixels of an image, width times height.
        max_bytes: most bytes of an encoded image.
    """

    formats: tuple[str, ...] = FORMATS
    max_pixels: int = 50_000_000
    max_bytes: int = 20_000_000

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """The limits that are set."""
        return cls(settings.formats, settings.max_pixels, settings.max_image_bytes)


def sniff(data: bytes) -> str | None:
    """Pillow's name of the format that the first bytes announce, allowed or not; None if none is known."""
    if data.startswith(b"RIFF"):
        return "WEBP" if data[8:12] == b"WEBP" else None
    if data.startswith(b"BM"):
        return "BMP" if int.from_bytes(data[14:18], "little") in _BMP_HEADERS else None
    if data.startswith(b"ftyp", 4):
        return isobmff.format_of(data)
    found = (name for name, offset, marks in _SIGNATURES if data.startswith(marks, offset))
    return next(found, None)


def decode(data: bytes, limits: Limits, shortest: int = 0) -> Image.Image:
    """The pixels that `decode_scaled` gives."""
    return decode_scaled(data, limits, shortest).pixels


def decode_scaled(data: bytes, limits: Limits, shortest: int = 0, *, mode: str = "RGB") -> Scaled:
    """Decode the first frame of an image.

    Args:
        data: the encoded image.
        limits: the formats and sizes that are accepted.
        shortest: the short side, in pixels, that must be left; above 0, a JPEG may come at 1/2, 1/4 or
            1/8 of its size, 0 decodes it whole.
        mode: `RGBA` keeps the transparency, with any other transparent parts become white.

    Returns:
        A loaded image of mode RGB or RGBA, upright by its EXIF orientation.

    Raises:
        UnsupportedImage: the bytes are of no format, or not of an accepted one, or their pixels are of a
            kind that no decoder here knows.
        ImageTooLarge: too many bytes, or by its header too many pixels.
        InvalidImage: empty, truncated or damaged.
    """
    _check_bytes(data, limits)
    name = sniff(data)
    formats = _openable(name, data, limits)
    with _translated(data):
        if name == "BMP":
            # What is compressed is read as a whole, so its size is checked first.
            _open(data, formats, limits)
        prepared, exif = _PREPARE[name](data) if name in _PREPARE else (data, b"")
        image = _open(_ended(prepared, limits) if name == "JPEG" else prepared, formats, limits)
        if name == "AVIF":
            isobmff.check_frames(prepared, limits.max_pixels)
        whole = image.size
        drafted = image.draft(None, (shortest, shortest)) if shortest > 0 else None
        frame = image.tile[0].extents if name == "GIF" else None
        image.load()
        if name == "PNG":
            png.check_rows(prepared, image)
        shown = on_black(image, frame) if frame else without_unused_alpha(image)
        box = (0, 0, *whole) if drafted is None else drafted[1]
        scaled = Scaled(to_rgba(shown) if mode == "RGBA" else to_rgb(shown), whole, box)
        return upright(scaled, orientation(exif or _exif(shown)))


def _check_bytes(data: bytes, limits: Limits) -> None:
    if not data:
        raise InvalidImage("The image is empty; check that the file was written and sent completely.")
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(f"The image has more than {limits.max_bytes} bytes.")


def _openable(name: str | None, data: bytes, limits: Limits) -> tuple[str, ...]:
    """The formats to open the bytes with: the one they announce, or those without a known signature."""
    if name is None:
        names = tuple(other for other in limits.formats if other not in _SIGNED and _is_known(other))
    else:
        names = (name,) if name in limits.formats else ()
    if not names:
        raise _unsupported(data, limits)
    return names


def _unsupported(data: bytes, limits: Limits) -> UnsupportedImage:
    taken = ", ".join(limits.formats)
    more = _HEIC_NEEDS if sniff(data) == "HEIF" and not HEIF_INSTALLED else ""
    return UnsupportedImage(f"{kinds.explain(data)} Send an image of a supported format: {taken}{more}.")


def _is_known(name: str) -> bool:
    Image.init()
    return name in Image.OPEN


def _open(data: bytes, formats: tuple[str, ...], limits: Limits) -> ImageFile.ImageFile:
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, limits.max_pixels)
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError as error:
        if _SIGNED.isdisjoint(formats):
            raise _unsupported(data, limits) from error
        if formats == ("TIFF",):
            raise UnsupportedImage(tiff.OTHER_PIXELS) from error
        if formats == ("AVIF",):
            isobmff.check_size(data, limits.max_pixels)
        raise
    except OSError as error:
        # Where the file ends early, Pillow raises the same class with another text.
        if formats == ("BMP",) and str(error).startswith("Unsupported"):
            raise UnsupportedImage(bmp.OTHER_PIXELS) from error
        raise
    if image.width * image.height > limits.max_pixels or max(image.size) > MAX_SIDE:
        raise ImageTooLarge(
            f"The image has {image.width} x {image.height} pixels; at most {limits.max_pixels} "
            f"pixels and {MAX_SIDE} pixels a side are accepted."
        )
    return image


def _ended(data: bytes, limits: Limits) -> bytes:
    """The JPEG with an end marker; if only that was missing, nothing before it can be part of the pixels."""
    endings = formats.endings(data)
    pixels = (_open(ended, ("JPEG",), limits).tobytes() for ended in endings)
    if len({hashlib.blake2b(one).digest() for one in pixels}) > 1:
        raise InvalidImage("The image is damaged or incomplete.")
    return endings[0] if endings else data


def _exif(image: Image.Image) -> bytes:
    block = image.info.get("exif", b"")
    return block if isinstance(block, bytes) else b""


@contextlib.contextmanager
def _translated(data: bytes) -> Iterator[None]:
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge("The image has too many pixels.") from error
    except _DAMAGED as error:
        decoded = kinds.was_decoded(data)
        raise InvalidImage(kinds.DECODED if decoded else "The image is damaged or incomplete.") from error
