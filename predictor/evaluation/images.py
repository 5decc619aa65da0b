"""Folders, archives and tables of images -> images with what is said of their classes."""

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from predictor import archives
from predictor.archives import is_hidden
from predictor.config import MEGA
from predictor.errors import ImageTooLarge, InvalidImage, InvalidRequest
from predictor.evaluation import tables
from predictor.image.decode import Limits

SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif",
    ".tiff", ".avif", ".avifs", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".ico", ".tga", ".pcx",
    ".psd", ".svg", ".ppm", ".pgm", ".pbm", ".pnm", ".qoi", ".dds", ".dng", ".cr2", ".cr3", ".nef", ".arw",
}  # fmt: skip
"""What the names of images end in, in lower case. Those that are not accepted are read, to be named."""

MAX_IMAGES = 50_000
"""Images in one evaluation."""
MAX_ENTRIES = 65_534
"""Files and folders in an archive of them; systems add files of their own."""

Read = Callable[[], bytes]
Files = Sequence[tuple[str, Read]]
"""The path of each file, with slashes, and what reads it. Several files may have the same path."""


@dataclass(frozen=True)
class LabelledImage:
    """An image of a set.

    Attributes:
        name: its path within the set.
        truth: what may name its class, the surest first; empty if nothing does.
        read: gives the bytes of its file, or raises a PredictorError.
        left_out: why it is not even read; None if it is.
        also: the same as `truth` for each other class that applies to it.
        classless: whether a table has it with an empty label: of independent classes none applies to it.
        named_by: whose name is its label, "folder" or "file"; empty if a table says it.
    """

    name: str
    truth: tuple[str, ...]
    read: Read
    left_out: str | None = None
    also: tuple[tuple[str, ...], ...] = ()
    classless: bool = False
    named_by: str = ""

    @property
    def said(self) -> tuple[tuple[str, ...], ...]:
        """What may name each of its classes."""
        return (self.truth, *self.also) if self.truth else ()


def on_disk(path: Path, max_bytes: int = Limits().max_bytes) -> list[LabelledImage]:
    """The images of a folder, or of a table that names the files.

    Args:
        path: a folder of class folders, a folder with a table, or a CSV file whose paths are relative to it.
        max_bytes: most bytes of an image.

    Raises:
        InvalidRequest: there are none, or the table cannot be read.
    """
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
        return labelled(
            [(file.relative_to(path).as_posix(), partial(read_file, file, max_bytes)) for file in found]
        )
    if path.suffix.lower() not in tables.SUFFIXES:
        raise InvalidRequest("Give a folder of images, or a CSV file with their paths and classes.")
    [(_, rows)] = tables.rows_of({path.name: partial(read_file, path, tables.MAX_BYTES)})
    named = tables.grouped((row.image, row.truth) for row in rows)
    return _some(
        [
            _of_rows(name, said, partial(read_file, path.parent / name, max_bytes))
            for name, said in named.items()
        ]
    )


def labelled(files: Files, still_wanted: Callable[[], None] = lambda: None) -> list[LabelledImage]:
    """The images among files, with their classes.

    A table among the files says them. Without one the name of an image's folder is its class; where all
    images lie in one folder, each file's name begins with its class, as in `n02123045_tabby.jpg`, or the
    folder is their class.

    Args:
        files: those of a folder, an archive or a form.
        still_wanted: called now and then; raises if nobody waits for the images any more.

    Raises:
        InvalidRequest: there are no images, or a table cannot be read.
    """
    still_wanted()
    shown = sorted((one for one in files if not is_hidden(one[0])), key=lambda one: one[0])
    said = {name: read for name, read in shown if _suffix(name) in tables.SUFFIXES}
    images = [(name, read) for name, read in shown if _suffix(name) in SUFFIXES]
    others = [
        LabelledImage(name, (), read, "Its name does not end as that of an image does, such as .jpg or .png.")
        for name, read in shown
        if _suffix(name) not in {*tables.SUFFIXES, *SUFFIXES}
    ]
    for table, rows in tables.rows_of(said, still_wanted):
        if found := _by_table(PurePosixPath(table).parent, rows, images):
            return _some([*found, *_not_named(table, found, images), *others])
    folders = {str(PurePosixPath(name).parent) for name, _ in images}
    truth, named_by = (_by_folder, "folder") if len(folders) > 1 else (_by_name, "file")
    found = [
        LabelledImage(name, truth(PurePosixPath(name)), read, named_by=named_by) for name, read in images
    ]
    return _some([*found, *others])


def _not_named(table: str, found: list[LabelledImage], images: Files) -> list[LabelledImage]:
    named = {image.name for image in found}
    reason = f"The table {archives.shown(table)} does not name it."
    return [LabelledImage(name, (), read, reason) for name, read in images if name not in named]


def _some(images: list[LabelledImage]) -> list[LabelledImage]:
    if all(image.left_out for image in images):
        raise InvalidRequest(f"There are no images in the upload{_left_out(images)}.")
    if len(images) > MAX_IMAGES:
        raise InvalidRequest(f"At most {MAX_IMAGES} images can be evaluated at once.")
    return images


def _left_out(images: list[LabelledImage]) -> str:
    if not images:
        return ""
    first = f"{archives.shown(images[0].name)}: {images[0].left_out}".rstrip(".")
    return f"; {len(images)} other file(s) were left out, the first is {first}"


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _by_folder(path: PurePosixPath) -> tuple[str, ...]:
    return _names(path.parent.name)


def _by_name(path: PurePosixPath) -> tuple[str, ...]:
    """A file's own name, then its folder's: a single class folder looks like a folder of named files.

    A number counts only where more follows it, as in `281_tabby.jpg`, and comes last: one that is the whole
    name, or its end, as in `1.jpg` and `IMG_0001.jpg`, counts the files of the folder.
    """
    own = _names(path.stem)
    numbers = tuple(name for name in own[1:2] if name.isdecimal() and len(own) > 2)
    return (*(name for name in own if not name.isdecimal()), *_names(path.parent.name), *numbers)


def _names(text: str) -> tuple[str, ...]:
    """What a name may say: a class, or an identifier and a name with a line between them."""
    before, line, after = text.partition("_")
    return tuple(filter(None, (text, before, after) if line else (text,)))


def _by_table(folder: PurePosixPath, rows: Iterable[tables.Row], images: Files) -> list[LabelledImage]:
    reads = defaultdict[str, list[Read]](list)
    for name, read in images:
        reads[name].append(read)
    named = (((folder / row.image).as_posix(), row.truth) for row in rows)
    found = tables.grouped(one for one in named if one[0] in reads)
    return [_of_rows(path, said, read) for path, said in found.items() for read in reads[path]]


def _of_rows(name: str, said: list[tuple[str, ...]], read: Read) -> LabelledImage:
    """An image of which a table has a row for each class."""
    if said == [tables.NO_CLASS]:
        return LabelledImage(name, (), read, classless=True)
    return LabelledImage(name, said[0], read, also=tuple(said[1:]))


def read_file(path: Path, max_bytes: int, *, pipes: bool = False) -> bytes:
    """The bytes of a file.

    Args:
        path: where it lies.
        max_bytes: most bytes that it may have.
        pipes: whether it may be a pipe or a device, whose end may never come.

    Raises:
        InvalidImage: it is not there, cannot be read, or is a pipe or a device.
        ImageTooLarge: it has too many bytes.
    """
    try:
        with open(path, "rb", opener=None if pipes else _at_once) as file:
            if not pipes and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidImage("The file is a pipe or a device, not a regular file.")
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise InvalidImage(f"There is no file {archives.shown(path.name)}.") from error
    except (OSError, ValueError) as error:
        raise InvalidImage("The file cannot be read.") from error
    if len(data) > max_bytes:
        raise ImageTooLarge(f"The file has more than {max_bytes / MEGA:g} MB.")
    return data


def _at_once(path: str, flags: int) -> int:
    """Open a file; a pipe as well, without a wait for somebody who writes into it."""
    return os.open(path, flags | os.O_NONBLOCK)


def files_of(path: Path, max_bytes: int) -> Mapping[str, Read]:
    """What reads each file of an archive.

    Args:
        path: the archive.
        max_bytes: most bytes that a file may have when it is unpacked.

    Raises:
        InvalidRequest: it is no ZIP file, one with too many entries, or one with entries that are no plain
            files inside of it.
    """
    entries = archives.entries_of(path, MAX_ENTRIES)
    return {entry.name: partial(_unpacked, entry, max_bytes) for entry in entries}


def _unpacked(entry: archives.Entry, max_bytes: int) -> bytes:
    try:
        data = entry.read(max_bytes + 1)
    except archives.Unreadable as error:
        raise InvalidImage(error.detail) from error
    if len(data) > max_bytes:
        raise ImageTooLarge(f"The file has more than {max_bytes} bytes.")
    return data
