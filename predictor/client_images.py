"""What the client takes as an image -> the bytes of a file, without loss."""

import errno
import io
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

_HELD = ("1", "L", "LA", "I;16", "I;16B", "P", "RGB", "RGBA")
"""The modes of Pillow that PNG holds."""
_CHANNELS = ((), (3,), (4,))
"""The last axes of an array: none of a grey one."""
_WITH_ALPHA = {"PA": "RGBA", "RGBa": "RGBA", "La": "LA"}
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
    7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip
"""What turns the top of an image up, by its EXIF orientation."""
_TYPES = (
    "An image is a path, a URL, bytes, a PIL.Image.Image, or a numpy array of uint8 of the shape "
    "(height, width), (height, width, 3) or (height, width, 4)."
)


def encoded(image: Any) -> bytes:
    """The bytes of an image file.

    Raises:
        OSError: a file cannot be read.
        TypeError: the image has another type.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | Path):
        size_of(path := Path(image))
        return path.read_bytes()
    from PIL import Image as Pillow

    if hasattr(image, "__array_interface__") and not isinstance(image, Pillow.Image):
        # Pillow takes one axis, such as a file's bytes, for a column, and two channels for grey and alpha.
        shape = image.__array_interface__["shape"]
        if not shape[1:] or shape[2:] not in _CHANNELS:
            raise TypeError(_TYPES)
        try:
            image = Pillow.fromarray(image)
        except (TypeError, ValueError) as error:
            raise TypeError(_TYPES) from error
        # Signed numbers: nothing says whether they are 0 to 255 or 0 to 65535.
        if image.mode == "I":
            raise TypeError(_TYPES)
    if not isinstance(image, Pillow.Image) or not all(image.size):
        raise TypeError(_TYPES)
    return _png(image)


def size_of(path: Path) -> int:
    """The bytes of a regular file.

    Raises:
        OSError: there is no such file, or it is a folder, a pipe or a device, whose end may never come.
    """
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(
            errno.EISDIR, "This is a folder; send its files, or a ZIP file of it", str(path)
        )
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "This is a pipe or a device, not a regular file", str(path))
    return found.st_size


def _upright(image: "Image") -> "Image":
    """The image as its file is seen, for PNG is written without EXIF.

    `ImageOps.exif_transpose` writes the other entries again, and fails where one of them is damaged.
    """
    from PIL.Image import Transpose

    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    return image if turn is None else image.transpose(Transpose[turn])


def _png(image: "Image") -> bytes:
    out = io.BytesIO()
    image = _upright(image)
    if image.mode in _HELD:
        image.save(out, "PNG", compress_level=1)
    else:
        # The colour profile of a file in CMYK, for one, is not that of the pixels that are sent.
        _converted(image).save(out, "PNG", compress_level=1, icc_profile=None)
    return out.getvalue()


def _converted(image: "Image") -> "Image":
    """The image in a mode that PNG holds, with the pixels that the service makes of a file in its mode."""
    if image.mode.startswith("I"):
        return image.convert("I").convert("I;16")
    if image.mode == "F":
        return _grey(image)
    return image.convert(_WITH_ALPHA.get(image.mode, "RGB"))


def _grey(image: "Image") -> "Image":
    """Floating-point grey is 0 to 1 if it stays inside, else 0 to 255."""
    low, high = image.getextrema()
    factor = 255.0 if low >= 0 and high <= 1 else 1.0  # type: ignore[operator]
    return image.point(lambda value: value * factor + 0.5).convert("L")
