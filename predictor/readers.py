"""The text of an environment variable -> the value of a setting; a `ValueError` says what it must be."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from predictor import image_formats
from predictor.host_readers import bind, hosts, names, origins

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_TOKENS = "one token, or several separated by commas, without quotation marks, such as Jq3vT8-example_f0xW2m"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_MACHINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_URL = (
    "the URL of a bucket without credentials, such as s3://bucket/prefix, gs://bucket/prefix, "
    "az://container/prefix or file:///srv/models; credentials come from the variables of each cloud, such as "
    "AWS_ACCESS_KEY_ID"
)


OWN_PATHS = frozenset(
    names(
        "compare,docs,evaluate,explain,favicon.ico,healthz,hf,metrics,models,openapi.json,predict,readyz,static,"
        "tune,upload,v2"
    )
)
"""What the paths of the service begin with: a prefix that begins so could not be told from them."""


def _number(kind: type[int] | type[float], least: float, most: float, example: float) -> Callable[[str], Any]:
    name = "a whole number" if kind is int else "a number"
    wanted = f"{name} from {least:g} to {most:.12g}, such as {example:g}"

    def read(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            raise ValueError(wanted) from None
        if not least <= value <= most:
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
    # Nothing but separators would leave open what its author meant to close. Quotation marks that a file of
    # variables keeps would become a part of the token, and a control character cannot be sent in a header.
    if text and not names(text):
        raise ValueError(_TOKENS)
    if not text.isprintable() or any(token[0] in "'\"" and token[-1] in "'\"" for token in names(text)):
        raise ValueError(_TOKENS)
    return text or None


def _folder(text: str) -> Path:
    if not text:
        raise ValueError("a folder, such as /var/lib/image-prediction-api")
    return _path(text)


def _file(text: str) -> Path | None:
    return _path(text) if text else None


def _path(text: str) -> Path:
    if text.startswith("~"):
        raise ValueError(
            "a path without ~, which only a shell replaces, such as /var/lib/image-prediction-api"
        )
    return Path(text)


def _agent(text: str) -> str | None:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("printable ASCII, such as my-service/1.0 (+https://example.org/contact)")
    return text or None


def _prefix(text: str) -> str | None:
    prefix = text.rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("a path that begins with a slash, such as /ml")
    if (first := prefix.split("/")[1:2]) and first[0] in OWN_PATHS:
        raise ValueError(f"a path such as /ml, and /{first[0]} is a path of the service itself")
    return prefix or None


def _level(text: str) -> str:
    if (level := text.lower()) not in {"debug", "info", "warning", "error"}:
        raise ValueError("debug, info, warning or error, such as warning")
    return level


def _is_device(text: str) -> bool:
    kind, colon, index = text.partition(":")
    return text in {"auto", "cpu", "cuda"} or (kind == "cuda" and bool(colon) and index.isdecimal())


def _cache(text: str) -> str:
    if text not in {"on", "off"} and not _is_redis(text):
        raise ValueError("on, off or the URL of a Redis database, such as redis://cache.internal:6379/0")
    return text


def _is_redis(text: str) -> bool:
    """Whether the client of Redis can use a URL; nothing is connected."""
    if not text.startswith(("redis://", "rediss://")):
        return False
    from redis import ConnectionPool, RedisError

    try:
        ConnectionPool.from_url(text).make_connection()
        url = urlsplit(text)
        return bool(url.hostname) and (url.path.strip("/").isdecimal() or url.path in {"", "/"})
    except (ValueError, TypeError, RedisError):
        return False


def _store_url(text: str) -> str | None:
    if not text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(_URL) from None
    # Without a slash at its beginning a path would have to be relative to a folder, and nothing says which.
    local = (
        parts.scheme == "file" and not parts.netloc and parts.path.startswith("/") and parts.path.strip("/")
    )
    remote = parts.scheme in {"s3", "gs", "az"} and _BUCKET.fullmatch(parts.netloc)
    if not (local or remote) or parts.query or parts.fragment or not text.isprintable():
        raise ValueError(_URL)
    if importlib.util.find_spec("obstore") is None:
        raise ValueError(
            "left out, or the package obstore installed (pip install obstore, which is the extra cluster)"
        )
    return text


def _machine(text: str) -> str | None:
    if text and not _MACHINE.fullmatch(text):
        raise ValueError(
            "a name that no other machine has, of up to 63 letters, digits, dots, hyphens or underscores, "
            "such as web-1"
        )
    return text or None


READERS: dict[str, Callable[[str], Any]] = {
    "bind": bind,
    "prefix": _prefix,
    "workers": _number(int, 1, 512, 4),
    "threads": _number(int, 1, 1000, 16),
    "data": _folder,
    "device": _choice(_is_device, "auto, cpu, cuda or one GPU, such as cuda:1"),
    "admin_token": _tokens,
    "predict_token": _tokens,
    "trusted_hosts": hosts,
    "allowed_origins": origins,
    "fetch_allow": names,
    "fetch_ca": _file,
    "fetch_agent": _agent,
    "fetch_seconds": _number(float, 0.1, 3600, 10),
    "pull_seconds": _number(float, 1, 86_400, 600),
    "signing_key": _file,
    "cache": _cache,
    "cache_seconds": _number(int, 0, 31_536_000, 300),
    "store": _store_url,
    "store_seconds": _number(float, 0.05, 60, 1),
    "store_lag": _choice({"serve", "unready"}.__contains__, "serve or unready"),
    "machine": _machine,
    "max_image_mb": _number(float, 0.001, 1000, 20),
    "max_megapixels": _number(float, 0.001, 1000, 50),
    "max_model_mb": _number(float, 0.001, 1_000_000, 1024),
    "jpeg": _choice({"fast", "exact"}.__contains__, "fast or exact"),
    "formats": image_formats.chosen,
    "max_batch": _number(int, 1, 1024, 32),
    "max_queue": _number(int, 1, 10_000, 64),
    "deadline_seconds": _number(float, 0.001, 3600, 30),
    "allow_loops": _choice({"on", "off"}.__contains__, "on or off"),
    "run_seconds": _number(float, 0.1, 3600, 30),
    "log": _choice({"json", "text"}.__contains__, "json or text"),
    "log_level": _level,
}
"""What reads each field of `Settings`."""
