"""What a source has: its files by name, at one revision, and how they are fetched."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from predictor.archives import MAX_DEPTH, MAX_NAME, shown
from predictor.errors import FetchFailed
from predictor.fetch.files import Downloads

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_LIST = "The server of the source sent something else than the list that was asked for; check its address."


@dataclass(frozen=True)
class RemoteFile:
    """A file of a source.

    Attributes:
        name: its path there, with slashes, which leads to no place outside.
        place: where it is fetched: a URL, or the key of an object.
        bytes: its size; None if the source does not say.
        digest: `sha256:` and the hexadecimal digest of its bytes; None if the source does not say.
    """

    name: str
    place: str
    bytes: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Listing:
    """The files of a source at one revision.

    Attributes:
        files: all of them.
        revision: what names exactly these files there: a commit, a version, a digest; None if nothing does.
        named: whether the source names its only file itself, so that this is what is meant.
    """

    files: Sequence[RemoteFile]
    revision: str | None = None
    named: bool = False


class Place(Protocol):
    """A source that is being read."""

    def listing(self) -> Listing:
        """What it has.

        Raises:
            FetchError: it cannot be reached, or does not have it.
            InvalidRequest: what was asked for is not of the documented form.
        """

    def save(self, files: Sequence[RemoteFile], paths: Sequence[Path]) -> str | None:
        """Write files of its listing to these paths.

        Returns:
            The revision, where it is known only now.

        Raises:
            FetchError: one cannot be fetched whole.
            ModelTooLarge: they have more bytes than a model may have.
            OSError, StorageFull: the disk does not take them.
        """


class OnTheWeb:
    """What the sources that speak HTTP share.

    Args:
        downloads: of this model.
        headers: with the credentials, for the server of the source alone.
    """

    def __init__(self, downloads: Downloads, headers: Mapping[str, str] | None = None) -> None:
        self._downloads = downloads
        self._headers = headers or {}

    def save(self, files: Sequence[RemoteFile], paths: Sequence[Path]) -> str | None:
        """As `Place` has it."""
        for file, path in zip(files, paths, strict=True):
            self._downloads.save(file.place, path, self._headers, file.digest)
        return None

    def json(self, url: str) -> dict[str, Any]:
        """An object in JSON.

        Raises:
            FetchError: there is none.
        """
        return as_object(self._downloads.read(url, self._headers).checked().body)


def as_object(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        FetchFailed: it holds something else.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchFailed(_NO_LIST) from error
    if not isinstance(found, dict):
        raise FetchFailed(_NO_LIST)
    return found


def inside(name: object) -> str:
    """A path of a source's list, which leads to no place outside.

    Raises:
        FetchFailed: it does, or it is no path.
    """
    parts = name.split("/") if isinstance(name, str) else []
    wrong = not parts or any(part in {"", ".", ".."} for part in parts) or len(parts) > MAX_DEPTH + 1
    if not isinstance(name, str) or wrong or len(name) > MAX_NAME or _CONTROL.search(name) or "\\" in name:
        raise FetchFailed(f"The source has a file whose path cannot be used: {shown(str(name))}.")
    return name


def quoted(text: str, *, slashes: bool = False) -> str:
    """A text as a part of a URL's path.

    Args:
        text: what to quote.
        slashes: whether its slashes separate parts.
    """
    return quote(text, safe="/" if slashes else "")
