"""The bytes of a multipart form on their way to the parser, and what is wrong where the parser stops."""

from collections.abc import Callable, Mapping
from typing import IO

from predictor.errors import InvalidRequest

NO_BOUNDARY = (
    "The multipart form has no boundary in its Content-Type: let the HTTP client set this header itself."
)
"""The sentence on a form whose Content-Type was set by hand."""
_DAMAGED = "The multipart form is damaged or incomplete"
_LINE_FEEDS = f"{_DAMAGED}: its lines end with line feeds alone, not with CRLF."
_CUT = f"{_DAMAGED}: it ends before its closing boundary."
_NO_PART = (
    f"{_DAMAGED}: no part of it begins with the boundary that its Content-Type names; "
    "let the HTTP client set this header itself."
)
_MALFORMED = f"{_DAMAGED}: the header of a part, or the line of a boundary, is not valid."
_LOOKED_AT = 1024


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
