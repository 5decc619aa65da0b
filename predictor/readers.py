"""The text of an environment variable -> the value of a setting; a `ValueError` says what it must be."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_HOST = re.compile(r"\.?[\w-]+(\.[\w-]+)*")


def names(text: str) -> tuple[str, ...]:
    """The parts of a list that commas separate."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


OWN_PATHS = frozenset(
    names("docs,evaluate,healthz,hf,metrics,models,openapi.json,predict,readyz,static,tune,upload,v2")
)
"""What the paths of the service begin with: a prefix that begins so could not be told from them."""


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


def _formats(text: str) -> tuple[str, ...]:
    if not (formats := names(text.upper())):
        raise ValueError("a list of image formats such as JPEG,PNG")
    return formats


def _folder(text: str) -> Path:
    if not text:
        raise ValueError("a folder")
    return Path(text)


def _prefix(text: str) -> str:
    prefix = text.rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("a path that begins with a slash, such as /ml")
    if (first := prefix.split("/")[1:2]) and first[0] in OWN_PATHS:
        raise ValueError(f"a path such as /ml, and /{first[0]} is a path of the service itself")
    return prefix


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
    "prefix": _prefix,
    "workers": _number(int, 1),
    "threads": _number(int, 1),
    "data": _folder,
    "device": _choice(_is_device, "auto, cpu, cuda or cuda:N"),
    "admin_token": _tokens,
    "predict_token": _tokens,
    "trusted_hosts": _hosts,
    "fetch_allow": names,
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
