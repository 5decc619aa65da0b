"""Connections wait for their clients without a thread."""

import select
import socket
from collections.abc import Iterator

import pytest

from predictor.server.lobby import Lobby
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


def woken(lobby: Lobby, seconds: float) -> bool:
    """Whether the lobby has something to do, now or within some seconds."""
    poll = select.poll()
    poll.register(lobby, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


def wait(lobby: Lobby) -> None:
    """Let those go that are ready, once there are some."""
    assert woken(lobby, PATIENCE)
    lobby.dispatch()


def test_goes_when_ready(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """A connection goes once all of what it waits for is there, and its bytes are still to be read."""
    (ours, theirs), *_ = pairs
    lobby, left = Lobby(SECONDS), list[bool]()
    lobby.add(ours, whole, left.append)
    theirs.send(b"ab")
    wait(lobby)
    assert left == []
    # What is there already is no reason to wake up again.
    assert not woken(lobby, 0)

    theirs.send(b"c")
    wait(lobby)

    assert left == [True]
    assert len(lobby) == 0
    assert ours.recv(10) == b"abc"


def test_was_ready_before(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """What came before a connection began to wait counts as well."""
    (ours, theirs), *_ = pairs
    lobby, left = Lobby(SECONDS), list[bool]()
    theirs.send(b"abc")
    lobby.add(ours, whole, left.append)

    wait(lobby)

    assert left == [True]


def test_client_closes(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """A client that closes, with or without a part of what was awaited, is not waited for."""
    lobby, left = Lobby(SECONDS), list[bool]()
    for (ours, theirs), part in zip(pairs, (b"", b"ab", b"abc"), strict=True):
        lobby.add(ours, whole, left.append)
        theirs.send(part) if part else None
        theirs.close()

    while len(lobby):
        wait(lobby)

    assert left == [True] * 3


def test_too_long(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """Who has waited too long goes; the time can be shortened for all."""
    lobby, left = Lobby(SECONDS), list[bool]()
    for ours, _ in pairs:
        lobby.add(ours, whole, left.append)

    lobby.expire(SECONDS)
    assert left == []
    # It is not looked again at once, unless places are needed.
    lobby.expire(0.0, excess=1)

    assert left == [False] * 3


def test_unwatched(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """A connection whose bytes are of no interest wakes nobody, and goes when its time is over."""
    (ours, theirs), *_ = pairs
    lobby, left = Lobby(0.0), list[bool]()
    lobby.add(ours, whole, left.append, watch=False)
    theirs.send(b"abc")

    assert not woken(lobby, 0)
    lobby.expire()

    assert left == [False]


def test_places_are_needed(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """Where places are needed, those go that have waited longest."""
    lobby, left = Lobby(SECONDS, fresh=0.0), list[int]()
    for number, (ours, _) in enumerate(pairs):
        lobby.add(ours, whole, lambda _ready, number=number: left.append(number))  # type: ignore[misc]

    lobby.expire(excess=2)

    assert left == [0, 1]
    assert len(lobby) == 1


def test_who_has_just_come(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """A client that has just connected is about to send its request, and keeps its place."""
    (ours, _), *_ = pairs
    lobby, left = Lobby(SECONDS, fresh=SECONDS), list[bool]()
    lobby.add(ours, whole, left.append)

    lobby.expire(excess=5)

    assert left == []
