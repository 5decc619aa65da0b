"""A multipart form -> its text fields and its files, kept in memory or written to the disk as they come.

The library `multipart` finds the parts; what is a file, and where it goes, is decided here.
"""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from flask import Request
from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser
from werkzeug.datastructures import FileStorage, ImmutableMultiDict, MultiDict
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from predictor.errors import InvalidRequest, PredictorError
from predictor.image.kinds import is_text
from predictor.web.body import FormSource

MULTIPART = "multipart/form-data"
IMAGE = "image"
"""The field of an image in a form."""
ADMIT = "predictor.admit"
"""The key of a WSGI environment under which stands what judges the token of a page's form."""

_TOKEN = "token"  # noqa: S105 (the name of a field)
_FIELD_BYTES = 100_000
_LOOKED_AT = 1024
_CHUNK_BYTES = 64 << 10
# A field or a file may have a long name; what it is good for is decided where the field is known.
_HEADER_BYTES = 256 << 10
_MAX_PARTS = 1_000
_BINARY = "application/octet-stream"
# RFC 5987; urllib3 before 2.0 names files that way, although RFC 7578 forbids it.
_EXTENDED_NAME = re.compile(r"filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE)

Part = tuple[MultipartSegment, IO[bytes]]


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


@dataclass(frozen=True)
class ReceivedFile:
    """A file of a form on the disk.

    Attributes:
        field: the name of its field.
        filename: what its sender called it; empty if it has no name. Never a path to be used.
        path: where it lies, under a name of our own.
    """

    field: str
    filename: str
    path: Path


def receive(
    request: Request,
    folder: Path,
    bounds: Bounds,
    *,
    field: str,
) -> tuple[dict[str, Any], list[ReceivedFile]]:
    """Write a form's files into a folder, under names of our own.

    Args:
        request: what comes.
        folder: where to write.
        bounds: how much may come.
        field: the name of the files that are wanted, for those who send no form.

    Returns:
        The text fields, those given twice as lists, and the files. An empty file without a name, which is
        what a browser sends where nothing was chosen, is left out, and not kept.

    Raises:
        InvalidRequest: this is no multipart form, or not all of one.
        OSError: the disk does not take it.
    """
    if request.mimetype != MULTIPART:
        raise InvalidRequest(f"Send a multipart form with a file in the field {field}.")
    request.max_content_length = bounds.bytes
    fields: MultiDict[str, str] = MultiDict()
    files: list[ReceivedFile] = []
    source = FormSource(lambda: request.stream, request.mimetype_params)
    with _translated(source, bounds.too_large), ExitStack() as opened:

        def destination(segment: MultipartSegment) -> IO[bytes]:
            if not _is_file(segment):
                return io.BytesIO()
            return opened.enter_context((folder / f"part-{len(files)}").open("wb"))

        for segment, content in _parts(source, bounds.parts, destination):
            if isinstance(content, io.BytesIO):
                fields.add(_name(segment), _text(content))
                continue
            content.close()
            files.append(ReceivedFile(_name(segment), _filename(segment) or "", Path(content.name)))
    texts = {name: values[0] if len(values) == 1 else values for name, values in fields.lists()}
    return texts, [file for file in files if not _dropped(file)]


class FormParser(FormDataParser):
    """Reads the forms of predictions and pages into memory, for Werkzeug's `Request`.

    Attributes:
        admit: judges the token of a page's form by raising an error; None where a form has no token.
    """

    admit: Callable[[str], None] | None = None

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> Any:
        """The stream that is left, the text fields and the files.

        Raises:
            InvalidRequest: the form is damaged or incomplete.
            RequestEntityTooLarge: it has more bytes or parts than allowed.
        """
        if mimetype != MULTIPART:
            return super().parse(stream, mimetype, content_length, options)
        fields: MultiDict[str, str] = MultiDict()
        files: MultiDict[str, FileStorage] = MultiDict()
        source = FormSource(lambda: stream, options or {})
        with _translated(source, RequestEntityTooLarge()):
            for segment, content in _parts(source, _MAX_PARTS, self._begin):
                name = _name(segment)
                if name == _TOKEN and self.admit:
                    self._judge(_text(content))
                elif _is_file(segment) or (name == IMAGE and not _is_text(content)):
                    content.seek(0)
                    files.add(name, FileStorage(content, _filename(segment) or "", name))
                else:
                    fields.add(name, _text(content))
        self._judge("")
        return stream, ImmutableMultiDict(fields), ImmutableMultiDict(files)

    def _begin(self, segment: MultipartSegment) -> IO[bytes]:
        """Where a part goes; nothing but the token is read before the token is known to be right."""
        if segment.name != _TOKEN:
            self._judge("")
        return io.BytesIO()

    def _judge(self, token: str) -> None:
        if self.admit is not None:
            admit, self.admit = self.admit, None
            admit(token)


def _parts(
    source: FormSource, max_parts: int, destination: Callable[[MultipartSegment], IO[bytes]]
) -> Iterator[Part]:
    """Each part, complete, with where its content was written to."""
    part: Part | None = None
    limits = {"max_segment_count": max_parts, "max_header_size": _HEADER_BYTES}
    parser = PushMultipartParser(source.boundary, header_charset="latin-1", **limits)
    with parser:
        for event in parser.parse_blocking(source, _CHUNK_BYTES):
            if isinstance(event, MultipartSegment):
                part = event, destination(event)
            elif part and event:
                _check_field(part, len(event))
                part[1].write(event)
            elif part:
                yield part


def _check_field(part: Part, more: int) -> None:
    """Bound a text field; an image may come as text, and the whole body has a bound of its own."""
    segment, content = part
    text = segment.name == _TOKEN or not (_is_file(segment) or segment.name == IMAGE)
    if text and content.tell() + more > _FIELD_BYTES:
        raise ParserLimitReached


def _is_file(segment: MultipartSegment) -> bool:
    """Whether a part says that it is a file; RFC 7578 section 4.2 does not demand a file's name."""
    kind = segment.content_type or ""
    return _filename(segment) is not None or kind == _BINARY or kind.startswith("image/")


def _is_text(content: IO[bytes]) -> bool:
    content.seek(0)
    begin = content.read(_LOOKED_AT)
    return not begin or is_text(begin)


def _name(segment: MultipartSegment) -> str:
    """The field's name, without the brackets by which many clients mark a list."""
    return _decoded(segment.name or "").removesuffix("[]")


def _filename(segment: MultipartSegment) -> str | None:
    """The file's name; None if the part has none. The extended form, if there is one, is the whole name."""
    if found := _EXTENDED_NAME.search(segment.header("Content-Disposition", "")):
        return unquote(found[2], found[1])
    return None if segment.filename is None else _decoded(segment.filename)


def _decoded(text: str) -> str:
    """A text of a header, read as Latin-1 because that never fails, in UTF-8 if it is that."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeDecodeError:
        return text


def _text(content: IO[bytes]) -> str:
    content.seek(0)
    return content.read().decode(errors="replace")


def _dropped(file: ReceivedFile) -> bool:
    """Remove what a browser sends where nothing was chosen; whether it was that."""
    if nothing := not file.filename and not file.path.stat().st_size:
        file.path.unlink()
    return nothing


@contextmanager
def _translated(source: FormSource, too_large: Exception) -> Iterator[None]:
    try:
        yield
    except (ParserLimitReached, RequestEntityTooLarge) as error:
        raise too_large from error
    except (ClientDisconnected, MultipartError) as error:
        raise source.fault(cut=isinstance(error, ClientDisconnected)) from error
