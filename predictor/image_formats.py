"""The image formats that the service can be told to open, by Pillow's names."""

import importlib.util
import re

HEIF_INSTALLED = importlib.util.find_spec("pillow_heif") is not None
"""Whether the optional package is there that opens HEIC and HEIF."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "TIFF", *(("HEIF",) if HEIF_INSTALLED else ()))
"""The image formats that are accepted by default, by Pillow's names."""

_HEIF_NAMES = ("HEIF", "HEIC", "HIF")


def chosen(text: str) -> tuple[str, ...]:
    """The formats of a list, by Pillow's names.

    Raises:
        ValueError: one cannot be opened; it says what the list must be.
    """
    named = [part.lstrip(".") for part in re.split(r"[\s,;]+", text.upper()) if part]
    if not named:
        raise ValueError("a list of image formats such as JPEG,PNG")
    return tuple(dict.fromkeys(_format(name) for name in named))


def _format(name: str) -> str:
    """Pillow's name of a format, which may be given by what its files' names end in."""
    # The plugins of all formats take a moment to load; the usual formats need none of them.
    from PIL import Image

    if name in _HEIF_NAMES:
        if HEIF_INSTALLED:
            return "HEIF"
        raise ValueError(
            f"a list of formats that can be opened; {name} needs pillow-heif (pip install pillow-heif)"
        )
    if name == "MPO":  # A JPEG with more images behind the first, of which only the first is opened.
        return "JPEG"
    if name in FORMATS:
        return name
    Image.init()
    found = name if name in Image.OPEN else Image.registered_extensions().get(f".{name.lower()}", "")
    if found not in Image.OPEN:
        raise ValueError(
            f"a list of image formats such as JPEG,PNG; {name[:20]} is not one that can be opened"
        )
    return found
