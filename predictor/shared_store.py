"""The settings of a store that machines share: its URL, and the name of a machine."""

import importlib.util
import re
from urllib.parse import urlsplit

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_MACHINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_URL = (
    "the URL of a bucket without credentials, such as s3://bucket/prefix, gs://bucket/prefix, "
    "az://container/prefix or file:///srv/models; credentials come from the variables of each cloud, such as "
    "AWS_ACCESS_KEY_ID"
)


def store_url(text: str) -> str | None:
    """The URL of a store; None if it is empty."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(_URL) from None
    local = parts.scheme == "file" and not parts.netloc and parts.path.strip("/")
    remote = parts.scheme in {"s3", "gs", "az"} and _BUCKET.fullmatch(parts.netloc)
    if not (local or remote) or parts.query or parts.fragment or not text.isprintable():
        raise ValueError(_URL)
    if importlib.util.find_spec("obstore") is None:
        raise ValueError(
            "left out, or the package obstore installed (pip install obstore, which is the extra cluster)"
        )
    return text


def machine(text: str) -> str | None:
    """The name of a machine; None if it is empty."""
    if text and not _MACHINE.fullmatch(text):
        raise ValueError(
            "a name that no other machine has, of up to 63 letters, digits, dots, hyphens or underscores, "
            "such as web-1"
        )
    return text or None
