"""A request's body of known length, received into one piece of memory.

Gunicorn passes a body through buffers that copy each byte some five times: a millisecond for a photograph of
800 kB, four for one of 4 MB, which is a large part of what such a picture costs altogether.
"""

import socket
from typing import Any

from gunicorn.http.body import Body, LengthReader

# Room is had for a piece before it comes, and a body's length is whatever its sender says.
_MOST = 32 << 20


class DirectBody(Body):
    """The body of a request whose headers were read from a plain socket; it says how long it is."""

    @classmethod
    def of(cls, request: Any, connection: Any) -> Any:
        """The body that a request should have: such a one, or its own where that would not do."""
        known = type(request.body) is Body and type(request.body.reader) is LengthReader
        return cls(request.body.reader) if known and type(connection) is socket.socket else request.body

    def read(self, size: int | None = None) -> bytes:
        """Read so many bytes, or all that are left."""
        wanted = min(self.getsize(size), self.reader.length)
        unreader = self.reader.unreader
        # What came together with the headers, and may be more than this body.
        if self.buf.tell() or unreader.buf.getbuffer().nbytes >= wanted:
            return bytes(super().read(size))
        pieces = [unreader.take_buffered()]
        missing = wanted - len(pieces[0])
        try:
            while missing and (piece := unreader.sock.recv(min(missing, _MOST), socket.MSG_WAITALL)):
                pieces.append(piece)
                missing -= len(piece)
        except Exception:
            self.failed = True
            raise
        self.reader.length -= wanted
        return b"".join(pieces)
