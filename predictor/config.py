"""Settings: one frozen value, read once from the environment.

Tests build a `Settings` directly; only the entry points read the environment.
"""

import dataclasses
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from predictor import environment as variables
from predictor.cores import cores
from predictor.environment import PREFIX
from predictor.errors import ConfigError
from predictor.host_readers import names
from predictor.image_formats import FORMATS
from predictor.readers import READERS

MEGA = 1_000_000
BUNDLED_MODEL = Path(__file__).parent / "bundled" / "efficientnet-lite0.onnx"
# Of the formats whose media type is not called as the format is.
_MEDIA_TYPES = {
    "HEIF": ("image/heic", "image/heif"),
    "JPEG2000": ("image/jp2",),
    "ICO": ("image/vnd.microsoft.icon", "image/x-icon"),
    "PPM": ("image/x-portable-anymap",),
    "TGA": ("image/x-tga",),
}
SHORT_TOKEN = 16
"""A token of fewer characters can be guessed."""


def _setting(default: Any, doc: str, *, secret: bool = False, unset: str = "none") -> Any:
    """A field; `unset` says in words what holds where the default is no value."""
    return field(default=default, repr=not secret, metadata={"doc": doc, "unset": unset})


@dataclass(frozen=True)
class Settings:
    """Everything that can be set from outside; each field is the variable `PREDICTOR_<FIELD>`."""

    bind: str = _setting("127.0.0.1:8080", "Address to listen on, `host:port` or `unix:/path`.")
    prefix: str | None = _setting(
        None, "Path prefix under which a proxy publishes the service, such as `/ml`."
    )
    workers: int | None = _setting(
        None, "Worker processes; by default one per core, or one per GPU.", unset="by device and cores"
    )
    threads: int = _setting(
        16, "Request threads in each worker, besides one for each image that may be queued."
    )
    data: Path = _setting(Path("instance"), "Folder for all files that the service writes.")
    device: str = _setting("auto", "Device that runs the model: `auto`, `cpu`, `cuda` or `cuda:1`.")
    admin_token: str | None = _setting(None, "Bearer token required to change models.", secret=True)
    predict_token: str | None = _setting(
        None, "Bearer token required to predict, if set; the admin token does, too.", secret=True
    )
    trusted_hosts: tuple[str, ...] = _setting(
        (), "Allowed `Host` headers; `.example.com` also matches subdomains."
    )
    allowed_origins: tuple[str, ...] = _setting(
        (), "Origins whose pages may predict from a browser (CORS), or `*` for any."
    )
    fetch_allow: tuple[str, ...] = _setting(
        (), "Hosts or networks that an image URL may reach on any port although they are not public."
    )
    fetch_ca: Path | None = _setting(
        None, "PEM file of certificate authorities that downloads trust besides the public ones."
    )
    fetch_agent: str | None = _setting(
        None, "The `User-Agent` of downloads, with a way to contact you.", unset="name and version"
    )
    fetch_seconds: float = _setting(10.0, "Maximum time of a download in seconds, redirects included.")
    pull_seconds: float = _setting(
        600.0, "Maximum time to download a model from its source in seconds, all files together."
    )
    signing_key: Path | None = _setting(
        None, "Public key (PEM) with which each uploaded model must be signed (OpenSSF Model Signing)."
    )
    cache: str = _setting(
        "on", "Cache of answers: `on` (shared by the workers of this machine), `off`, or a `redis://` URL."
    )
    cache_seconds: int = _setting(
        300, "Maximum seconds for which the answer for a URL is reused without another request to its server."
    )
    store: str | None = _setting(
        None, "URL of the bucket by which several machines share models and change together."
    )
    store_seconds: float = _setting(1.0, "Seconds between two looks at the store for changes.")
    store_lag: str = _setting(
        "serve",
        "`unready` has `/readyz` answer 503 while the store does not answer or is faulty; `serve` does not.",
    )
    machine: str | None = _setting(
        None, "Name of this machine, which no other has.", unset="host name and a random part"
    )
    max_image_mb: float = _setting(20.0, "Maximum size of an image in megabytes.")
    max_megapixels: float = _setting(50.0, "Maximum size of an image in millions of pixels.")
    max_model_mb: float = _setting(1024.0, "Maximum size of the files of a model together, in megabytes.")
    jpeg: str = _setting(
        "fast", "How JPEGs are decoded: `fast` (large ones at a fraction of their size) or `exact` (whole)."
    )
    formats: tuple[str, ...] = _setting(FORMATS, "Image formats that are accepted.")
    max_batch: int = _setting(32, "Maximum number of images in one request, and in one batch of the model.")
    max_queue: int = _setting(64, "Maximum number of images in a worker's queue; further images get 503.")
    deadline_seconds: float = _setting(
        30.0,
        "Seconds after which an image is refused if its run has not begun; a request may set its own.",
    )
    allow_loops: str = _setting(
        "off", "`on` accepts models with loops (`Loop`, `Scan`), whose run time no check can predict."
    )
    run_seconds: float = _setting(
        30.0, "Maximum seconds of one native call, such as a run of the model; a longer one ends its worker."
    )
    log: str | None = _setting(
        None, "Format of log lines: `json` or `text`.", unset="text on a terminal, else json"
    )
    log_level: str = _setting("info", "Least level that is logged: `debug`, `info`, `warning` or `error`.")

    @property
    def max_image_bytes(self) -> int:
        """Maximum size of an image in bytes."""
        return int(self.max_image_mb * MEGA)

    @property
    def max_pixels(self) -> int:
        """Maximum size of an image in pixels."""
        return int(self.max_megapixels * MEGA)

    @property
    def media_types(self) -> tuple[str, ...]:
        """The media types of the accepted formats."""
        return tuple(
            itertools.chain.from_iterable(_MEDIA_TYPES.get(n, (f"image/{n.lower()}",)) for n in self.formats)
        )

    @property
    def max_body_bytes(self) -> int:
        """Largest request body for predictions, in bytes: five images of maximum size."""
        return 5 * self.max_image_bytes

    @property
    def max_model_bytes(self) -> int:
        """Largest model file in bytes."""
        return int(self.max_model_mb * MEGA)

    @property
    def admin_tokens(self) -> tuple[str, ...]:
        """The tokens of which one is needed to change models; none if no token is set."""
        return names(self.admin_token or "")

    @property
    def predict_tokens(self) -> tuple[str, ...]:
        """The tokens that may predict, the admin tokens among them; none if everybody may."""
        own = names(self.predict_token or "")
        return (*own, *self.admin_tokens) if own else ()

    @property
    def weak(self) -> tuple[str, ...]:
        """The variables of tokens that can be guessed."""
        tokens = {"admin_token": self.admin_tokens, "predict_token": names(self.predict_token or "")}
        return tuple(
            variable(name) for name, given in tokens.items() if any(len(one) < SHORT_TOKEN for one in given)
        )

    @property
    def concurrency(self) -> int:
        """Images that a worker computes at the same time; all workers together use the cores."""
        return max(1, cores() // (self.workers or cores()))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read every `PREDICTOR_*` variable.

        Args:
            environment: the variables; by default those of this process.

        Raises:
            ConfigError: a variable is unknown or its value cannot be used; the sentence names it, and what it
                must be, with an example.
        """
        known = {variable(name): name for name in READERS}
        given = variables.given(os.environ if environment is None else environment, known)
        return cls(**{known[name]: _read(name, READERS[known[name]], text) for name, text in given.items()})


def variable(name: str) -> str:
    """The environment variable of a field of `Settings`."""
    return PREFIX + name.upper()


def _read(name: str, reader: Callable[[str], Any], text: str) -> Any:
    try:
        return reader(_bare(text.strip()))
    except ValueError as error:
        shown = name if name in _SECRET else f"{name}={text[:_SHOWN]!r}"
        raise ConfigError(f"{shown} cannot be used: it must be {error}.") from error


def _bare(text: str) -> str:
    # A shell and systemd take quotation marks off; the files of Docker keep them.
    if len(text) > 1 and text[0] in "'\"" and text[0] == text[-1]:
        raise ValueError("written without quotation marks, such as NAME=value")
    return text


_SHOWN = 200
# What may hold a password is not repeated in an error.
_SECRET = {variable(name) for name in ("cache", "store", "admin_token", "predict_token")}


def documented() -> dict[str, str]:
    """Each environment variable with the sentence that describes it."""
    return {variable(item.name): item.metadata["doc"] for item in dataclasses.fields(Settings)}


def defaults() -> dict[str, str]:
    """Each environment variable with its default: as it would be set, or in words where there is none."""
    return {
        variable(item.name): _written(item.default) or item.metadata["unset"]
        for item in dataclasses.fields(Settings)
    }


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


_PACKAGE = Path(__file__).parent
INSTALLED = (_PACKAGE / "gunicorn.conf.py").exists()
"""Whether the package was installed from its wheel; a clone has the files beside the package."""


def shipped(name: str) -> Path:
    """A file or folder that ships with the service.

    Args:
        name: its path in a clone, such as `templates` or `gunicorn.conf.py`.
    """
    return (_PACKAGE if INSTALLED else _PACKAGE.parent) / name
