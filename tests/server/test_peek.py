"""What a connection has is found out without waiting."""

import pytest

from predictor.server.peek import header_is_here, is_over
from tests.server.connections import Pair


@pytest.mark.parametrize(
    ("sent", "here"),
    [
        (b"", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", True),
        (b"GET / HTTP/1.1\nHost: a\n", True),
        (b"a" * 9000, True),
    ],
)
def test_header(pair: Pair, sent: bytes, here: bool) -> None:
    """A header is there with its empty line, or once it is no header any more; it stays to be read."""
    ours, theirs = pair
    theirs.sendall(sent)
    # Over loopback it is there when it was sent.
    assert header_is_here(ours) is here
    assert not sent or ours.recv(len(sent)) == sent


def test_header_of_a_client_that_left(pair: Pair) -> None:
    """There is nothing to wait for."""
    ours, theirs = pair
    assert not header_is_here(ours)
    theirs.close()

    ours.recv(1)
    assert header_is_here(ours)


def test_is_over(pair: Pair) -> None:
    """A connection is over when the client has closed it, and what it sent before is read away."""
    ours, theirs = pair
    assert not is_over(ours)
    theirs.sendall(bytes(100_000))
    theirs.close()
    while not is_over(ours):
        pass

    assert ours.recv(1) == b""
