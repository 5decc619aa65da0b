"""Connections to permitted addresses: one lookup, every answer checked, the checked address connected."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from predictor.errors import FetchBlocked, FetchFailed, FetchTimeout
from predictor.fetch.addresses import AllowList
from predictor.fetch.dial import (
    BLOCKED,
    BLOCKED_PORT,
    MAX_LOOKUPS,
    REFUSED,
    UNKNOWN,
    UNREACHABLE,
    Answer,
    Deadline,
    Dialer,
)
from tests.patience import PATIENCE

Listen = Callable[[str, int], socket.socket]


class Names:
    """A resolver whose answers are written down; a name with several turns gets the next one each time."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.names = {name.replace("_", "."): turns for name, turns in names.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[Answer]:
        """Answer as getaddrinfo does."""
        self.asked.append(host)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        turns = self.names[host]
        turn = turns[(self.asked.count(host) - 1) % len(turns)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in turn]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Opens listeners that can be asked afterwards whether anyone connected."""
    opened: list[socket.socket] = []

    def start(host: str, port: int = 0) -> socket.socket:
        opened.append(socket.create_server((host, port)))
        return opened[-1]

    yield start
    for listener in opened:
        listener.close()


def port_of(listener: socket.socket) -> int:
    """The port that a listener was given."""
    return int(listener.getsockname()[1])


def two_listeners(listen: Listen) -> tuple[socket.socket, socket.socket]:
    """Listeners of 127.0.0.1 and 127.0.0.2 on one port, which anybody may have taken meanwhile."""
    for _ in range(20):
        first = listen("127.0.0.1", 0)
        with contextlib.suppress(OSError):
            return first, listen("127.0.0.2", port_of(first))
    raise AssertionError("no port is free on both addresses")


def connections(listener: socket.socket) -> int:
    """How many connections wait in a listener."""
    listener.setblocking(False)
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def connect(dialer: Dialer, host: str, port: int, seconds: float = 5.0) -> None:
    """Dial and hang up."""
    with Deadline(seconds) as deadline:
        dialer.dial(deadline, host, port).close()


@pytest.mark.promise("S3")
def test_rebinding(listen: Listen) -> None:
    """A name whose answers alternate is asked once for each connection; only the good answer is connected."""
    good, bad = two_listeners(listen)
    names = Names(rebind_test=[["127.0.0.1"], ["127.0.0.2"]])
    dialer = Dialer(AllowList.parse([f"127.0.0.1:{port_of(good)}"]), names)
    for turn in range(20):
        if turn % 2:
            with pytest.raises(FetchBlocked):
                connect(dialer, "rebind.test", port_of(good))
        else:
            connect(dialer, "rebind.test", port_of(good))
        assert len(names.asked) == turn + 1
    assert connections(good) == 10
    assert connections(bad) == 0


@pytest.mark.promise("S2")
@pytest.mark.parametrize("answers", [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]])
def test_mixed_answers(listen: Listen, answers: list[str]) -> None:
    """One answer that is not permitted closes the name, wherever it stands in the list."""
    good, bad = two_listeners(listen)
    dialer = Dialer(AllowList.parse([f"127.0.0.1:{port_of(good)}"]), Names(mixed_test=[answers]))
    with pytest.raises(FetchBlocked, match=BLOCKED_PORT):
        connect(dialer, "mixed.test", port_of(good))
    assert connections(good) == connections(bad) == 0


def test_name_of_private_address(monkeypatch: pytest.MonkeyPatch, listen: Listen) -> None:
    """A name that leads inwards on a web port is refused without a connection."""
    inner = listen("127.0.0.1", 0)
    monkeypatch.setattr("predictor.fetch.addresses.WEB_PORTS", frozenset({port_of(inner)}))
    with pytest.raises(FetchBlocked, match=BLOCKED):
        connect(Dialer(AllowList(), Names(inner_test=[["127.0.0.1"]])), "inner.test", port_of(inner))
    assert connections(inner) == 0


def test_next_address(listen: Listen) -> None:
    """When an address refuses the connection the next one is tried."""
    open_listener = listen("127.0.0.1", 0)
    dialer = Dialer(AllowList.parse(["two.test"]), Names(two_test=[["127.0.0.2", "127.0.0.1"]]))
    connect(dialer, "two.test", port_of(open_listener))
    assert connections(open_listener) == 1


def test_nobody_listens(listen: Listen) -> None:
    """A permitted address that refuses is a failed download, and said to refuse."""
    listener = listen("127.0.0.1", 0)
    port = port_of(listener)
    listener.close()
    assert REFUSED.startswith(UNREACHABLE.rstrip("."))
    with pytest.raises(FetchFailed, match=REFUSED):
        connect(Dialer(AllowList.parse(["gone.test"]), Names(gone_test=[["127.0.0.1"]])), "gone.test", port)


@pytest.mark.parametrize("names", [Names(), Names(no_test=[[]])])
def test_unknown_name(names: Names) -> None:
    """A name without an answer is a failed download, with a sentence of its own."""
    with pytest.raises(FetchFailed, match=UNKNOWN):
        connect(Dialer(AllowList(), names), "no.test", 80)


def test_closed_port() -> None:
    """A port that cannot be permitted is refused before the name is resolved, and said to be the reason."""
    names = Names(public_test=[["93.184.215.14"]])
    with pytest.raises(FetchBlocked, match=BLOCKED_PORT):
        connect(Dialer(AllowList(), names), "public.test", 22)
    assert names.asked == []


@pytest.mark.parametrize("answer", ["127.0.0.1%lo", "unix", ""])
def test_answer_without_address(answer: str) -> None:
    """An answer that is no address is refused."""
    with pytest.raises(FetchBlocked):
        connect(Dialer(AllowList.parse(["127.0.0.0/8"]), Names(odd_test=[[answer]])), "odd.test", 80)


def test_peer_differs(listen: Listen) -> None:
    """A connection that ends elsewhere than at the checked address is refused."""
    listener = listen("127.0.0.1", 0)
    dialer = Dialer(AllowList.parse(["0.0.0.0"]), Names(zero_test=[["0.0.0.0"]]))
    with pytest.raises(FetchBlocked):
        connect(dialer, "zero.test", port_of(listener))


def test_black_hole(listen: Listen) -> None:
    """Lookups that never end time out, at last for want of a free one, and leave no trace once they end."""
    answered = threading.Event()
    listener = listen("127.0.0.1", 0)
    names = Names(hole_test=[["127.0.0.1"]])
    begun: list[str] = []

    def resolve(host: str, port: int) -> Sequence[Answer]:
        begun.append(host)
        answered.wait(PATIENCE)
        return names(host, port)

    dialer = Dialer(AllowList.parse(["hole.test"]), resolve)
    try:
        for _ in range(MAX_LOOKUPS + 3):
            with pytest.raises(FetchTimeout):
                connect(dialer, "hole.test", port_of(listener), seconds=0.01)
        assert len(begun) <= MAX_LOOKUPS
    finally:
        answered.set()
    connect(dialer, "hole.test", port_of(listener))
    assert connections(listener) == 1


def test_no_thread_for_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started that would end a download, there is none."""

    def refused(_: threading.Thread) -> None:
        raise RuntimeError

    monkeypatch.setattr(threading.Thread, "start", refused)

    with pytest.raises(FetchFailed, match=UNREACHABLE), Deadline(PATIENCE):
        pass


def test_watch_after_the_end(listen: Listen) -> None:
    """A connection that was made when the time was just over is not left without a watch."""
    listener = listen("127.0.0.1", 0)
    with Deadline(0.01) as deadline, socket.create_connection(listener.getsockname()) as connection:
        time.sleep(0.05)
        with pytest.raises(FetchTimeout):
            deadline.watch(connection)
