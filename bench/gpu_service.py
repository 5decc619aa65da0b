"""The parts of `bench.gpu` that measure a running service."""

import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench import nvidia
from bench.gpu_loop import BATCH, loops
from bench.run import PICTURE, running, wrk
from bench.switch import percentile, stale, upload, variant
from tests.live.load import Sent
from tests.live.service import Service
from tests.live.steady import steady

CONNECTIONS = (8, 32, 64)
ROUNDS = 3
RATE = 50
# Uploads one after the other, each with a time for requests between it and the next.
_PACE_SECONDS = 1.0


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        device: as `PREDICTOR_DEVICE` has it.
        seconds: of each single measurement.
        workers: of the service.
    """

    device: str
    seconds: int
    workers: int = 4

    def settings(self, **more: object) -> dict[str, object]:
        """The service's."""
        return {"device": self.device, "workers": self.workers, "cache": "off", **more}


@dataclass
class Rates:
    """Images a second, for each round.

    Attributes:
        loops: without a service, by what they do.
        services: by the largest batch and the connections.
    """

    loops: dict[str, list[float]] = field(default_factory=dict)
    services: dict[tuple[int, int], list[float]] = field(default_factory=dict)

    def service(self, largest: int, connections: int) -> float:
        """The median of a service."""
        return statistics.median(self.services[largest, connections])

    @property
    def limit(self) -> float:
        """The better of the two ways to run the whole pipeline in a loop."""
        return max(statistics.median(rates) for name, rates in self.loops.items() if "loop" in name)


@dataclass(frozen=True)
class Placement:
    """Where the workers are.

    Attributes:
        workers: how many took each device.
        megabytes: GPU memory of each worker after load, if it is known by worker.
        together: how much more of the GPUs' memory is in use than before the start.
    """

    workers: Counter[str]
    megabytes: list[float]
    together: float


def rates(plan: Plan) -> Rates:
    """Measure the loops and the service with and without batches, interleaved."""
    found = Rates()
    contestants: dict[str, Callable[[], float]] = {
        "batched loop, 1 process": lambda: _loops(plan, "pipeline", 1),
        f"batched loop, {plan.workers} processes": lambda: _loops(plan, "pipeline", plan.workers),
        "model alone": lambda: _loops(plan, "model", 1),
        "model alone, memory not bound": lambda: _loops(plan, "plain", 1),
    }
    with ExitStack() as stack:
        services = {
            largest: stack.enter_context(running(**plan.settings(max_batch=largest)))
            for largest in (1, BATCH)
        }
        for _ in range(ROUNDS):
            for name, measure in contestants.items():
                found.loops.setdefault(name, []).append(measure())
            for connections in CONNECTIONS:
                for largest, service in services.items():
                    rate = wrk(f"{service.url}/predict", connections)
                    found.services.setdefault((largest, connections), []).append(rate)
    return found


def _loops(plan: Plan, kind: str, processes: int) -> float:
    return loops(plan.device, PICTURE, plan.seconds, kind, processes)


def placed(plan: Plan) -> Placement:
    """Start a service, put it under load, and see which GPU each worker took, with how much memory."""
    before = nvidia.used()
    with running(**plan.settings()) as service:
        wrk(f"{service.url}/predict", CONNECTIONS[-1])
        uses = nvidia.processes(service.workers())
        names = [use.gpu for use in uses.values()] or _logged(service)
        megabytes = [use.megabytes for use in uses.values() if use.megabytes]
        return Placement(Counter(names), megabytes, nvidia.used() - before)


def _logged(service: Service) -> list[str]:
    """The name of the device that each worker says it took."""
    return re.findall(r"Device: (.*?)\. ", service.log)


def switched(plan: Plan) -> dict[str, tuple[list[Sent], int]]:
    """Requests at a steady rate, without and with uploads, and how many answers came from an older model."""
    models = {name: variant(name) for name in "AB"}
    done = list[tuple[float, str]]()
    with running(**plan.settings()) as service:
        upload(service, models["A"]).raise_for_status()
        with steady(service, PICTURE, RATE) as quiet:
            time.sleep(plan.seconds)
        end = time.monotonic() + plan.seconds
        with steady(service, PICTURE, RATE) as busy:
            while not done or time.monotonic() < end:
                name = "BA"[len(done) % 2]
                upload(service, models[name]).raise_for_status()
                done.append((time.time(), name))
                time.sleep(_PACE_SECONDS)
    return {
        "without uploads": (quiet, 0),
        f"with uploads: {len(done)}": (busy, stale(busy, done)),
    }


def latencies(sent: list[Sent]) -> tuple[float, float, float]:
    """Median, 99th percentile and maximum, in milliseconds."""
    return percentile(sent, 0.5), percentile(sent, 0.99), percentile(sent, 1)
