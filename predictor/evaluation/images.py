"""Folders, archives and tables of pictures -> pictures with what is said of their classes."""

import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from predictor.errors import ImageTooLarge, InvalidImage, InvalidRequest
from predictor.evaluation import tables

SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2",
}  # fmt: skip
"""What the names of pictures end in, in lower case."""

MAX_IMAGES = 50_000
"""Pictures in one evaluation."""

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
    if path.suffix.lower() not in tables.SUFFIXES:
        raise InvalidRequest("Give a folder of images, or a CSV file with their paths and classes.")
    [(_, rows)] = tables.rows_of({path.name: partial(_read, path)})
    return _some([Picture(row.image, row.truth, partial(_read, path.parent / row.image)) for row in rows])


def unlabelled(path: Path) -> list[Picture]:
    """An image file, or the images in a folder and its folders, with nothing said of their classes.

    Raises:
        InvalidRequest: there are none in the folder.
    """
    if not path.is_dir():
        return [Picture(str(path), (), partial(_read, path))]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    shown = (file for file in found if not _hidden(file.relative_to(path).as_posix()))
    images = [Picture(str(file), (), partial(_read, file)) for file in shown]
    if not images:
        raise InvalidRequest(f"There are no images in the folder {path.name}.")
    return images


def labelled(files: Files, still_wanted: Callable[[], None] = lambda: None) -> list[Picture]:
    """The pictures among files, with their classes.

    A table among the files says them. Without one the name of a picture's folder is its class; where all
    pictures lie in one folder, each file's name begins with its class, as in `n02123045_tabby.jpg`.

    Args:
        files: what reads each file.
        still_wanted: called now and then; raises if nobody waits for the pictures any more.

    Raises:
        InvalidRequest: there are no pictures, or a table cannot be read.
    """
    still_wanted()
    shown = {name: read for name, read in files.items() if not _hidden(name)}
    pictures = {name: read for name, read in shown.items() if _suffix(name) in SUFFIXES}
    said = {name: shown[name] for name in sorted(shown) if _suffix(name) in tables.SUFFIXES}
    for table, rows in tables.rows_of(said, still_wanted):
        if found := _by_table(PurePosixPath(table).parent, rows, pictures):
            return _some(found)
    folders = {str(PurePosixPath(name).parent) for name in pictures}
    truth = _by_folder if len(folders) > 1 else _by_name
    return _some([Picture(name, truth(PurePosixPath(name)), read) for name, read in sorted(pictures.items())])


def _some(pictures: list[Picture]) -> list[Picture]:
    if not pictures:
        raise InvalidRequest("There are no images in the upload.")
    if len(pictures) > MAX_IMAGES:
        raise InvalidRequest(f"At most {MAX_IMAGES} images can be evaluated at once.")
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


def _by_table(folder: PurePosixPath, rows: Iterable[tables.Row], pictures: Files) -> list[Picture]:
    named = (((folder / row.image).as_posix(), row.truth) for row in rows)
    return [Picture(path, truth, pictures[path]) for path, truth in named if path in pictures]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidImage("The file cannot be read.") from error


# By the ZIP file format specification (PKWARE's APPNOTE), sections 4.3.15 and 4.3.16.
_LOCATOR, _END = b"PK\x06\x07", b"PK\x05\x06"
_END_BYTES, _LOCATOR_BYTES, _MAX_COMMENT = 22, 20, 65_535
# Of files that are compressed otherwise the library unpacks each piece whole, whatever the limit.
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OTHERS = {9: "Deflate64", zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 93: "Zstandard"}
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    NotImplementedError,
    OSError,
    EOFError,
    ValueError,
)


def files_of(path: Path, max_bytes: int) -> Files:
    """What reads each file of an archive.

    Args:
        path: the archive.
        max_bytes: most bytes that a file may have when it is unpacked.

    Raises:
        InvalidRequest: it is no ZIP file, or one with more files than the short form can hold.
    """
    _refuse_long_form(path)
    try:
        archive = zipfile.ZipFile(path)
    except _UNREADABLE as error:
        raise InvalidRequest("The archive is not a valid ZIP file.") from error
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    # Some tools of Windows write its own mark between folders.
    return {
        entry.filename.replace("\\", "/"): partial(_unpacked, archive, entry, max_bytes) for entry in entries
    }


def _refuse_long_form(path: Path) -> None:
    """The form for more than 65,534 files could make the library read a list that fills the memory."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _MAX_COMMENT - _END_BYTES - _LOCATOR_BYTES))
        tail = file.read()
    end = tail.rfind(_END)
    if end >= _LOCATOR_BYTES and tail[end - _LOCATOR_BYTES : end].startswith(_LOCATOR):
        raise InvalidRequest("The archive is in the ZIP64 format; send at most 65,534 files and 4 GB.")


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, max_bytes: int) -> bytes:
    if entry.compress_type not in _BOUNDED:
        method = _OTHERS.get(entry.compress_type, "another method")
        raise InvalidImage(f"The file cannot be extracted: compress it with deflate instead of {method}.")
    try:
        with archive.open(entry) as file:
            data = file.read(max_bytes + 1)
    except _UNREADABLE as error:
        raise InvalidImage("The file cannot be extracted: the archive is damaged.") from error
    if len(data) > max_bytes:
        raise ImageTooLarge(f"The file has more than {max_bytes} bytes.")
    return data
