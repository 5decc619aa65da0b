"""Folders, archives and tables of pictures -> pictures with what is said of their classes."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from predictor.errors import InvalidImage, InvalidRequest

SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2",
}  # fmt: skip
"""What the names of pictures end in, in lower case."""

MOST = 50_000
"""Pictures in one evaluation."""

_TABLES = (".csv", ".tsv")
_FILE_COLUMNS = ("file", "filename", "file_name", "path", "image", "image_path", "picture", "name")
# The surest first: a name may stand for two classes, an index cannot.
_CLASS_COLUMNS = (
    "index", "class_index", "label_index", "synset", "wnid", "label", "class", "class_name", "truth",
    "target", "id",
)  # fmt: skip

Read = Callable[[], bytes]
Files = Mapping[str, Read]
"""What reads each file, by its path with slashes."""


@dataclass(frozen=True)
class Picture:
    """A picture of a set.

    Attributes:
        name: its path within the set.
        truth: what may name its class, the surest first; empty if nothing does.
        read: gives the bytes of its file, or raises a PredictorError.
    """

    name: str
    truth: tuple[str, ...]
    read: Read


def on_disk(path: Path) -> list[Picture]:
    """The pictures of a folder, or of a table that names the files.

    Args:
        path: a folder of class folders, a folder with a table, or a CSV file whose paths are relative to it.

    Raises:
        InvalidRequest: there are none, or the table cannot be read.
    """
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
        return labelled({file.relative_to(path).as_posix(): partial(_read, file) for file in found})
    if path.suffix.lower() not in _TABLES:
        raise InvalidRequest("Give a folder of pictures, or a CSV file with their paths and classes.")
    rows = _rows(_read(path))
    return _some([Picture(name, truth, partial(_read, path.parent / name)) for name, truth in rows])


def labelled(files: Files) -> list[Picture]:
    """The pictures among files, with their classes.

    A table among the files says them. Without one the name of a picture's folder is its class; where all
    pictures lie in one folder, each file's name begins with its class, as in `n02123045_tabby.jpg`.

    Raises:
        InvalidRequest: there are no pictures, or the table cannot be read.
    """
    shown = {name: read for name, read in files.items() if not _hidden(name)}
    pictures = {name: read for name, read in shown.items() if _suffix(name) in SUFFIXES}
    for table in sorted(name for name in shown if _suffix(name) in _TABLES):
        if found := _by_table(table, shown[table], pictures):
            return _some(found)
    folders = {str(PurePosixPath(name).parent) for name in pictures}
    truth = _by_folder if len(folders) > 1 else _by_name
    return _some([Picture(name, truth(PurePosixPath(name)), read) for name, read in sorted(pictures.items())])


def _some(pictures: list[Picture]) -> list[Picture]:
    if not pictures:
        raise InvalidRequest("There are no pictures in it.")
    if len(pictures) > MOST:
        raise InvalidRequest(f"At most {MOST} pictures can be evaluated at once.")
    return pictures


def _hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _by_folder(path: PurePosixPath) -> tuple[str, ...]:
    return _names(path.parent.name)


def _by_name(path: PurePosixPath) -> tuple[str, ...]:
    """A file's own name, then its folder's: a single class folder looks like a folder of named files."""
    return (*_names(path.stem), *_names(path.parent.name))


def _names(text: str) -> tuple[str, ...]:
    """What a name may say: a class, or an identifier and a name with a line between them."""
    before, line, after = text.partition("_")
    return tuple(filter(None, (text, before, after) if line else (text,)))


def _by_table(table: str, read: Read, pictures: Files) -> list[Picture]:
    folder = PurePosixPath(table).parent
    found = []
    for name, truth in _rows(read()):
        path = (folder / name).as_posix()
        if path in pictures:
            found.append(Picture(path, truth, pictures[path]))
    return found


def _rows(data: bytes) -> list[tuple[str, tuple[str, ...]]]:
    """The path in each row of a table, and what it says of the class."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest("The table is not text in UTF-8.") from error
    heading = text.partition("\n")[0]
    separator = max(",;\t", key=heading.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(row)]
    except csv.Error as error:
        raise InvalidRequest("The table cannot be read as CSV.") from error
    names = [name.strip().lower() for name in rows[0]] if rows else []
    file = next((names.index(name) for name in _FILE_COLUMNS if name in names), None)
    if file is None:
        return [(row[0], _cells(row, [1])) for row in rows]
    classes = [names.index(name) for name in _CLASS_COLUMNS if name in names and names.index(name) != file]
    return [(row[file], _cells(row, classes)) for row in rows[1:] if len(row) > file]


def _cells(row: list[str], columns: Iterable[int]) -> tuple[str, ...]:
    return tuple(row[column].strip() for column in columns if column < len(row) and row[column].strip())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidImage("The file cannot be read.") from error
