"""`python -m bench.soak.load URL ADDRESS RATE FILE`: the mixed load, until standard input ends.

A process of its own, so that neither the service nor what watches it slows it down. Each request is due at
its time, whatever became of those before it; at the rate 0 each is sent when another one was answered. FILE
gets a line of JSON for each request, as it is answered.
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
from bench.soak.mix import Maker, Request

_THREADS = 24
_THREADS_AT_ONCE = 8
_MOST_WAITING = 10_000
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


def main() -> None:
    """Send until standard input ends."""
    url, address, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])
    due = queue.Queue[float | None](_MOST_WAITING)
    ended = threading.Event()
    with Path(sys.argv[4]).open("w") as results:
        senders = [
            threading.Thread(target=_send, args=(url, Maker(PICTURE.read_bytes(), address), due, results))
            for _ in range(_THREADS if rate else _THREADS_AT_ONCE)
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


def _send(url: str, maker: Maker, due: "queue.Queue[float | None]", results: TextIO) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE_SECONDS)
    while (moment := due.get()) is not None:
        kind, request = maker.next()
        sent = time.time()
        status, labels = _answer(connection, request)
        line = json.dumps(Sent(kind, moment, sent, time.time(), status, labels))
        with _ONE_LINE:
            results.write(line + "\n")
    connection.close()


def _answer(connection: http.client.HTTPConnection, request: Request) -> tuple[int, list[str]]:
    """Status and labels; a kept connection that the server has closed meanwhile is made anew first."""
    if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
        connection.close()
    try:
        connection.request(request.method, request.path, request.body, request.headers)
        response = connection.getresponse()
        content = response.read()
        return response.status, _labels(content) if request.method == "POST" else []
    except (OSError, http.client.HTTPException, ValueError) as error:
        connection.close()
        return 0, [repr(error)]


def _labels(content: bytes) -> list[str]:
    """Each picture's label, or the code of its error."""
    answer = json.loads(content)
    found = answer.get("results", [answer])
    return [str(one.get("predicted_label") or one.get("error", one)["code"]) for one in found]


if __name__ == "__main__":
    main()
