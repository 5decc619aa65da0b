"""One cluster, what it asks of the store, and what that costs, for the simulation of `bench.scale`."""

import math
import random
from dataclasses import dataclass

PAGE = 1000
"""Names in one answer to a LIST."""
MONTH = 30.44 * 24 * 3600
"""Seconds."""
SURVEY = 12
"""Heartbeats between two looks through the log, as in `predictor/cluster/heartbeat.py`."""
_DEVIATIONS_OF_P99 = 2.326


@dataclass(frozen=True)
class Latency:
    """How long a request takes: a logarithmic normal distribution.

    Attributes:
        median: seconds.
        p99: seconds.
    """

    median: float
    p99: float

    def draw(self, chance: random.Random) -> float:
        """One duration, in seconds."""
        return chance.lognormvariate(
            math.log(self.median), math.log(self.p99 / self.median) / _DEVIATIONS_OF_P99
        )


@dataclass(frozen=True)
class Plan:
    """One cluster.

    Attributes:
        machines: how many.
        poll: seconds between two looks at the log.
        beat: seconds between two heartbeats: a GET of the machine's own, a PUT, a LIST of the machines, and a
            look at the last change; now and then a LIST and a GET of changes, and a PUT of what it serves.
        decision: seconds between two looks at a change that is prepared.
        jitter: by which share of itself a pause gets shorter at most; 0: all machines keep step for good.
        model_mb: size of the model.
        part_mb: size of the parts in which it is fetched, one after the other.
        stream_mb: megabytes a second of one connection.
        store_mb: megabytes a second that the store gives to all.
        load_seconds: to load and warm a megabyte.
        latency: of a small request.
    """

    machines: int
    poll: float = 1.0
    beat: float = 5.0
    decision: float = 0.1
    jitter: float = 0.1
    model_mb: float = 300.0
    part_mb: float = 8.0
    stream_mb: float = 90.0
    store_mb: float = 12_500.0
    load_seconds: float = 0.02
    latency: Latency = Latency(0.03, 0.2)

    @property
    def pages(self) -> int:
        """Answers to one LIST of all machines."""
        return math.ceil(self.machines / PAGE)

    @property
    def link_mb(self) -> float:
        """Megabytes a second that a machine fetches at most: each part waits for its own answer."""
        return self.part_mb / (self.latency.median + self.part_mb / self.stream_mb)


@dataclass(frozen=True)
class Prices:
    """What a store charges, in US dollars: S3 standard, us-east-1."""

    write: float = 0.005 / 1000
    """For a PUT or a LIST."""
    read: float = 0.0004 / 1000
    """For a GET."""
    gigabyte_month: float = 0.023


def per_second(plan: Plan) -> tuple[float, float]:
    """Reads (GET, HEAD) and writes (PUT, LIST) a second of a cluster in which nothing changes."""
    machines = plan.machines / (1 - plan.jitter / 2)
    beats = machines / plan.beat
    return machines / plan.poll + beats * (2 + 1 / SURVEY), beats * (1 + plan.pages + 2 / SURVEY)


def per_month(plan: Plan, prices: Prices, stored_gb: float = 10.0, changes: int = 300) -> float:
    """What a store charges in a month, in US dollars.

    Args:
        plan: the cluster.
        prices: of the store.
        stored_gb: gigabytes kept.
        changes: uploads in a month, each fetched in parts and acknowledged twice by every machine.
    """
    reads, writes = (MONTH * rate for rate in per_second(plan))
    reads += plan.machines * changes * math.ceil(plan.model_mb / plan.part_mb)
    writes += plan.machines * changes * 2
    return reads * prices.read + writes * prices.write + stored_gb * prices.gigabyte_month
