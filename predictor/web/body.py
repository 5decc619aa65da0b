"""The body of a request as its client sends it: what becomes of a client that does not send all of it.

`FormSource` is the body of a multipart form for its parser, and says what is wrong where that stops.
"""

import re
import zlib
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING

from gunicorn.http.errors import ParseException

from predictor.errors import (
    ClientClosedRequest,
    ImageTooLarge,
    IncompleteBody,
    InvalidRequest,
    RequestTimeout,
)
from predictor.image.kinds import is_text

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_INPUT = "wsgi.input"

NO_BOUNDARY = (
    "The multipart form has no boundary in its Content-Type: let the HTTP client set this header itself."
)
"""The sentence on a form whose Content-Type was set by hand."""
NO_FORM_DATA = "A form in several parts must have the Content-Type multipart/form-data."
"""The sentence on a body in parts of another type, such as multipart/mixed."""
_DAMAGED = "The multipart form is damaged or incomplete"
_LINE_FEEDS = f"{_DAMAGED}: its lines end with line feeds alone, not with CRLF."
_CUT = f"{_DAMAGED}: it ends before its closing boundary."
_NO_PART = (
    f"{_DAMAGED}: no part of it begins with the boundary that its Content-Type names; "
    "let the HTTP client set this header itself."
)
_MALFORMED = f"{_DAMAGED}: the header of a part, or the line of a boundary, is not valid."
_LOOKED_AT = 1024
# Some clients leave out the quotes that a boundary with an equals sign or a slash needs (RFC 2046, 5.1.1).
_BARE_BOUNDARY = re.compile(r"""(;\s*boundary=)([^\s";]+)""", re.IGNORECASE)
# Either format, as its first bytes say.
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS


class RequestBody:
    """The input of a WSGI environment, with errors of the connection as errors of the request.

    Args:
        source: the server's input.
        length: how many bytes are to come; None if that is not known.
    """

    def __init__(self, source: IO[bytes], length: int | None) -> None:
        self._source = source
        self._left = length

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all that are left.

        Raises:
            ClientClosedRequest: the client has reset the connection.
            IncompleteBody: the client has closed it.
            RequestTimeout: the client is too slow.
            InvalidRequest: it is malformed: the server reads it while the application does.
        """
        try:
            data = self._source.read(size)
        except TimeoutError as error:
            raise RequestTimeout("The body of the request came too slowly, or not to its end.") from error
        except ConnectionError as error:
            raise ClientClosedRequest("The client closed the connection within the body.") from error
        except OSError as error:
            raise IncompleteBody("The body of the request ends too early.") from error
        except ParseException as error:
            raise InvalidRequest("The request's body is malformed or incomplete.") from error
        if self._left is not None:
            self._left -= len(data)
            if self._left and (size < 0 or len(data) < size):
                raise IncompleteBody("The body is shorter than its Content-Length says.")
        return data


def watch(environ: "WSGIEnvironment") -> None:
    """Let a request's body be read through `RequestBody`, and its boundary be what its client meant."""
    if declared := environ.get("CONTENT_TYPE"):
        environ["CONTENT_TYPE"] = _BARE_BOUNDARY.sub(r'\1"\2"', declared)
    length = environ.get("CONTENT_LENGTH", "")
    if length or "HTTP_TRANSFER_ENCODING" in environ:
        known = int(length) if length.isdecimal() else None
        environ[_INPUT] = RequestBody(environ[_INPUT], known)


class FormSource:
    """A form's body as the parser reads it, and what may be wrong with it.

    Args:
        body: gives the stream; a body that is too large fails there.
        parameters: those of the Content-Type.

    Attributes:
        boundary: what separates the parts.

    Raises:
        InvalidRequest: there is no boundary.
    """

    def __init__(self, body: Callable[[], IO[bytes]], parameters: Mapping[str, str]) -> None:
        self.boundary = parameters.get("boundary", "")
        if not self.boundary:
            raise InvalidRequest(NO_BOUNDARY)
        self._body = body
        self._begin = b""
        self._ended = False

    def __call__(self, size: int) -> bytes:
        """The next bytes."""
        data = self._body().read(size)
        self._begin = self._begin or data[:_LOOKED_AT]
        self._ended = not data
        return data

    def fault(self, *, cut: bool) -> InvalidRequest:
        """What is wrong where the parser refuses what it has read so far.

        Args:
            cut: whether the client left before the end.
        """
        line, end, _ = self._begin.partition(b"\n")
        if end and line.startswith(b"--") and not line.endswith(b"\r"):
            return InvalidRequest(_LINE_FEEDS)
        if not (self._ended or cut):
            return InvalidRequest(_MALFORMED)
        return InvalidRequest(_CUT if b"--" + self.boundary.encode() in self._begin else _NO_PART)


def decompressed(data: bytes, limit: int, *, raw: bool) -> bytes:
    """A body as it was before its compression by gzip or deflate.

    Args:
        data: the body.
        limit: most bytes that may come of it.
        raw: whether it may be without a header, as .NET's `DeflateStream` makes it (RFC 9110, 8.4.1.2).

    Raises:
        InvalidRequest: it is damaged or incomplete.
        ImageTooLarge: more bytes come of it.
    """
    # What a header begins with cannot begin deflate's own blocks.
    headed = data[:1] == b"\x1f" or (data[:1] != b"" and data[0] % 16 == zlib.DEFLATED)
    stream = zlib.decompressobj(-zlib.MAX_WBITS if raw and not headed else _ZLIB_OR_GZIP)
    try:
        plain = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise InvalidRequest("The compressed body is damaged.") from error
    if len(plain) > limit:
        raise ImageTooLarge("The request is larger than allowed.")
    if not stream.eof or stream.unused_data:
        raise InvalidRequest("The compressed body is incomplete, or something follows it.")
    return plain


MOST_VALUES = 1_000_000
"""Values that the JSON of a request may have, unless it holds tensors."""
# An empty list takes 2 bytes of JSON and 64 of memory. What is shorter than this takes little in any case.
_SHORT_JSON = 4_000_000


def check_values(data: bytes, most: int) -> None:
    """See that JSON cannot have more values than this, before any of them is made.

    Raises:
        InvalidRequest: it may have more; commas and brackets in texts count as well.
    """
    if len(data) > _SHORT_JSON and sum(data.count(mark) for mark in (b",", b"[", b"{")) > most:
        raise InvalidRequest(f"The JSON has more than {most} values.")


# What curl drops of a file that it sends by -d; longer files that are no text have some of it.
_LOST, _SHORTEST = frozenset(b"\n\r\0"), 1000


def check_whole(data: bytes) -> None:
    """See that a body that came as a form is no file whose line breaks are lost.

    Raises:
        InvalidRequest: it is one.
    """
    if len(data) > _SHORTEST and _LOST.isdisjoint(data) and not is_text(data):
        raise InvalidRequest(
            "The body is a file without its line breaks, as curl sends it by -d @FILE; use "
            "--data-binary @FILE."
        )
