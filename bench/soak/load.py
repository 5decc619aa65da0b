"""`python -m bench.soak.load ADDRESS RATE FILE URL [PROXY]`: the mixed load, until standard input ends.

A process of its own, so that neither the service nor what watches it slows it down. Each request is due at
its time, whatever became of those before it; at the rate 0 each is sent when another one was answered. FILE
gets a line of JSON for each request, as it is answered. With a PROXY before the service, half of the senders
go through it, each as a caller of its own address, for a proxy may count them.
"""

import http.client
import json
import queue
import select
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple, TextIO
from urllib.parse import urlsplit

from bench.run import PICTURE
from bench.soak.mix import KINDS, Kind, Maker, Request

_THREADS = 24
_THREADS_AT_ONCE = 8
_MAX_WAITING = 10_000
_PATIENCE_SECONDS = 60
_ONE_LINE = threading.Lock()


class Sent(NamedTuple):
    """A request and what came of it; moments in seconds since 1970, and status 0 without an answer."""

    kind: str
    due: float
    sent: float
    answered: float
    status: int
    labels: list[str]
    proxied: bool = False


def main() -> None:
    """Send until standard input ends."""
    address, rate, urls = sys.argv[1], float(sys.argv[2]), sys.argv[4:]
    due = queue.Queue[float | None](_MAX_WAITING)
    ended = threading.Event()
    with Path(sys.argv[3]).open("w") as results:
        senders = [
            threading.Thread(
                target=_send, args=(_Ways(urls, number), Maker(PICTURE.read_bytes(), address), due, results)
            )
            for number in range(_THREADS if rate else _THREADS_AT_ONCE)
        ]
        for sender in senders:
            sender.start()
        threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
        for moment in _moments(rate, ended, due):
            due.put(moment)
        for _ in senders:
            due.put(None)
        for sender in senders:
            sender.join()


def _wait_for_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def _moments(rate: float, ended: threading.Event, due: "queue.Queue[float | None]") -> Iterator[float]:
    """The moments at which requests are due; without a rate, whenever nobody waits any more."""
    start = time.time()
    for number in count():
        if rate:
            moment = start + number / rate
            if ended.wait(max(0.0, moment - time.time())):
                return
            yield moment
        else:
            while due.qsize() >= _THREADS_AT_ONCE:
                if ended.wait(0.001):
                    return
            yield time.time()


class _Ways:
    """A sender's connections: to the service, and to the proxy if it is to take that way.

    Args:
        urls: of the service, and perhaps of the proxy.
        number: of the sender.
    """

    def __init__(self, urls: list[str], number: int) -> None:
        self.proxied = number % len(urls) > 0
        hosts = [urlsplit(url).netloc for url in urls]
        self._inside = http.client.HTTPConnection(hosts[0], timeout=_PATIENCE_SECONDS)
        # Any address of 127.0.0.0/8 is this machine.
        caller = (f"127.0.0.{2 + number}", 0)
        self._outside = http.client.HTTPConnection(
            hosts[-1], timeout=_PATIENCE_SECONDS, source_address=caller
        )

    def of(self, kind: Kind) -> http.client.HTTPConnection:
        """The connection for a kind of request; a proxy does not let everything through."""
        return self._outside if self.proxied and not kind.inside else self._inside

    def close(self) -> None:
        """Close both."""
        self._inside.close()
        self._outside.close()


def _send(ways: _Ways, maker: Maker, due: "queue.Queue[float | None]", results: TextIO) -> None:
    while (moment := due.get()) is not None:
        kind, request = maker.next()
        sent = time.time()
        status, labels = _answer(ways.of(KINDS[kind]), request)
        proxied = ways.proxied and not KINDS[kind].inside
        line = json.dumps(Sent(kind, moment, sent, time.time(), status, labels, proxied))
        with _ONE_LINE:
            results.write(line + "\n")
    ways.close()


def _answer(connection: http.client.HTTPConnection, request: Request) -> tuple[int, list[str]]:
    """Status and labels; a kept connection that the server has closed meanwhile is made anew first."""
    if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
        connection.close()
    try:
        connection.request(request.method, request.path, request.body, request.headers)
        response = connection.getresponse()
        content = response.read()
        return response.status, _labels(content) if request.method == "POST" or response.status == 503 else []
    except (OSError, http.client.HTTPException, ValueError) as error:
        connection.close()
        return 0, [repr(error)]


def _labels(content: bytes) -> list[str]:
    """Each image's label, or the code of its error."""
    answer = json.loads(content)
    found = answer.get("results", [answer])
    return [str(one.get("predicted_label") or one.get("error", one)["code"]) for one in found]


if __name__ == "__main__":
    main()
