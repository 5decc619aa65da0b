"""A client is waited for as long as it keeps a minimum rate, and the slowest one can be given up."""

import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import pytest

from predictor.server.clients import (
    BYTES_PER_SECOND,
    WAIT_SECONDS,
    ClientSocket,
    ClientTooSlow,
    Waits,
    header_is_here,
    is_over,
)
from tests.patience import PATIENCE
from tests.server.connections import Pair, connected

MUCH = bytes(10 << 20)


def in_thread(call: Callable[[], None]) -> threading.Thread:
    """Start something beside the test."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def read_on(connection: socket.socket) -> int:
    """Read to the end of a connection; how much there was."""
    received = 0
    while data := connection.recv(1 << 20):
        received += len(data)
    return received


def test_waits_for_bytes(pair: Pair) -> None:
    """What comes later is waited for, and the end of the connection is no bytes."""
    ours, theirs = pair

    def send() -> None:
        time.sleep(0.05)
        theirs.sendall(b"hello")
        theirs.close()

    sender = in_thread(send)

    assert ours.recv(100) == b"hello"
    assert ours.recv(100) == b""
    sender.join(PATIENCE)


def test_nothing_comes() -> None:
    """A client that sends nothing is too slow; gunicorn takes that for a client that has left."""
    with connected(0.05) as (ours, _), pytest.raises(ClientTooSlow) as raised:
        ours.recv(100)

    assert isinstance(raised.value, TimeoutError)
    assert raised.value.errno == errno.ECONNRESET


@contextmanager
def sending(theirs: socket.socket, piece: bytes) -> Iterator[None]:
    """Send a piece now and then as long as the block lasts."""
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(0.02):
            theirs.sendall(piece)

    sender = in_thread(send)
    try:
        yield
    finally:
        ended.set()
        sender.join(PATIENCE)


@pytest.mark.parametrize(
    ("piece", "rate"), [(b"x", BYTES_PER_SECOND), (bytes(1000), inf)], ids=["trickle", "header"]
)
def test_trickle(piece: bytes, rate: float) -> None:
    """A byte now and then does not last, and nothing does where bytes bring no time, as in a header."""
    with connected(0.3) as (ours, theirs):
        ours.allow(rate)
        with sending(theirs, piece), pytest.raises(ClientTooSlow):
            read_on(ours)


def test_slow_but_steady() -> None:
    """A client that keeps the rate may take longer than it may stall."""

    def send() -> None:
        for _ in range(40):
            time.sleep(0.05)
            theirs.sendall(bytes(2000))
        theirs.shutdown(socket.SHUT_WR)

    with connected(1.5) as (ours, theirs):
        ours.allow(1000)
        sender = in_thread(send)
        received = read_on(ours)
        sender.join(PATIENCE)

    assert received == 80_000


def test_nobody_reads() -> None:
    """An answer that nobody reads ends, and the kernel keeps nothing of it: the client sees a reset."""
    with connected(0.05) as (ours, theirs):
        with pytest.raises(ClientTooSlow):
            ours.sendall(MUCH)
        ours.close()

        with pytest.raises(ConnectionResetError):
            read_on(theirs)


def test_slow_reader(pair: Pair) -> None:
    """A large answer arrives whole at a client that reads it in small pieces."""
    ours, theirs = pair
    received = list[int]()

    def read() -> None:
        while sum(received) < len(MUCH):
            received.append(len(theirs.recv(100_000)))

    reader = in_thread(read)
    ours.sendall(MUCH)
    reader.join(PATIENCE)

    assert sum(received) == len(MUCH)


def test_looks_do_not_wait(pair: Pair) -> None:
    """Who only wants to know what is there is told at once."""
    ours, theirs = pair

    with pytest.raises(BlockingIOError):
        ours.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    theirs.close()
    assert ours.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""


def test_timeouts_of_the_server(pair: Pair) -> None:
    """Gunicorn's own shorter limits hold, and its blocking mode changes nothing."""
    ours, _ = pair
    ours.setblocking(True)
    ours.settimeout(0.05)

    with pytest.raises(TimeoutError):
        ours.recv(100)
    assert ours.gettimeout() is None


def test_given_up() -> None:
    """A thread that waits for a client that is given up learns of it."""
    waits, raised = Waits(), list[type[BaseException]]()

    def receive() -> None:
        try:
            ours.recv(100)
        except ClientTooSlow as error:
            raised.append(type(error))

    # Half of the usual time, as if the client had cost the rest before.
    with connected(WAIT_SECONDS / 2) as (ours, _):
        waits.begin(ours)
        reader = in_thread(receive)
        while (client := waits.slowest()) is None:
            time.sleep(0.01)
        client.give_up()
        reader.join(PATIENCE)

        assert client is ours
    assert raised == [ClientTooSlow]


class Waiting(ClientSocket):
    """A connection whose thread waits, or does not."""

    seconds = float("inf")

    def left(self) -> float:
        """As the test says."""
        return self.seconds


def test_order_of_the_slowest() -> None:
    """Who has the least time left is given up first, each once, and nobody who cost hardly any."""
    here, there = socket.socketpair()
    waits = Waits()
    with here, there, Waiting(here) as first, Waiting(there) as second:
        waits.begin(first)
        waits.begin(second)
        assert waits.slowest() is None
        first.seconds, second.seconds = 3.0, 2.0
        assert [waits.slowest(), waits.slowest(), waits.slowest()] == [second, first, None]
        waits.begin(first)
        waits.end(first)
        waits.begin(second)
        second.seconds = WAIT_SECONDS
        assert waits.slowest() is None


HEADER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


def test_header_and_body_are_one(pair: Pair) -> None:
    """A header leaves with its body: a proxy that has only the header could ask no other worker."""
    ours, theirs = pair
    ours.sendall(HEADER)
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    theirs.setblocking(True)

    ours.sendall(b"body")
    assert theirs.recv(1000) == HEADER + b"body"
    ours.sendall(b"more")
    assert theirs.recv(1000) == b"more"


def test_header_without_body(pair: Pair) -> None:
    """A header that nothing follows is sent when its request is over, and an interim one at once."""
    ours, theirs = pair
    ours.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert theirs.recv(1000).endswith(b"Continue\r\n\r\n")

    ours.sendall(HEADER)
    ours.flush()
    assert theirs.recv(1000) == HEADER
    ours.flush()
    ours.close()
    assert theirs.recv(1000) == b""


def test_header_and_file(pair: Pair, tmp_path: Path) -> None:
    """A file follows its header."""
    (tmp_path / "file").write_bytes(b"0123456789")
    ours, theirs = pair
    ours.sendall(HEADER)
    with (tmp_path / "file").open("rb") as file:
        assert ours.sendfile(file, offset=2, count=4) == 4
    ours.close()

    theirs.settimeout(PATIENCE)
    assert theirs.makefile("rb").read() == HEADER + b"2345"


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
