"""A simulation of one change on many machines, which `bench.scale` runs with measured parts.

A change goes as in `predictor/cluster/`: each machine polls, fetches the announced model part by part, loads
it, acknowledges, and asks for the decision; the author lists acknowledgements and heartbeats, decides, and
each machine serves when it sees the decision.
"""

import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.scale_plan import PAGE, SURVEY, Plan

_BIN = 0.1


@dataclass(frozen=True)
class Outcome:
    """What came of one change, in seconds since its announcement, and the most requests in a second.

    Attributes:
        fetched: the last machine had the model's bytes.
        ready: every machine had acknowledged.
        serving: the last machine served it.
        mixed: from the first machine that served it to the last.
        reads: GET and HEAD, the most in a tenth of a second, times ten.
        writes: PUT and LIST, the same.
    """

    fetched: float
    ready: float
    serving: float
    mixed: float
    reads: float
    writes: float


@dataclass
class Simulation:
    """One change on one cluster.

    Args:
        plan: the cluster.
        seed: of chance.
    """

    plan: Plan
    seed: int = 1
    now: float = field(default=0.0, init=False)
    acknowledged: list[float] = field(default_factory=list, init=False)
    served: list[float] = field(default_factory=list, init=False)
    decided: float = field(default=math.inf, init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._reads, self._writes = Counter[int](), Counter[int]()
        self.pipe = _Pipe(self)

    def run(self) -> Outcome:
        """Simulate until every machine serves."""
        for _ in range(self.plan.machines):
            machine = _Machine(self)
            self.after(self.first(self.plan.poll), machine.poll)
            self.after(self.first(self.plan.beat), machine.beat)
        self._count()
        while len(self.served) < self.plan.machines:
            self.now, _, event = heapq.heappop(self._events)
            event()
        reads, writes = (max(found.values()) / _BIN for found in (self._reads, self._writes))
        mixed = max(self.served) - min(self.served)
        return Outcome(self.pipe.ended, max(self.acknowledged), max(self.served), mixed, reads, writes)

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Have something happen later."""
        heapq.heappush(self._events, (self.now + seconds, next(self._order), event))

    def first(self, seconds: float) -> float:
        """The first pause of a loop: any part of the period, or all of it where machines keep step."""
        return seconds * (self.chance.random() if self.plan.jitter else 1.0)

    def pause(self, seconds: float) -> float:
        """Each later pause, with its jitter."""
        return seconds * (1 - self.plan.jitter * self.chance.random())

    def read(self, then: Callable[[], None]) -> None:
        """Send a GET or HEAD; go on when it is answered."""
        self._reads[int(self.now / _BIN)] += 1
        self.after(self.plan.latency.draw(self.chance), then)

    def write(self, then: Callable[[], None], requests: int = 1) -> None:
        """Send PUT or LIST requests one after the other; go on when the last one is answered."""
        self._writes[int(self.now / _BIN)] += 1
        more = requests - 1
        self.after(self.plan.latency.draw(self.chance), (lambda: self.write(then, more)) if more else then)

    def count_parts(self, start: float) -> None:
        """Count the requests of a fetch that ends at this moment, spread over its time."""
        parts = math.ceil(self.plan.model_mb / self.plan.part_mb)
        for part in range(parts):
            self._reads[int((start + (self.now - start) * part / parts) / _BIN)] += 1

    def _count(self) -> None:
        """The author lists acknowledgements and heartbeats, and decides when all are there."""

        def counted() -> None:
            if len(self.acknowledged) < self.plan.machines:
                self.after(self.plan.decision, self._count)
            else:
                self.write(self._decide)

        self.write(counted, self.plan.pages + math.ceil((len(self.acknowledged) + 1) / PAGE))

    def _decide(self) -> None:
        self.decided = self.now


class _Machine:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation, self._plan = simulation, simulation.plan
        self._beats = int(simulation.first(SURVEY))

    def beat(self) -> None:
        simulation, self._beats = self._simulation, self._beats + 1
        known = self._survey if self._beats % SURVEY == 0 else _nothing
        told, requests = lambda: simulation.read(known), 1 + self._plan.pages
        simulation.read(lambda: simulation.write(told, requests))
        simulation.after(simulation.pause(self._plan.beat), self.beat)

    def _survey(self) -> None:
        simulation = self._simulation
        simulation.write(lambda: simulation.read(lambda: simulation.write(_nothing)))

    def poll(self) -> None:
        self._simulation.read(lambda: self._simulation.pipe.add(self._load))

    def _load(self) -> None:
        self._simulation.after(
            self._plan.load_seconds * self._plan.model_mb, lambda: self._simulation.write(self._ready)
        )

    def _ready(self) -> None:
        self._simulation.acknowledged.append(self._simulation.now)
        self._simulation.after(self._simulation.first(self._plan.decision), self._ask)

    def _ask(self) -> None:
        """Ask for the decision until it is there."""
        asked = self._simulation.now

        def answered() -> None:
            if asked >= self._simulation.decided:
                self._simulation.served.append(self._simulation.now)
            else:
                self._simulation.after(self._simulation.pause(self._plan.decision), self._ask)

        self._simulation.read(answered)


def _nothing() -> None:
    """What follows the last answer."""


class _Pipe:
    """The store's bandwidth, shared equally by those who fetch; each has its own link besides."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation, self._plan = simulation, simulation.plan
        self._waiting: list[tuple[float, float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._done_mb, self._since, self._turn = 0.0, 0.0, 0
        self.ended = 0.0

    def add(self, then: Callable[[], None]) -> None:
        self._advance()
        end_mb = self._done_mb + self._plan.model_mb
        heapq.heappush(self._waiting, (end_mb, self._simulation.now, next(self._order), then))
        self._next()

    def _rate(self) -> float:
        return min(self._plan.link_mb, self._plan.store_mb / max(1, len(self._waiting)))

    def _advance(self) -> None:
        """Note what each of those who fetch has got since the last time."""
        self._done_mb += self._rate() * (self._simulation.now - self._since)
        self._since = self._simulation.now

    def _next(self) -> None:
        """Wait for the next one that ends, unless another begins before."""
        self._turn += 1
        turn = self._turn
        if self._waiting:
            left = max(0.0, self._waiting[0][0] - self._done_mb)
            self._simulation.after(left / self._rate(), lambda: self._end(turn))

    def _end(self, turn: int) -> None:
        if turn == self._turn:
            self._advance()
            _, start, _, then = heapq.heappop(self._waiting)
            self.ended = self._simulation.now
            self._simulation.count_parts(start)
            then()
            self._next()
