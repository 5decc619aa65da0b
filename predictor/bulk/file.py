"""A file of rows that a killed run leaves behind so that another of the same options can go on with it."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from predictor.archives import written
from predictor.bulk.rows import Form, Row
from predictor.errors import InvalidRequest
from predictor.store.files import sync

_NEW = ".new"


@dataclass(frozen=True)
class Done:
    """What a file has of a run.

    Attributes:
        names: how often it has a whole row for each name.
        failed: how many of them have an error.
        size: bytes of the whole rows, with the heading.
    """

    names: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    size: int = 0

    def rest(self, names: Iterable[str]) -> Iterator[str]:
        """The names that have no row yet; a name that is there twice needs two rows."""
        left = Counter(self.names)
        for name in names:
            if left[written(name)] > 0:
                left[written(name)] -= 1
            else:
                yield name


def done(path: Path, form: Form, top_k: int) -> Done:
    """Read how far a run came that may have been killed at any byte.

    Args:
        path: its file; it may be missing, and what is no regular file, such as a pipe, has no rows.
        form: how the file is written.
        top_k: the classes that a row has unless the model has fewer. A last row of fewer is not relied on.

    Raises:
        InvalidRequest: the file was not written by such a run.
        OSError: it cannot be read.
    """
    if not path.is_file():
        return Done()
    with path.open("rb") as file:
        heading = form.heading.encode()
        start = file.read(len(heading))
        if start != heading:
            if heading.startswith(start):
                return Done()
            raise _other(path)
        try:
            return _counted(_records(file, form), form, top_k)
        except ValueError as error:
            raise _other(path) from error


def _counted(records: Iterable[bytes], form: Form, top_k: int) -> Done:
    names, failed = Counter[str](), 0
    size = before = len(form.heading.encode())
    name, whole = "", True
    for record in records:
        name, rank, wrong = form.read(record.decode().removesuffix("\n"))
        if rank <= 1:
            names[name] += 1
            failed += wrong
            before = size
        whole = rank == 0 or rank >= top_k
        size += len(record)
    if not whole:
        names[name] -= 1
    return Done(names, failed, size if whole else before)


def _records(file: BinaryIO, form: Form) -> Iterator[bytes]:
    """The whole lines; an end of line in quotes does not end them, where the form has such."""
    record = b""
    for line in file:
        record += line
        if line.endswith(b"\n") and not (form.quotes and record.count(b'"') % 2):
            yield record
            record = b""


def _other(path: Path) -> InvalidRequest:
    return InvalidRequest(
        f"{path.name} is not a file of this form that predict wrote, so it is not continued. Give another "
        "file, or leave out --resume to overwrite it."
    )


class RowFile:
    """A file to which rows are written, each at once. To be used as a context manager.

    Args:
        path: the file.
        form: how it is written.
        kept: what of it stays; by default nothing.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, form: Form, kept: Done | None = None) -> None:
        self._form, self._path = form, path
        size = kept.size if kept else 0
        self._file = path.open("r+b" if size else "wb")
        if size:
            self._file.seek(size)
            self._file.truncate()
        else:
            self._put(form.heading)

    def __enter__(self) -> "RowFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # close() writes again what a full disk did not take, and so may fail again.
        with _named(self._path):
            self._file.close()

    def write(self, row: Row) -> None:
        """Write a row, so that it outlives this process.

        Raises:
            OSError: the disk is full, or it cannot be written.
        """
        self._put("".join(f"{line}\n" for line in self._form.lines(row)))

    def _put(self, text: str) -> None:
        with _named(self._path):
            self._file.write(text.encode())
            self._file.flush()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in an error of writing to it, which knows only a number for it."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that has its name when all of it is on the disk."""
    fresh = path.with_name(f".{path.name}{_NEW}")
    try:
        with _named(path), fresh.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    sync(path.parent)


def check_options(said: Mapping[str, Any], options: Mapping[str, Any], output: Path, otherwise: str) -> None:
    """Go on only with the options of a run.

    Args:
        said: those that it was begun with, by what they are called.
        options: those that are given now.
        output: the file of its rows.
        otherwise: what to do to begin again.

    Raises:
        InvalidRequest: an option is another one; the sentence names it.
    """
    other = sorted(name for name in said.keys() | options.keys() if said.get(name) != options.get(name))
    if other:
        raise InvalidRequest(
            f"The run for {output.name} was begun with another value of {' and '.join(other)}. Give the "
            f"options of that run, or {otherwise} to begin again."
        )


class Options:
    """The options of a run that writes its rows to one file, in a hidden file beside it.

    They stay when the run is at its end: more images may be given to it later.

    Args:
        output: the file of rows; what is no regular file, such as a pipe, is never continued.
    """

    def __init__(self, output: Path) -> None:
        self._output = output.resolve()
        self._path = self._output.with_name(f".{self._output.name}.run")

    def keep(self, options: Mapping[str, Any]) -> None:
        """Keep the options of a run that begins.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        if self._output.is_file():
            with whole_file(self._path) as file:
                file.write(json.dumps(options).encode())

    def check(self, options: Mapping[str, Any]) -> None:
        """Go on only with the options that were kept; where none were, with any.

        Raises:
            InvalidRequest: an option is another one.
        """
        if self._path.exists():
            check_options(json.loads(self._path.read_bytes()), options, self._output, "leave out --resume")
