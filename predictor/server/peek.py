"""What a connection has for its reader, found out without waiting."""

import socket
from typing import Any

_PEEK_BYTES = 8 << 10
# What is read at once of what nobody wants any more; who has sent more is cut off.
_DISCARD_BYTES = 64 << 10
_DISCARDS = 16


def header_is_here(client: socket.socket) -> bool:
    """Return whether the header of the next request has arrived, or the bytes are known to be no header."""
    try:
        head = client.recv(_PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return (
        len(head) in {0, _PEEK_BYTES}
        or b"\r\n\r\n" in head
        # No header has these, so the parser refuses it before its end.
        or head.count(b"\n") != head.count(b"\r\n")
    )


def is_over(leaving: socket.socket) -> bool:
    """Read what a client still sends after its last answer; whether it has closed, or sends too much."""
    try:
        for _ in range(_DISCARDS):
            if not leaving.recv(_DISCARD_BYTES, socket.MSG_DONTWAIT):
                break
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def is_silent(client: socket.socket) -> bool:
    """Whether a client has neither closed its connection nor sent anything that was not read."""
    try:
        client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    return False


def has_read_ahead(conn: Any) -> bool:
    """Whether bytes of a connection's next request came with those of the last one."""
    return conn.parser is not None and bool(conn.parser.unreader.buf.getvalue())
