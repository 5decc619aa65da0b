"""Scenarios in which workers are replaced under load: answers, and requests that were lost, and why."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.run import PICTURE, ROOT, running
from tests.live.service import Service

CLIENTS = 12
RELOAD, KILL, NEITHER = "by reloads", "by kills", "otherwise"
_SIGNALS = (signal.SIGHUP, signal.SIGHUP, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU)
_KILLS = 3
_END_SECONDS = 60


@dataclass
class Seen:
    """What the clients saw.

    Attributes:
        answers: requests that were answered.
        lost: when others were lost, in seconds since 1970.
    """

    answers: int = 0
    lost: list[float] = field(default_factory=list)


def measure(pause: float, *, kept: bool) -> dict[str, float]:
    """Start a service, replace its workers while all answers are known to it, and stop it.

    Args:
        pause: seconds before, between and after the events.
        kept: whether the clients keep their connections.

    Returns:
        Figures by the heads of their columns.
    """
    with running(cache="on") as service:
        start = time.time()
        with _clients(service, kept=kept) as seen:
            events = list(_events(service, pause))
        seconds = time.time() - start
    lost = lost_by(events, seen.lost)
    return {"answers/s": seen.answers / seconds, **{f"lost {why}": count for why, count in lost.items()}}


def lost_by(events: Sequence[tuple[float, str]], lost: Iterable[float]) -> dict[str, int]:
    """Count lost requests by the kind of the last event before each.

    Args:
        events: the moment and the kind of each, in their order.
        lost: moments.
    """
    counts = {RELOAD: 0, KILL: 0, NEITHER: 0}
    for moment in lost:
        before = [kind for at, kind in events if at <= moment]
        counts[before[-1] if before else NEITHER] += 1
    return counts


def _events(service: Service, pause: float) -> Iterator[tuple[float, str]]:
    """Replace workers: by reloads, by one more and one less, then by kills of the oldest."""
    time.sleep(pause)
    for sent in _SIGNALS:
        yield time.time(), RELOAD
        os.kill(service.master, sent)
        time.sleep(pause)
    for _ in range(_KILLS):
        yield time.time(), KILL
        os.kill(service.workers()[0], signal.SIGKILL)
        time.sleep(pause)


@contextmanager
def _clients(service: Service, *, kept: bool) -> Iterator[Seen]:
    """Load a service as long as the block lasts; what came of it is known after the block."""
    arguments = map(str, (service.port, CLIENTS, int(kept), PICTURE))
    command = [sys.executable, "-m", "bench.ablate.client", *arguments]
    seen = Seen()
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield seen
        finally:
            out, _ = process.communicate(timeout=_END_SECONDS)
            found = json.loads(out)
            seen.answers, seen.lost = found["answers"], found["lost"]
