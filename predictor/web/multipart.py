"""A multipart request -> its text fields, and its files, written to the disk as they come."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from flask import Request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from predictor.errors import InvalidRequest, PredictorError

_FORM = "multipart/form-data"
_FIELD_BYTES = 100_000
# The parser looks through a whole piece for each boundary in it, and through one without any much faster: the
# first counts in a form of many pictures, the second in that of a model.
_PICTURE_PIECE = 16 << 10
# As many dashes as a boundary has characters, and those around it.
_MOST_DASHES = 80

File = tuple[str, FileStorage]
"""A field's name and its file, which lies at the path that `path` gives."""


@dataclass(frozen=True)
class Bounds:
    """How much may come.

    Attributes:
        bytes: most bytes of the whole request.
        parts: most fields and files.
        too_large: raised if there is more.
    """

    bytes: int
    parts: int
    too_large: PredictorError


def receive(
    request: Request,
    folder: Path,
    bounds: Bounds,
    *,
    field: str,
    between: Callable[[], None] = lambda: None,
) -> tuple[dict[str, Any], list[File]]:
    """Write a form's files into a folder, under names of our own.

    Args:
        request: what comes.
        folder: where to write.
        bounds: how much may come.
        field: the name of the files that are wanted, for those who send no form.
        between: called before each piece of some 64 kB.

    Returns:
        The text fields, those given twice as lists, and the files. An empty file without a name, which is
        what a browser sends where nothing was chosen, is left out, and not kept.

    Raises:
        InvalidRequest: this is no multipart form, or not all of one.
        OSError: the disk does not take it.
    """
    if request.mimetype != _FORM:
        raise InvalidRequest(f"Send a multipart form with a file named {field}.")
    request.max_content_length = bounds.bytes
    with _translated(bounds.too_large), _Places(folder) as places:
        parser = FormDataParser(
            places.open, max_form_memory_size=_FIELD_BYTES, silent=False, max_form_parts=bounds.parts
        )
        _, fields, files = parser.parse(
            cast("IO[bytes]", _Pieces(request.stream, between)),
            request.mimetype,
            request.content_length,
            request.mimetype_params,
        )
    texts = {name: values[0] if len(values) == 1 else values for name, values in fields.lists()}
    return texts, [(name, file) for name, file in files.items(multi=True) if not _dropped(file)]


def path(file: FileStorage) -> Path:
    """Where a received file lies."""
    return Path(str(file.stream.name))


def _dropped(file: FileStorage) -> bool:
    """Remove what a browser sends where nothing was chosen; whether it was that."""
    nothing = not file.filename and not path(file).stat().st_size
    if nothing:
        path(file).unlink()
    return nothing


class PictureForm(FormDataParser):
    """Reads the forms of predictions and pages, which are kept in memory."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> Any:
        """The stream that is left, the text fields and the files."""
        if mimetype != _FORM:
            return super().parse(stream, mimetype, content_length, options)
        pieces = cast("IO[bytes]", _Pieces(stream, most=_PICTURE_PIECE))
        return (stream, *super().parse(pieces, mimetype, content_length, options)[1:])


class _Pieces:
    """A body of which no piece ends in a dash.

    If one ended between the last two dashes of a form, the parser would take the end of the line before them
    for a part of the last file.
    """

    def __init__(
        self, stream: IO[bytes], between: Callable[[], None] = lambda: None, most: int | None = None
    ) -> None:
        self._stream = stream
        self._between = between
        self._most = most

    def read(self, size: int) -> bytes:
        self._between()
        piece = self._stream.read(min(size, self._most or size))
        for _ in range(_MOST_DASHES):
            if not piece.endswith(b"-") or not (more := self._stream.read(1)):
                break
            piece += more
        return piece


class _Places:
    """Opens one file after the other, each when the one before it is complete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._last: IO[bytes] | None = None

    def __enter__(self) -> "_Places":
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def open(
        self,
        total_content_length: int | None,  # noqa: ARG002 (the parser names them all)
        content_type: str | None,  # noqa: ARG002
        filename: str | None,  # noqa: ARG002
        content_length: int | None = None,  # noqa: ARG002
    ) -> IO[bytes]:
        self._close()
        self._last = (self._folder / f"part-{self._number}").open("w+b")
        self._number += 1
        return self._last

    def _close(self) -> None:
        if self._last is not None:
            self._last.close()


@contextmanager
def _translated(too_large: PredictorError) -> Iterator[None]:
    try:
        yield
    except RequestEntityTooLarge as error:
        raise too_large from error
    except ClientDisconnected as error:
        raise InvalidRequest("The upload is incomplete.") from error
    except ValueError as error:
        raise InvalidRequest("The multipart form cannot be read.") from error
