"""Settings: one frozen value, read once from the environment.

Tests build a `Settings` directly; only the entry points read the environment.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from predictor.errors import ConfigError

PREFIX = "PREDICTOR_"
MEGA = 1_000_000
_HOST = re.compile(r"\.?[\w-]+(\.[\w-]+)*")
BUNDLED_MODEL = Path(__file__).parent / "bundled" / "efficientnet-lite0.onnx"
SHORT_TOKEN = 16
"""A token of fewer characters can be guessed."""


def _setting(default: Any, doc: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"doc": doc})


@dataclass(frozen=True)
class Settings:
    """Everything that can be set from outside; each field is the variable `PREDICTOR_<FIELD>`."""

    bind: str = _setting("127.0.0.1:8080", "Address to listen on.")
    workers: int | None = _setting(None, "Worker processes; by default one for each core, or for each GPU.")
    threads: int = _setting(
        16, "Request threads in each worker, beside those that wait for a picture's turn."
    )
    data: Path = _setting(Path("instance"), "Folder for everything the service writes.")
    device: str = _setting("auto", "`auto`, `cpu`, `cuda` or `cuda:1`.")
    admin_token: str | None = _setting(None, "Bearer token needed to change models.", secret=True)
    predict_token: str | None = _setting(None, "Bearer token needed to predict, if set.", secret=True)
    trusted_hosts: tuple[str, ...] = _setting(
        (), "Names by which the service may be asked; a leading dot takes in all names below."
    )
    fetch_allow: tuple[str, ...] = _setting(
        (), "Hosts or networks, any port, that an image URL may reach although they are not public."
    )
    fetch_seconds: float = _setting(10.0, "Time for the whole of one download, redirects included.")
    cache: str = _setting("on", "`on` (shared by the machine's workers), `off`, or a `redis://` URL.")
    cache_seconds: int = _setting(300, "How long a URL's answer is reused without asking its server again.")
    max_image_mb: float = _setting(20.0, "Largest picture, in megabytes.")
    max_megapixels: float = _setting(50.0, "Largest picture, in millions of pixels.")
    max_model_mb: float = _setting(1024.0, "Largest model file, in megabytes.")
    formats: tuple[str, ...] = _setting(
        ("JPEG", "PNG", "WEBP", "GIF", "BMP"), "Picture formats that are opened at all."
    )
    max_batch: int = _setting(32, "Images in one request, and in one run of the model.")
    max_queue: int = _setting(64, "Images that may wait in a worker; past it, 503.")
    deadline_seconds: float = _setting(
        30.0,
        "A picture that has not begun to run after this time is given up; a request may name less or more.",
    )
    allow_loops: str = _setting(
        "off", "`on` takes models with loops (`Loop`, `Scan`), whose run time no check can foresee."
    )
    run_seconds: float = _setting(30.0, "A native call longer than this ends its worker.")
    log: str = _setting("json", "Log lines as `json` or `text`.")

    @property
    def max_image_bytes(self) -> int:
        """Largest picture in bytes."""
        return int(self.max_image_mb * MEGA)

    @property
    def max_pixels(self) -> int:
        """Largest picture in pixels."""
        return int(self.max_megapixels * MEGA)

    @property
    def max_body_bytes(self) -> int:
        """Largest request body for predictions, in bytes: five of the largest pictures."""
        return 5 * self.max_image_bytes

    @property
    def max_model_bytes(self) -> int:
        """Largest model file in bytes."""
        return int(self.max_model_mb * MEGA)

    @property
    def admin_tokens(self) -> tuple[str, ...]:
        """The tokens of which one is needed to change models; none if no token is set."""
        return _names(self.admin_token or "")

    @property
    def predict_tokens(self) -> tuple[str, ...]:
        """The tokens of which one is needed to predict; none if that needs no token."""
        return _names(self.predict_token or "")

    @property
    def weak(self) -> tuple[str, ...]:
        """The variables of tokens that can be guessed."""
        tokens = {"admin_token": self.admin_tokens, "predict_token": self.predict_tokens}
        return tuple(
            variable(name) for name, given in tokens.items() if any(len(one) < SHORT_TOKEN for one in given)
        )

    @property
    def slots(self) -> int:
        """Pictures that a worker computes at the same time; all workers together use the cores."""
        return max(1, cores() // (self.workers or cores()))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read every `PREDICTOR_*` variable.

        Args:
            environment: the variables; by default those of this process.

        Raises:
            ConfigError: a variable is unknown or its value cannot be used; the message names it.
        """
        given = {
            name: value
            for name, value in (os.environ if environment is None else environment).items()
            if name.startswith(PREFIX)
        }
        known = {variable(name): name for name in _READERS}
        if unknown := sorted(given.keys() - known.keys()):
            raise ConfigError(f"Unknown setting {unknown[0]}; known are {', '.join(sorted(known))}.")
        return cls(**{known[name]: _read(name, _READERS[known[name]], text) for name, text in given.items()})


def cores() -> int:
    """Processor cores that this process may use: by its affinity and its control group's quota."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):
        return allowed


def variable(name: str) -> str:
    """The environment variable of a field of `Settings`."""
    return PREFIX + name.upper()


def _read(name: str, reader: Callable[[str], Any], text: str) -> Any:
    try:
        return reader(text.strip())
    except ValueError as error:
        shown = name if name in _SECRET else f"{name}={text!r}"
        raise ConfigError(f"{shown} cannot be used: it must be {error}.") from error


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
    if text and not _names(text):
        raise ValueError("one token, or several separated by commas")
    return text or None


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _hosts(text: str) -> tuple[str, ...]:
    names = _names(text.lower())
    if not all(_HOST.fullmatch(name) for name in names):
        raise ValueError("host names without ports, such as api.example.com,.example.org")
    return names


def _formats(text: str) -> tuple[str, ...]:
    if not (names := _names(text.upper())):
        raise ValueError("a list of picture formats such as JPEG,PNG")
    return names


def _folder(text: str) -> Path:
    if not text:
        raise ValueError("a folder")
    return Path(text)


def _is_device(text: str) -> bool:
    kind, colon, index = text.partition(":")
    return text in {"auto", "cpu", "cuda"} or (kind == "cuda" and bool(colon) and index.isdecimal())


def _is_bind(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return text.startswith("unix:/") or (bool(host and colon) and port.isdecimal() and int(port) < 65536)


def _is_cache(text: str) -> bool:
    return text in {"on", "off"} or text.startswith(("redis://", "rediss://"))


# What may hold a password is not repeated in an error.
_SECRET = {variable(name) for name in ("cache", "admin_token", "predict_token")}
_READERS: dict[str, Callable[[str], Any]] = {
    "bind": _choice(_is_bind, "host:port or unix:/path"),
    "workers": _number(int, 1),
    "threads": _number(int, 1),
    "data": _folder,
    "device": _choice(_is_device, "auto, cpu, cuda or cuda:N"),
    "admin_token": _tokens,
    "predict_token": _tokens,
    "trusted_hosts": _hosts,
    "fetch_allow": _names,
    "fetch_seconds": _number(float, 0.1),
    "cache": _choice(_is_cache, "on, off or a redis:// URL"),
    "cache_seconds": _number(int, 0),
    "max_image_mb": _number(float, 0.001),
    "max_megapixels": _number(float, 0.001),
    "max_model_mb": _number(float, 0.001),
    "formats": _formats,
    "max_batch": _number(int, 1),
    "max_queue": _number(int, 1),
    "deadline_seconds": _number(float, 0.001),
    "allow_loops": _choice({"on", "off"}.__contains__, "on or off"),
    "run_seconds": _number(float, 0.1),
    "log": _choice({"json", "text"}.__contains__, "json or text"),
}


def documented() -> dict[str, str]:
    """Each environment variable with the sentence that describes it."""
    return {variable(item.name): item.metadata["doc"] for item in dataclasses.fields(Settings)}
