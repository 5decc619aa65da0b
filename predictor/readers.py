"""The text of an environment variable -> the value of a setting; a `ValueError` says what it must be."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEIF_INSTALLED = importlib.util.find_spec("pillow_heif") is not None
"""Whether the optional package is there that opens HEIC and HEIF."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "TIFF", *(("HEIF",) if HEIF_INSTALLED else ()))
"""The image formats that are accepted by default, by Pillow's names."""

_HEIF_NAMES = ("HEIF", "HEIC", "HIF")
_HOST = re.compile(r"\.?[\w-]+(\.[\w-]+)*")
# As the Fetch standard serialises an origin: lower case, no path; a page of no origin (`null`) has no host.
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def names(text: str) -> tuple[str, ...]:
    """The parts of a list that commas separate."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _number(kind: type[int] | type[float], least: float) -> Callable[[str], Any]:
    def read(text: str) -> int | float:
        wanted = f"{'a whole number' if kind is int else 'a number'} of at least {least:g}"
        try:
            value = kind(text)
        except ValueError:
            raise ValueError(wanted) from None
        if not least <= value < float("inf"):
            raise ValueError(wanted)
        return value

    return read


def _choice(accepted: Callable[[str], bool], wanted: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not accepted(text):
            raise ValueError(wanted)
        return text

    return read


def _tokens(text: str) -> str | None:
    # Nothing but separators would leave open what its author meant to close.
    if text and not names(text):
        raise ValueError("one token, or several separated by commas")
    return text or None


def _hosts(text: str) -> tuple[str, ...]:
    hosts = names(text.lower())
    if not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError(
            "host names without ports, separated by commas, such as api.example.com,.example.org"
        )
    return hosts


def _origins(text: str) -> tuple[str, ...]:
    origins = names(text.lower())
    if origins != ("*",) and not all(map(_is_origin, origins)):
        raise ValueError(
            "* alone, or origins with scheme and host, without a path, a slash at the end, a wildcard or a "
            "default port, separated by commas, such as https://app.example,http://localhost:3000"
        )
    return origins


def _is_origin(text: str) -> bool:
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return False
    scheme, port = found[1], found[4] or ":0"
    return port != _DEFAULT_PORTS.get(scheme) and int(port[1:]) < 65536


def _formats(text: str) -> tuple[str, ...]:
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


def _folder(text: str) -> Path:
    if not text:
        raise ValueError("a folder")
    return Path(text)


def _file(text: str) -> Path | None:
    return Path(text) if text else None


def _agent(text: str) -> str | None:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("printable ASCII, such as my-service/1.0 (+https://example.org/contact)")
    return text or None


def _is_device(text: str) -> bool:
    kind, colon, index = text.partition(":")
    return text in {"auto", "cpu", "cuda"} or (kind == "cuda" and bool(colon) and index.isdecimal())


def _is_bind(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return text.startswith("unix:/") or (bool(host and colon) and port.isdecimal() and int(port) < 65536)


def _is_cache(text: str) -> bool:
    return text in {"on", "off"} or text.startswith(("redis://", "rediss://"))


READERS: dict[str, Callable[[str], Any]] = {
    "bind": _choice(_is_bind, "host:port or unix:/path"),
    "workers": _number(int, 1),
    "threads": _number(int, 1),
    "data": _folder,
    "device": _choice(_is_device, "auto, cpu, cuda or cuda:N"),
    "admin_token": _tokens,
    "predict_token": _tokens,
    "trusted_hosts": _hosts,
    "allowed_origins": _origins,
    "fetch_allow": names,
    "fetch_ca": _file,
    "fetch_agent": _agent,
    "fetch_seconds": _number(float, 0.1),
    "cache": _choice(_is_cache, "on, off or a redis:// URL"),
    "cache_seconds": _number(int, 0),
    "max_image_mb": _number(float, 0.001),
    "max_megapixels": _number(float, 0.001),
    "max_model_mb": _number(float, 0.001),
    "jpeg": _choice({"fast", "exact"}.__contains__, "fast or exact"),
    "formats": _formats,
    "max_batch": _number(int, 1),
    "max_queue": _number(int, 1),
    "deadline_seconds": _number(float, 0.001),
    "allow_loops": _choice({"on", "off"}.__contains__, "on or off"),
    "run_seconds": _number(float, 0.1),
    "log": _choice({"json", "text"}.__contains__, "json or text"),
}
"""What reads each field of `Settings`."""
