"""`make soak MINUTES=n`: a mixed load at a rate that the service holds with ease, and meanwhile trouble.

A worker is killed each minute, a model switched each five, a bad model uploaded each seven; in a short run
each of these happens a few times as well. Where nginx is installed, half of the load comes through it, with
`deploy/nginx.conf`. Ends with 1 if a promise is broken.
"""

import http.server
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

from bench.run import PICTURE, ROOT, running
from bench.soak.judge import Events, Switch
from bench.soak.load import Sent
from bench.soak.mix import KINDS, commented
from bench.soak.report import Soaked, left_over, report
from bench.soak.watch import Watch
from bench.switch import upload, variant
from tests.live.proxy import Proxy, installed
from tests.live.service import Service
from tools import bad_models

SHARE_OF_CAPACITY = 0.4
# A worker is replaced after 100 000 requests at the earliest; the one that is watched must not be.
MAX_REQUESTS = 160_000
MEASURE_SECONDS = 12.0
# Until workers that were replaced, uploads and connections have come to an end.
SETTLE_SECONDS = 5.0
_BAD = {
    "truncated": bad_models.truncated,
    "a constant of 8 GB": bad_models.huge_constant,
    "crashes": lambda: bad_models.troubled("crash"),
    "a chain of functions": bad_models.chained_functions,
    "not finite": bad_models.not_finite,
    "wrong labels": bad_models.wrong_labels,
}


@dataclass(frozen=True)
class Plan:
    """How long, and how many seconds between two of a kind."""

    seconds: float
    kill: float
    switch: float
    bad: float

    @classmethod
    def of(cls, minutes: float) -> "Plan":
        """Each kind of trouble at its usual pace, but in short runs three or four times at least."""
        seconds = 60 * minutes
        return cls(seconds, min(60, seconds / 4), min(300, seconds / 4), min(420, seconds / 3))


class _Pictures(http.server.BaseHTTPRequestHandler):
    """The image at /cat.jpg, and under any other path one of the same pixels and other bytes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        picture = PICTURE.read_bytes()
        if self.path != "/cat.jpg":
            picture = commented(picture, self.path.encode())
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(picture)))
        self.end_headers()
        self.wfile.write(picture)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        pass


@contextmanager
def pictures() -> Iterator[str]:
    """A server of images on loopback: its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pictures) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


@contextmanager
def loaded(urls: list[str], address: str, rate: float) -> Iterator[list[Sent]]:
    """Send the mix as long as the block lasts; afterwards the list holds what came of it.

    Args:
        urls: of the service, and perhaps of a proxy before it.
        address: of a server of images.
        rate: requests a second; with 0 as many as are answered.
    """
    results = list[Sent]()
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as file:
        command = [sys.executable, "-m", "bench.soak.load", address, str(rate), file.name, *urls]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
            try:
                yield results
            finally:
                process.communicate(timeout=120)
        results.extend(Sent(*json.loads(line)) for line in file)


class Trouble:
    """What is done to the service, and how it took it.

    Args:
        service: to whom.
        eldest: a worker that is never killed, so that its memory can be watched.
        events: where it is written down.
    """

    def __init__(self, service: Service, eldest: int, events: Events) -> None:
        self._service = service
        self._eldest = eldest
        self._events = events
        self._chance = random.Random(1)
        self._models = cycle([("B", variant("B")), ("A", variant("A"))])
        self._bad = cycle([(name, make()) for name, make in _BAD.items()])

    def kill(self) -> None:
        """Kill a worker."""
        victims = [pid for pid in self._service.workers() if pid != self._eldest]
        if victims:
            os.kill(self._chance.choice(victims), signal.SIGKILL)
            self._events.kills.append(time.time())

    def switch(self) -> None:
        """Upload the other model."""
        name, model = next(self._models)
        start = time.time()
        answer = upload(self._service, model)
        if answer.ok:
            self._events.switches.append(Switch(start, time.time(), f"{name} tiger cat"))
        else:
            self._events.trouble.append(f"a good model got {answer.status_code}: {answer.text}")

    def bad(self) -> None:
        """Upload a bad model."""
        name, model = next(self._bad)
        answer = upload(self._service, model)
        self._events.bad_models += 1
        if answer.status_code != 422:
            self._events.trouble.append(f"the bad model '{name}' got {answer.status_code}: {answer.text}")

    def follow(self, plan: Plan) -> None:
        """Make trouble as planned, one after the other, until the time is over."""
        start = time.monotonic()
        for moment, act in sorted(self._moments(plan), key=lambda planned: planned[0]):
            time.sleep(max(0.0, start + moment - time.monotonic()))
            act()
        time.sleep(max(0.0, start + plan.seconds - time.monotonic()))

    def _moments(self, plan: Plan) -> Iterator[tuple[float, Callable[[], None]]]:
        """Not all at once: a kind's first moment comes after a part of its pause that is its own."""
        for act, pause, first in (
            (self.kill, plan.kill, 0.5),
            (self.switch, plan.switch, 0.8),
            (self.bad, plan.bad, 0.3),
        ):
            moment = pause * first
            while moment < plan.seconds:
                yield moment, act
                moment += pause


@contextmanager
def ways(service: Service) -> Iterator[list[str]]:
    """The addresses that the load goes to: the service, and nginx before it if that is installed."""
    if not installed():
        yield [service.url]
        return
    with Proxy(service.data.parent / "nginx", service.port) as proxy:
        yield [service.url, proxy.url]


def capacity(urls: list[str], address: str) -> float:
    """Requests of the mix a second, each sent when another one was answered."""
    with loaded(urls, address, 0) as sent:
        time.sleep(MEASURE_SECONDS)
    end = max(one.answered for one in sent)
    half = end - MEASURE_SECONDS / 2
    later = [one for one in sent if one.answered > half and one.status == KINDS[one.kind].status]
    return len(later) / (MEASURE_SECONDS / 2)


def soak(minutes: float) -> Soaked:
    """Do it all, and say what was seen."""
    plan, events = Plan.of(minutes), Events()
    with pictures() as address, running(fetch_allow="127.0.0.1") as service, ways(service) as urls:
        started = time.time()
        upload(service, variant("A")).raise_for_status()
        events.switches.append(Switch(started, time.time(), "A tiger cat"))
        most = capacity(urls, address)
        rate = min(SHARE_OF_CAPACITY * most, MAX_REQUESTS / plan.seconds)
        eldest = min(service.workers())
        trouble = Trouble(service, eldest, events)
        with Watch(service, eldest) as watch, loaded(urls, address, rate) as sent:
            trouble.follow(plan)
        time.sleep(SETTLE_SECONDS)
        if eldest not in service.workers():
            events.trouble.append("the worker that nobody killed is gone")
        return Soaked(
            minutes, most, SHARE_OF_CAPACITY * most, sent, events, watch.samples, left_over(service)
        )


def main() -> None:
    """Soak, print the report, and end with 1 if a promise is broken."""
    minutes = float(os.environ.get("MINUTES", "") or 30)
    lines, kept = report(soak(minutes))
    print("\n".join(lines))
    sys.exit(not kept)


if __name__ == "__main__":
    main()
