"""Words of a command line -> names of images, one after the other, and what reads them."""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from predictor.archives import is_hidden
from predictor.config import Settings
from predictor.errors import InvalidImage, InvalidRequest
from predictor.evaluation.images import SUFFIXES
from predictor.fetch.client import Fetcher

_SCHEMES = ("http://", "https://")


def names(words: Sequence[str]) -> Iterator[str]:
    """The paths and URLs of all images, in the order of the words.

    Args:
        words: paths of files, URLs, and folders, which stand for all images below them, in the order of
            their paths. Folders are read as names are taken, so any number of images needs little memory.

    Raises:
        InvalidRequest: there is no image in a folder.
    """
    for word in words:
        if _is_folder(word) and next(_below(word), None) is None:
            raise InvalidRequest(f"There are no images in the folder {Path(word).name}.")
    return itertools.chain.from_iterable(_below(word) if _is_folder(word) else [word] for word in words)


def _is_folder(word: str) -> bool:
    return not word.lower().startswith(_SCHEMES) and Path(word).is_dir()


def _below(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        # It has a row, which says that it cannot be read.
        yield folder
        return
    for entry in entries:
        if is_hidden(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path)
        elif Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file():
            # Without the slashes that a folder's name may end in.
            yield str(Path(entry.path))


class Reader:
    """Reads images by their names.

    Args:
        settings: what may be downloaded, and how.

    Raises:
        ConfigError: a setting of downloads cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._fetcher = Fetcher.of(settings)

    def read(self, name: str) -> bytes:
        """The bytes of a file or of what a URL leads to.

        Raises:
            InvalidImage: the file cannot be read.
            FetchError, ImageError, InvalidRequest: the URL cannot be downloaded.
        """
        if name.lower().startswith(_SCHEMES):
            return self._fetcher.fetch(name)
        try:
            return Path(name).read_bytes()
        except (OSError, ValueError) as error:
            raise InvalidImage("The file cannot be read.") from error
