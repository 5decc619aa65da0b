"""Folders, archives and tables of images -> images with what is said of their classes."""

import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from predictor import archives
from predictor.archives import is_hidden, written
from predictor.errors import InvalidImage, InvalidRequest
from predictor.evaluation import names, tables
from predictor.evaluation.image_files import SUFFIXES, Read, read_file
from predictor.image.decode import Limits
from predictor.model.strict_text import some

FOLDERS = "the names of the folders"
FILES = "the names of the files and their folder"

MAX_IMAGES = 50_000
"""Images in one evaluation."""

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
        named_by: what its labels were taken from, such as "the names of the folders"; empty if not known.
        label: what a sentence calls its class; empty for the first of `truth`.
    """

    name: str
    truth: tuple[str, ...]
    read: Read
    left_out: str | None = None
    also: tuple[tuple[str, ...], ...] = ()
    classless: bool = False
    named_by: str = ""
    label: str = ""

    @property
    def called(self) -> str:
        """What a sentence calls its class; empty if nothing names one."""
        return self.label or "".join(self.truth[:1])

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
        # A link that leads nowhere is left out with its reason.
        found = sorted(file for file in path.rglob("*") if file.is_file() or not file.exists())
        return labelled(
            [
                (written(file.relative_to(path).as_posix()), partial(read_file, file, max_bytes))
                for file in found
            ]
        )
    if path.suffix.lower() not in tables.SUFFIXES:
        raise InvalidRequest(
            "Give a folder of images, a ZIP file of one, or a CSV file with their paths and classes."
        )
    [(_, rows)] = tables.rows_of({path.name: partial(read_file, path, tables.MAX_BYTES)})
    named = tables.grouped((row.image, row.truth) for row in rows)
    reads = {name: partial(read_file, _beside(path, name), max_bytes) if name else _no_file for name in named}
    return _some([_of_rows(name, said, reads[name], _whose([path.name])) for name, said in named.items()])


def _no_file() -> bytes:
    raise InvalidImage("The row names no file.")


def _beside(table: Path, name: str) -> Path:
    """The file that a table names, whose path may be one of Windows."""
    found = table.parent / name
    return table.parent / names.path_of(name) if "\\" in name and not found.exists() else found


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
    known = names.Images((name for name, _ in images), map(posixpath.dirname, said))
    named, useless = _by_tables(tables.rows_of(said, still_wanted), images, known)
    if named:
        return _some([*named, *_not_named(named, images), *useless, *others])
    folders = {str(PurePosixPath(name).parent) for name, _ in images}
    truth, named_by = (_by_folder, FOLDERS) if len(folders) > 1 else (names.of_file, FILES)
    found = [
        LabelledImage(name, truth(PurePosixPath(name)), read, named_by=named_by) for name, read in images
    ]
    return _some([*found, *useless, *others])


def _not_named(named: list[LabelledImage], images: Files) -> list[LabelledImage]:
    known = {image.name for image in named}
    whose = named[0].named_by
    reason = f"T{whose[1:]} {'do' if whose.startswith('the tables') else 'does'} not name it."
    return [LabelledImage(name, (), read, reason) for name, read in images if name not in known]


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
    return names.of_folder(path.parent.name)


def _by_tables(
    found: Iterable[tuple[str, Iterable[tables.Row]]], images: Files, known: names.Images
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """The images that tables name, and the tables that say nothing of any, each with the reason.

    Of several tables the first that names an image says its classes.
    """
    reads = defaultdict[str, list[Read]](list)
    for name, read in images:
        reads[name].append(read)
    useless = list[LabelledImage]()
    said, by = dict[str, list[tuple[str, ...]]](), dict[str, str]()
    fault: tables.UnreadableTable | None = None
    for table, rows in found:
        try:
            named, reason = _said_by(table, rows, known)
        except tables.UnreadableTable as error:
            named, reason, fault = {}, error.detail, fault or error
        if reason:
            useless.append(LabelledImage(table, (), bytes, reason))
        for path, classes in named.items():
            said.setdefault(path, classes)
            by.setdefault(path, table)
    if fault and not said:
        raise fault
    whose = _whose(list(dict.fromkeys(by.values())))
    return [_of_rows(path, said[path], read, whose) for path in said for read in reads[path]], useless


def _said_by(
    table: str, rows: Iterable[tables.Row], known: names.Images
) -> tuple[dict[str, list[tuple[str, ...]]], str | None]:
    """What a table says of images, and why it says nothing of any."""
    folder, first = posixpath.dirname(table), None
    named, means = list[tuple[str, tuple[str, ...]]](), dict[str, str]()
    for row in rows:
        first, wanted = first or row, names.path_of(row.image)
        # Rows of two files cannot both be meant by the same image, so none of them is.
        if (path := known.find(folder, wanted)) and means.setdefault(path, wanted) == wanted:
            named.append((path, row.truth))
        elif path:
            means[path] = ""
    meant = [one for one in named if means[one[0]]]
    if first is None:
        return {}, "It has no rows."
    if not meant:
        return {}, f"It names none of the images; the first that it names is {archives.shown(first.image)}."
    if not any(truth for _, truth in meant):
        return {}, (
            "It has no column with labels, such as label, class or index. Those beside the columns rank and "
            "confidence are predictions."
        )
    return tables.grouped(meant), None


def _whose(found: Sequence[str]) -> str:
    return f"the table{'' if len(found) == 1 else 's'} {some([archives.shown(one) for one in found], 3)}"


def _of_rows(name: str, said: list[tuple[str, ...]], read: Read, table: str) -> LabelledImage:
    """An image of which a table has a row for each class."""
    if said == [tables.NO_CLASS]:
        return LabelledImage(name, (), read, classless=True, named_by=table)
    return LabelledImage(name, said[0], read, also=tuple(said[1:]), named_by=table)
