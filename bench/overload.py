"""`make bench`, overload: four times the requests that can be computed, from an open loop.

A model is used that takes a core for about a tenth of a second, so that the processor time of those who ask,
which share the cores with the service, hardly counts.
"""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from bench.run import PICTURE, running
from tests.live.load import Sent
from tests.live.service import Service
from tests.live.steady import steady
from tools.sample_models import slow_classifier

TIMES = 4
QUEUE = 2
"""Images that may be in a worker: as many as keep it busy. What waits no longer is refused no later."""
SECONDS = 15.0
CALM_SECONDS = 10.0
# By then the service must be as quick as before.
RECOVERY_SECONDS = 5.0
_JPEG = {"Content-Type": "image/jpeg"}
_LOOPS = 3


def capacity(service: Service, seconds: float = 8.0) -> float:
    """Images a second of closed loops that keep every worker busy and hardly wait for each other."""
    picture, end = PICTURE.read_bytes(), time.monotonic() + seconds

    def loop() -> int:
        with requests.Session() as session:
            done = 0
            while time.monotonic() < end:
                answer = session.post(f"{service.url}/predict", data=picture, headers=_JPEG, timeout=30)
                done += answer.status_code == 200
            return done

    with ThreadPoolExecutor(_LOOPS) as pool:
        return sum(future.result() for future in [pool.submit(loop) for _ in range(_LOOPS)]) / seconds


def load(service: Service, rate: float, seconds: float) -> list[Sent]:
    """An open loop: each request is due at its time, whatever became of those before it."""
    with steady(service, PICTURE, rate) as sent:
        time.sleep(seconds)
    return sent


def percentile(values: list[float], share: float) -> float:
    """A percentile of milliseconds; none of nothing."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def waited(sent: list[Sent], status: int) -> list[float]:
    """Milliseconds from when a request was due to its answer, of those with a status."""
    return [1000 * (request.answered - request.due) for request in sent if request.status == status]


def main() -> None:
    """Measure and print."""
    with running(cache="off", max_queue=QUEUE) as service:
        model = slow_classifier(["slow", "other"], layers=5)
        service.post("/upload", files={"model": ("slow.onnx", model)}).raise_for_status()
        most = statistics.median(capacity(service) for _ in range(3))
        calm = load(service, most / 4, CALM_SECONDS)
        busy = load(service, TIMES * most, SECONDS)
        after = load(service, most / 4, RECOVERY_SECONDS)
    _print(most, calm, busy, after)


def _print(most: float, calm: list[Sent], busy: list[Sent], after: list[Sent]) -> None:
    unloaded, accepted = (percentile(waited(sent, 200), 0.95) for sent in (calm, busy))
    served = len(waited(busy, 200)) / (busy[-1].due - busy[0].due)
    others = sorted({request.status for request in busy} - {200, 503})
    print(f"\n{TIMES} times the capacity of {most:.1f} pictures/s, {QUEUE} pictures at most in a worker")
    print(f"goodput: {served:.1f}/s, {served / most:.2f} of the capacity; other statuses: {others or 'none'}")
    print(
        f"p95 of the accepted: {accepted:.0f} ms, {accepted / unloaded:.1f} times {unloaded:.0f} ms at rest"
    )
    refused = waited(busy, 503)
    print(f"refusals: median {percentile(refused, 0.5):.1f} ms, p95 {percentile(refused, 0.95):.1f} ms")
    later, fine = percentile(waited(after, 200), 0.95), len(waited(after, 200)) / len(after)
    print(f"in the {RECOVERY_SECONDS:g} s after: {fine:.0%} answered, p95 {later:.0f} ms")


if __name__ == "__main__":
    main()
