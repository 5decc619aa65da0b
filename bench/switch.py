"""`make bench`, second part: models are uploaded under load, workers are killed, memory is watched.

Two forms of the bundled model that differ in their labels are uploaded in turn. Rounds with and without
uploads alternate in one run, so that their ratio does not depend on what else the machine does.
"""

import json
import os
import random
import signal
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx
import requests

from bench.run import PICTURE, running
from predictor.config import BUNDLED_MODEL
from predictor.discovery.discover import LABELS
from tests.live.load import Sent
from tests.live.service import Service
from tests.live.steady import steady
from tools.sample_models import classifier

RATE = 50
ROUNDS = 5
PACES = {0.0: 20, 2.0: 6}
"""Seconds from the beginning of an upload to that of the next, unless it takes longer; uploads in a round."""
QUIET_SECONDS = 12
KILLS = int(os.environ.get("BENCH_KILLS", "60"))
SWITCHES = 100
LARGE_MB = 50
# Longer than a worker takes to give back what a switch has freed.
_SETTLE_SECONDS = 3.0


def variant(name: str) -> bytes:
    """The bundled model with a name before each of its labels."""
    model = onnx.load(BUNDLED_MODEL)
    entry = next(entry for entry in model.metadata_props if entry.key == LABELS)
    labels = json.loads(entry.value)
    entry.value = json.dumps([{**label, "name": f"{name} {label['name']}"} for label in labels])
    return bytes(model.SerializeToString())


def upload(service: Service, model: bytes) -> requests.Response:
    """Send a model."""
    return service.post("/upload", files={"model": ("model.onnx", model)})


def predicted(service: Service) -> tuple[int, int]:
    """Status and model version of an answer, on a connection of its own."""
    headers = {"Content-Type": "image/jpeg", "Connection": "close"}
    answer = service.post("/predict", data=PICTURE.read_bytes(), headers=headers)
    return answer.status_code, answer.json()["model"]["version"] if answer.ok else 0


def percentile(sent: list[Sent], share: float) -> float:
    """A percentile of the milliseconds from when a request was due to its answer."""
    times = sorted(1000 * (request.answered - request.due) for request in sent)
    return times[min(len(times) - 1, int(share * len(times)))]


def stale(sent: list[Sent], done: list[tuple[float, str]]) -> int:
    """Answers from a model older than the last upload that was answered before the request was sent."""
    wrong = 0
    for request in sent:
        before = [name for moment, name in done if moment <= request.sent][-1:]
        after = [name for moment, name in done if moment > request.sent][:1]
        wrong += bool(before) and request.label.split()[0] not in {*before, *after}
    return wrong


def under_load(models: dict[str, bytes]) -> None:
    """Print what uploads cost those who ask meanwhile: one after the other without a pause, and at a pace."""
    quiet, sent = list[Sent](), {pause: list[Sent]() for pause in PACES}
    done, seconds = list[tuple[float, str]](), list[float]()
    with running(cache="off") as service:
        upload(service, models["A"])
        for _ in range(ROUNDS):
            with steady(service, PICTURE, RATE) as found:
                time.sleep(QUIET_SECONDS)
            quiet += found
            for pause, busy in sent.items():
                with steady(service, PICTURE, RATE) as found:
                    _upload_in_turn(service, models, pause, done, seconds)
                busy.extend(found)
    print(f"\n{RATE} requests a second, {ROUNDS} rounds without and with {len(done)} uploads in all")
    heads = " ".join(f"{head:>8}" for head in ("p50 ms", "p99 ms", "max ms"))
    print(f"{'':27} {'requests':>9} {'failed':>7} {'stale':>6} {heads} {'p99':>6}")
    _row("without uploads", quiet, quiet, [])
    for pause, busy in sent.items():
        _row(f"one upload every {pause:g} s" if pause else "uploads without a pause", busy, quiet, done)
    print(f"an upload took {statistics.median(seconds):.2f} s; the last column is the ratio of the p99")


def _upload_in_turn(
    service: Service,
    models: dict[str, bytes],
    pause: float,
    done: list[tuple[float, str]],
    seconds: list[float],
) -> None:
    for number in range(PACES[pause]):
        name = "BA"[number % 2]
        start = time.time()
        upload(service, models[name]).raise_for_status()
        done.append((time.time(), name))
        seconds.append(time.time() - start)
        time.sleep(max(0.0, start + pause - time.time()))


def _row(title: str, sent: list[Sent], quiet: list[Sent], done: list[tuple[float, str]]) -> None:
    failed = sum(request.status != 200 for request in sent)
    figures = " ".join(f"{percentile(sent, share):8.1f}" for share in (0.5, 0.99, 1))
    ratio = percentile(sent, 0.99) / percentile(quiet, 0.99)
    print(f"{title:27} {len(sent):9} {failed:7} {stale(sent, done):6} {figures} {ratio:6.2f}")


def killed(models: dict[str, bytes]) -> None:
    """Print how a service fares whose workers are killed at any moment of an upload."""
    chance = random.Random(1)
    worst, mixed, answers = 0.0, 0, dict[int, int]()
    with running(cache="off") as service:
        for number in range(KILLS):
            with ThreadPoolExecutor(1) as pool:
                sender = pool.submit(_try_upload, service, models["AB"[number % 2]])
                time.sleep(chance.uniform(0, 1.2))
                os.kill(chance.choice(service.workers()), signal.SIGKILL)
                start = time.monotonic()
                status, version = sender.result()
            answers[status] = answers.get(status, 0) + 1
            seen = list[tuple[float, tuple[int, int]]]()
            while time.monotonic() - start < 2 or not seen:
                seen.append((time.monotonic() - start, _try_predicted(service)))
            live = service.get("/models/default").json()["live"]
            mixed += seen[-1][1] != (200, live) or (status == 200 and version != live)
            worst = max([worst, *(moment for moment, answer in seen if answer != (200, live))])
            while len(service.workers()) < 2:
                time.sleep(0.05)
        left = len(list((service.data / "incoming").iterdir()))
    print(f"\n{KILLS} kills at a random moment of an upload: answers {answers}, {mixed} times not one model")
    print(f"everywhere; the last other answer {worst:.2f} s after the kill; {left} folders left behind")


def _try_upload(service: Service, model: bytes) -> tuple[int, int]:
    try:
        answer = upload(service, model)
    except requests.ConnectionError:
        return 0, 0
    return answer.status_code, answer.json()["version"] if answer.ok else 0


def _try_predicted(service: Service) -> tuple[int, int]:
    try:
        return predicted(service)
    except requests.ConnectionError:
        return 0, 0


def memory() -> None:
    """Print a worker's memory after many switches of a large model."""
    models = [classifier(["one", "other"], winner=0, seed=seed, padding_mb=LARGE_MB) for seed in (1, 2)]
    after = dict[int, float]()
    with running(cache="off") as service:
        for number in range(1, SWITCHES + 1):
            upload(service, models[number % 2]).raise_for_status()
            for _ in range(4):
                predicted(service)
            if number in {10, SWITCHES}:
                time.sleep(_SETTLE_SECONDS)
                after[number] = max(resident_mb(pid) for pid in service.workers())
    growth = after[SWITCHES] / after[10] - 1
    print(f"\nmemory of a worker: {after[10]:.1f} MB after 10 switches of a {LARGE_MB} MB model,", end=" ")
    print(f"{after[SWITCHES]:.1f} MB after {SWITCHES} ({growth:+.1%})")


def resident_mb(pid: int) -> float:
    """Memory that a process has of its own, in megabytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1000


def main() -> None:
    """Measure and print."""
    models = {name: variant(name) for name in "AB"}
    parts = sys.argv[1:] or ["load", "kills", "memory"]
    if "load" in parts:
        under_load(models)
    if "kills" in parts:
        killed(models)
    if "memory" in parts:
        memory()


if __name__ == "__main__":
    main()
