"""`python -m tests.live.load URL RATE FILE PATH`: requests at a steady rate until standard input ends.

A process of its own, so that neither the service nor the test slows it down. Each request is due at its time,
whatever became of those before it. At the end it writes one line of JSON for each: when it was due, sent and
answered, in seconds since 1970, the status (0 without an answer) and the best label. Before, when the first
request was answered, it writes an empty line.
"""

import http.client
import json
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.patience import PATIENCE

_THREADS = 24
_MAX_SECONDS = 1800


class Sent(NamedTuple):
    """One request and what came of it."""

    due: float
    sent: float
    answered: float
    status: int
    label: str


def main() -> None:
    """Send until standard input ends."""
    url, rate, body = sys.argv[1] + sys.argv[4], float(sys.argv[2]), Path(sys.argv[3]).read_bytes()
    due, results = queue.SimpleQueue[float | None](), list[Sent]()
    senders = [
        threading.Thread(target=_send, args=(url, body, due, results), daemon=True) for _ in range(_THREADS)
    ]
    for sender in senders:
        sender.start()
    ended = threading.Event()
    threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
    threading.Thread(target=_say_that_it_began, args=(results,), daemon=True).start()
    start = time.time()
    for number in range(int(rate * _MAX_SECONDS)):
        moment = start + number / rate
        if ended.wait(max(0.0, moment - time.time())):
            break
        due.put(moment)
    for _ in senders:
        due.put(None)
    for sender in senders:
        sender.join(PATIENCE)
    sys.stdout.writelines(json.dumps(result) + "\n" for result in results)


def _say_that_it_began(results: list[Sent]) -> None:
    while not results:
        time.sleep(0.01)
    sys.stdout.write("\n")
    sys.stdout.flush()


def _wait_for_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def _send(url: str, body: bytes, due: "queue.SimpleQueue[float | None]", results: list[Sent]) -> None:
    address, path = urlsplit(url).netloc, urlsplit(url).path
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    while (moment := due.get()) is not None:
        sent = time.time()
        try:
            connection.request("POST", path, body, {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            status, label = response.status, _label(json.loads(response.read()))
        except (OSError, http.client.HTTPException, ValueError) as error:
            status, label = 0, repr(error)
            connection.close()
        results.append(Sent(moment, sent, time.time(), status, label))
    connection.close()


def _label(answer: dict[str, Any]) -> str:
    """The best label of an answer, or what is said of an error."""
    if "outputs" in answer:
        best: str = answer["outputs"][0]["data"][0]
        return best.split(":")[2]
    names = (name for name in ("predicted_label", "code", "error") if name in answer)
    return str(answer[next(names)])


if __name__ == "__main__":
    main()
