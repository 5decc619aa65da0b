"""`python -m bench.ablate.client PORT CLIENTS KEPT FILE`: clients without a pause until standard input ends.

A process of its own, with bare sockets, so that it takes little of the cores that the service shares with it.
With KEPT 1 each client keeps its connection as long as the service lets it, with 0 it has a new one for each
request. At the end it writes JSON: how many requests were answered with 200, and the moments, in seconds
since 1970, at which others were lost.
"""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

_TIMEOUT_SECONDS = 30.0
# A service that refuses connections is not asked again at once.
_PAUSE_SECONDS = 0.02
_CHUNK = 1 << 16

Receive = Callable[[int], bytes]


def request(port: int, body: bytes, *, kept: bool) -> bytes:
    """A whole request that posts an image."""
    lines = [
        "POST /predict HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: image/jpeg",
        f"Content-Length: {len(body)}", f"Connection: {'keep-alive' if kept else 'close'}",
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode() + body


def answered(receive: Receive) -> tuple[bool, bool]:
    """Read one answer.

    Args:
        receive: gives at most so many bytes, as `socket.recv` does.

    Returns:
        Whether a whole answer with status 200 came, and whether the connection can take another request.
    """
    head = b""
    while b"\r\n\r\n" not in head:
        if not (piece := receive(_CHUNK)):
            return False, False
        head += piece
    head, _, body = head.partition(b"\r\n\r\n")
    status, *lines = head.lower().split(b"\r\n")
    fields = {name: value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    missing = int(fields.get(b"content-length", b"0")) - len(body)
    while missing > 0:
        if not (piece := receive(missing)):
            return False, False
        missing -= len(piece)
    return status.split()[1] == b"200", fields.get(b"connection") != b"close"


class Client:
    """One client, and what came of its requests.

    Attributes:
        answers: how many were answered.
        lost: when others were lost.
    """

    def __init__(self, port: int, body: bytes, *, kept: bool) -> None:
        self._port = port
        self._kept = kept
        self._request = request(port, body, kept=kept)
        self._connection: socket.socket | None = None
        self.answers = 0
        self.lost = list[float]()

    def run(self, ended: threading.Event) -> None:
        """Ask until told to end."""
        while not ended.is_set():
            try:
                good, stays = self._asked()
            except OSError:
                good, stays = False, False
            self.answers += good
            if not good:
                self.lost.append(time.time())
                time.sleep(_PAUSE_SECONDS)
            if not (stays and self._kept):
                self._close()
        self._close()

    def _asked(self) -> tuple[bool, bool]:
        if self._connection is None:
            self._connection = socket.create_connection(("127.0.0.1", self._port), _TIMEOUT_SECONDS)
        self._connection.sendall(self._request)
        return answered(self._connection.recv)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def main() -> None:
    """Ask until standard input ends."""
    port, many, kept, body = (
        int(sys.argv[1]),
        int(sys.argv[2]),
        sys.argv[3] == "1",
        Path(sys.argv[4]).read_bytes(),
    )
    ended = threading.Event()
    clients = [Client(port, body, kept=kept) for _ in range(many)]
    threads = [threading.Thread(target=client.run, args=(ended,)) for client in clients]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    lost = sorted(moment for client in clients for moment in client.lost)
    print(json.dumps({"answers": sum(client.answers for client in clients), "lost": lost}))


if __name__ == "__main__":
    main()
