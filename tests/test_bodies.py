"""Bodies are received as they were sent, however they come and are read."""

import socket
import threading
from types import SimpleNamespace

import pytest
from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.unreader import SocketUnreader
from hypothesis import given
from hypothesis import strategies as st

from predictor.bodies import DirectBody

NEXT = b"GET / HTTP/1.1\r\n\r\n"


def received(sent: bytes, length: int, buffered: int, sizes: list[int | None]) -> tuple[list[bytes], bytes]:
    """What is read of a body in pieces, and what is left for the next request.

    Args:
        sent: the body and what follows it.
        length: of the body.
        buffered: how many bytes came with the headers.
        sizes: of the pieces that are asked for.
    """
    here, there = socket.socketpair()
    with here, there:

        def send() -> None:
            there.sendall(sent[buffered:])
            there.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        unreader = SocketUnreader(here)
        unreader.unread(sent[:buffered])
        request = SimpleNamespace(body=Body(LengthReader(unreader, length)))
        body = DirectBody.of(request, here)
        assert type(body) is DirectBody
        read = [body.read(size) for size in sizes]
        rest = unreader.take_buffered()
        while piece := here.recv(65536):
            rest += piece
        sender.join()
    return read, rest


@given(
    st.integers(0, 300_000),
    st.integers(0, 10_000),
    st.lists(st.one_of(st.none(), st.integers(0, 100_000)), max_size=5),
)
def test_pieces(length: int, buffered: int, sizes: list[int | None]) -> None:
    """Every byte comes once and in order, and the next request on the connection is left alone."""
    sent = bytes(number % 251 for number in range(length)) + NEXT

    read, rest = received(sent, length, min(buffered, len(sent)), [*sizes, None])

    assert b"".join(read) + rest == sent
    assert rest == NEXT
    left = length
    for size, piece in zip(sizes, read, strict=False):
        assert len(piece) == min(left, left if size is None else size)
        left -= len(piece)


def test_cut_off() -> None:
    """A body that ends too early is as short as it came; nothing is waited for."""
    read, rest = received(b"short", 100, 2, [None, None])

    assert (read, rest) == ([b"short", b""], b"")


def test_absurd_length() -> None:
    """Nobody makes the service look for more memory than there is."""
    read, _ = received(b"short", 10**20, 2, [None])

    assert read == [b"short"]


def test_broken() -> None:
    """A connection that breaks within a body is not used for another request."""
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(0.05)
        body = DirectBody(LengthReader(SocketUnreader(here), 10))
        there.sendall(b"half")

        with pytest.raises(TimeoutError):
            body.read()

    assert body.failed


def test_others() -> None:
    """A body of unknown length, and one that comes encrypted, stay as gunicorn made them."""
    here, there = socket.socketpair()
    with here, there:
        unreader = SocketUnreader(here)
        chunked = SimpleNamespace(body=Body(ChunkedReader(None, unreader)))
        known = SimpleNamespace(body=Body(LengthReader(unreader, 5)))

        assert DirectBody.of(chunked, here) is chunked.body
        assert DirectBody.of(known, object()) is known.body
        assert DirectBody.of(SimpleNamespace(body=None), here) is None
