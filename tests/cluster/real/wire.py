"""A way to the store on which a test sees each request, and at which it can act at a chosen moment."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

_PIECE = 65536
_METHODS = (b"GET ", b"PUT ", b"HEAD ", b"POST ", b"DELETE ")
_KINDS = ("pending", "acks", "changes", "machines", "blobs")

Moment = Literal["before", "after"]


@dataclass
class Asked:
    """One request to the store.

    Attributes:
        method: of HTTP.
        path: with its query.
        at: when it passed, by the monotonic clock.
        seconds: until the answer began; none while there is no answer.
    """

    method: str
    path: str
    at: float
    seconds: float | None = None

    @property
    def kind(self) -> str:
        """Method and the first folder of the key that it names."""
        folder = next(
            (kind for kind in _KINDS if f"/{kind}" in self.path or f"%2F{kind}" in self.path), "other"
        )
        method = "LIST" if "list-type" in self.path else self.method
        return f"{method} {folder}"


@dataclass
class _Trap:
    kind: str
    moment: Moment
    action: Callable[[], bool]
    sprung: threading.Event = field(default_factory=threading.Event)


class Wire:
    """Passes bytes between a machine and the store; leaving its block closes it.

    Args:
        address: where it listens.
        store: address and port of the store.
    """

    def __init__(self, address: str, store: tuple[str, int]) -> None:
        self._store = store
        self._listener = socket.create_server((address, 0), backlog=64)
        self.url = f"http://{address}:{self._listener.getsockname()[1]}"
        self.asked: list[Asked] = []
        self._trap: _Trap | None = None

    def __enter__(self) -> "Wire":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def once(self, kind: str, moment: Moment, action: Callable[[], bool]) -> threading.Event:
        """Act at the next request of a kind, such as `PUT pending`.

        Args:
            kind: method and folder.
            moment: before the store gets it, or when the store's answer is there.
            action: says whether the request, or the answer, is to be passed on; if not, the connection ends.

        Returns:
            What is set once the action has ended.
        """
        self._trap = trap = _Trap(kind, moment, action)
        return trap.sprung

    def counts(self, since: float) -> Counter[str]:
        """How many requests of each kind passed since a moment of the monotonic clock."""
        return Counter(asked.kind for asked in self.asked if asked.at >= since)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection: its requests come one after the other, each beginning a piece of bytes."""
        with suppress(OSError), client, socket.create_connection(self._store, 10) as server:
            server.settimeout(None)
            waiting = list[Asked]()
            back = threading.Thread(target=self._answer, args=(server, client, waiting), daemon=True)
            back.start()
            while data := client.recv(_PIECE):
                if data.startswith(_METHODS):
                    method, path, _ = data.split(b"\r\n", 1)[0].decode().split(" ", 2)
                    waiting.append(asked := Asked(method, path, time.monotonic()))
                    self.asked.append(asked)
                    if not self._pass(asked, "before"):
                        return
                server.sendall(data)

    def _answer(self, server: socket.socket, client: socket.socket, waiting: list[Asked]) -> None:
        with suppress(OSError):
            while data := server.recv(_PIECE):
                asked = waiting.pop(0) if waiting else None
                if asked is not None and not data.startswith(b"HTTP/1.1 100"):
                    asked.seconds = time.monotonic() - asked.at
                    if not self._pass(asked, "after"):
                        break
                elif asked is not None:
                    waiting.insert(0, asked)
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)

    def _pass(self, asked: Asked, moment: Moment) -> bool:
        trap = self._trap
        if trap is None or (trap.kind, trap.moment) != (asked.kind, moment):
            return True
        self._trap = None
        try:
            return trap.action()
        finally:
            trap.sprung.set()
