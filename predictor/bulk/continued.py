"""What a run keeps beside its rows, so that it is continued only with the options that it was begun with."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from predictor.errors import InvalidRequest
from predictor.store.files import sync

_NEW = ".new"


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file that has its name when all of it is on the disk."""
    fresh = path.with_name(f".{path.name}{_NEW}")
    try:
        with fresh.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    sync(path.parent)


def check(said: Mapping[str, Any], options: Mapping[str, Any], output: Path, otherwise: str) -> None:
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
            with whole(self._path) as file:
                file.write(json.dumps(options).encode())

    def check(self, options: Mapping[str, Any]) -> None:
        """Go on only with the options that were kept; where none were, with any.

        Raises:
            InvalidRequest: an option is another one.
        """
        if self._path.exists():
            check(json.loads(self._path.read_bytes()), options, self._output, "leave out --resume")
