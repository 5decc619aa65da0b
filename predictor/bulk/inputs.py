"""Words of a command line, lists and tables -> names of images, one after the other, and what reads them."""

import csv
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from predictor.archives import is_hidden, shown
from predictor.bulk import parquet
from predictor.cluster import listing
from predictor.config import Settings
from predictor.errors import FetchBlocked, InvalidImage, InvalidRequest
from predictor.evaluation.image_files import SUFFIXES, read_file
from predictor.evaluation.tables import SUFFIXES as _TEXT_TABLES
from predictor.fetch.client import Fetcher

_SCHEMES = ("http://", "https://")
_HERE = (
    "The command downloads images itself, so that the settings PREDICTOR_FETCH_* of its own environment "
    "decide, and not those of a service."
)
# What a shell names for what another command writes: who gives these waits for it.
_STANDARD_INPUT = "/dev/stdin"
_OWN_STREAMS = (_STANDARD_INPUT, "/dev/fd/")

_LISTS = (".txt", ".lst")
_LISTED = (*_LISTS, *_TEXT_TABLES, *parquet.SUFFIXES)
"""What the names of lists and tables end in, in lower case."""
_COLUMNS = (
    "url", "image_url", "uri", "image_uri", "file", "filename", "file_name", "path", "image", "image_path",
    "name",
)  # fmt: skip


def names(words: Sequence[str], column: str | None = None) -> Iterator[str]:
    """The paths and URLs of all images, in the order of the words.

    Args:
        words: paths of files, URLs, folders, which stand for all images below them in the order of their
            paths, prefixes of buckets, which do so in the order of the store, lists and tables, and `-` for
            an image on the standard input. All are read as names are taken, so any number of images needs
            little memory.
        column: of tables, as `named` has it.

    Raises:
        InvalidRequest: there is no image in a folder, a prefix, a list or a table, or it cannot be read.
    """
    words = [_STANDARD_INPUT if word == "-" else word for word in words]
    found = [(word, _source(word, column)) for word in words]
    for word, one in found:
        if one is not None and next(one(), None) is None:
            raise InvalidRequest(f"There are no images in {_called(word)}.")
    return itertools.chain.from_iterable([word] if one is None else one() for word, one in found)


def is_url(name: str) -> bool:
    """Whether a name is a URL, of the web or of a bucket; if not, it is a path."""
    return name.lower().startswith((*_SCHEMES, *listing.SCHEMES))


def _source(word: str, column: str | None) -> Callable[[], Iterator[str]] | None:
    """What gives the names for which a word stands; None if it is a name itself."""
    suffix = Path(word).suffix.lower()
    if word.lower().startswith(listing.SCHEMES):
        return None if suffix in SUFFIXES else lambda: filter(_is_image, listing.listed(word))
    if is_url(word):
        return None
    if Path(word).is_dir():
        return lambda: _below(word)
    return (lambda: _named(word, column)) if suffix in _LISTED else None


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not is_hidden(name.partition("://")[2])


def _called(word: str) -> str:
    if is_url(word):
        return shown(word)
    return f"the folder {Path(word).name}" if Path(word).is_dir() else Path(word).name


def _named(word: str, column: str | None) -> Iterator[str]:
    """The names of a list or table; a path that is not absolute begins where the list lies."""
    folder = Path(word).parent
    for name in named(Path(word), column):
        yield name if not name or is_url(name) else str(folder / name)


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
        elif Path(entry.name).suffix.lower() in SUFFIXES and _may_be_file(entry):
            # Without the slashes that a folder's name may end in.
            yield str(Path(entry.path))


def _may_be_file(entry: "os.DirEntry[str]") -> bool:
    try:
        # A link that leads nowhere has a row with its error.
        return entry.is_file() or not Path(entry.path).exists()
    except OSError:
        return True


def named(path: Path, column: str | None) -> Iterator[str]:
    """What a list or a table says, in its order; the file is read as names are taken.

    Args:
        path: a text of a name a line, whose empty lines do not count, or a table as CSV or Parquet, of which
            each row is a name, an empty one too.
        column: the table's column; by default the first that has one of the usual headings.

    Raises:
        InvalidRequest: the file cannot be read, or it has no such column.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in parquet.SUFFIXES:
            heading = parquet.heading(path)
            yield from parquet.column(path, heading[_number(path, heading, column)])
            return
        newline = "" if suffix in _TEXT_TABLES else None
        # Names of files may hold bytes that are no UTF-8.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline=newline) as file:
            yield from (
                _lines(_text(path, file)) if suffix in _LISTS else _cells(path, _text(path, file), column)
            )
    except (OSError, csv.Error) as error:
        raise InvalidRequest(f"{shown(path.name)} cannot be read as a list or table of images.") from error


def _text(path: Path, file: Iterator[str]) -> Iterator[str]:
    for line in file:
        if "\0" in line:
            raise InvalidRequest(f"{shown(path.name)} is no UTF-8 text; UTF-16 is not read.")
        yield line


def _lines(file: Iterator[str]) -> Iterator[str]:
    for line in file:
        if name := line.strip():
            yield name


def _cells(path: Path, file: Iterator[str], column: str | None) -> Iterator[str]:
    first = next(filter(str.strip, file), None)
    if first is None:
        return
    separator = max(",;\t", key=first.count)
    rows = csv.reader(itertools.chain([first], file), delimiter=separator)
    number = _number(path, next(rows), column)
    for row in rows:
        if row:
            yield row[number].strip() if number < len(row) else ""


def _number(path: Path, heading: Sequence[str], column: str | None) -> int:
    """The number of the column with the names."""
    found = [name.strip().lower() for name in heading]
    wanted = _COLUMNS if column is None else (column.strip().lower(),)
    for name in wanted:
        if name in found:
            return found.index(name)
    which = f"{shown(column)} is not a column" if column is not None else "None of the usual columns is one"
    raise InvalidRequest(f"{which} of {shown(path.name)}; give --column one of: {shown(', '.join(heading))}.")


class Reader:
    """Reads images by their names.

    Args:
        settings: what may be downloaded, and how.
        folder: where paths begin that are not absolute.
        pipes: whether a file may be a pipe or a device, whose end may never come.

    Raises:
        ConfigError: a setting of downloads cannot be used.
    """

    def __init__(self, settings: Settings, folder: Path = Path(), *, pipes: bool = False) -> None:
        self._folder = folder
        self._pipes = pipes
        self._fetcher = Fetcher.of(settings)
        self._most = settings.max_image_bytes

    def read(self, name: str) -> bytes:
        """The bytes of a file, of an object, or of what a URL leads to.

        Raises:
            InvalidImage: the file cannot be read, or is none.
            ImageTooLarge: it has too many bytes.
            FetchError, ImageError, InvalidRequest: the URL cannot be downloaded, or the object not be read.
        """
        if not name:
            raise InvalidImage("The row names no file.")
        if name.lower().startswith(listing.SCHEMES):
            return listing.read(name, self._most)
        if name.lower().startswith(_SCHEMES):
            return self._fetched(name)
        pipes = self._pipes or name.startswith(_OWN_STREAMS)
        return read_file(self._folder / name, self._most, pipes=pipes)

    def _fetched(self, url: str) -> bytes:
        try:
            return self._fetcher.fetch(url)
        except FetchBlocked as error:
            raise FetchBlocked(f"{error.detail} {_HERE}") from error
