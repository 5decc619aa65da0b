"""Connections wait for their clients without a thread."""

import select
import socket
from collections.abc import Iterator

import pytest

from predictor.server.idle_connections import IdleConnections
from tests.patience import PATIENCE

SECONDS = 1000.0


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Our ends of three connections, and the clients'."""
    made = [socket.socketpair() for _ in range(3)]
    yield made
    for pair in made:
        for end in pair:
            end.close()


def whole(client: socket.socket) -> bool:
    """Whether all of a word has come."""
    return len(client.recv(10, socket.MSG_PEEK | socket.MSG_DONTWAIT)) >= 3


def woken(idle: IdleConnections, seconds: float) -> bool:
    """Whether there is something to dispatch, now or within some seconds."""
    poll = select.poll()
    poll.register(idle, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


def wait(idle: IdleConnections) -> None:
    """Let those go that are ready, once there are some."""
    assert woken(idle, PATIENCE)
    idle.dispatch()


def test_goes_when_ready(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """A connection goes once all of what it waits for is there, and its bytes are still to be read."""
    (ours, theirs), *_ = pairs
    idle, left = IdleConnections(SECONDS), list[bool]()
    idle.add(ours, whole, left.append)
    theirs.send(b"ab")
    wait(idle)
    assert left == []
    # What is there already is no reason to wake up again.
    assert not woken(idle, 0)

    theirs.send(b"c")
    wait(idle)

    assert left == [True]
    assert len(idle) == 0
    assert ours.recv(10) == b"abc"


def test_was_ready_before(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """What came before a connection began to wait counts as well."""
    (ours, theirs), *_ = pairs
    idle, left = IdleConnections(SECONDS), list[bool]()
    theirs.send(b"abc")
    idle.add(ours, whole, left.append)

    wait(idle)

    assert left == [True]


def test_client_closes(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """A client that closes, with or without a part of what was awaited, is not waited for."""
    idle, left = IdleConnections(SECONDS), list[bool]()
    for (ours, theirs), part in zip(pairs, (b"", b"ab", b"abc"), strict=True):
        idle.add(ours, whole, left.append)
        theirs.send(part) if part else None
        theirs.close()

    while len(idle):
        wait(idle)

    assert left == [True] * 3


def test_too_long(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """Who has waited too long goes; the time can be shortened for all."""
    idle, left = IdleConnections(SECONDS), list[bool]()
    for ours, _ in pairs:
        idle.add(ours, whole, left.append)

    idle.expire(SECONDS)
    assert left == []
    # It is not looked again at once, unless places are needed.
    idle.expire(0.0, excess=1)

    assert left == [False] * 3


def test_unwatched(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """A connection whose bytes are of no interest wakes nobody, and goes when its time is over."""
    (ours, theirs), *_ = pairs
    idle, left = IdleConnections(0.0), list[bool]()
    idle.add(ours, whole, left.append, watch=False)
    theirs.send(b"abc")

    assert not woken(idle, 0)
    idle.expire()

    assert left == [False]


def test_places_are_needed(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """Where places are needed, those go that have waited longest."""
    idle, left = IdleConnections(SECONDS, fresh=0.0), list[int]()
    for number, (ours, _) in enumerate(pairs):
        idle.add(ours, whole, lambda _ready, number=number: left.append(number))  # type: ignore[misc]

    idle.expire(excess=2)

    assert left == [0, 1]
    assert len(idle) == 1


def test_who_has_just_come(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """A client that has just connected is about to send its request, and keeps its place."""
    (ours, _), *_ = pairs
    idle, left = IdleConnections(SECONDS, fresh=SECONDS), list[bool]()
    idle.add(ours, whole, left.append)

    idle.expire(excess=5)

    assert left == []
