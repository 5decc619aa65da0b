"""Connections over loopback."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from predictor.server.clients import WAIT_SECONDS, ClientSocket
from tests.patience import PATIENCE

Pair = tuple[ClientSocket, socket.socket]
"""Our end of a connection over loopback, and the client's."""


@contextmanager
def connected(seconds: float = WAIT_SECONDS) -> Iterator[Pair]:
    """A connection on which may be waited for so long."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname(), timeout=PATIENCE)
        accepted, _ = listener.accept()
        with theirs, ClientSocket(accepted, seconds) as ours:
            yield ours, theirs
