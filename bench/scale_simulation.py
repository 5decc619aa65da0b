"""A simulation of one change on many machines, which `bench.scale` runs with measured parts.

A change goes as in `predictor/cluster/`: each machine polls, fetches the announced model, loads it and
acknowledges; the author counts acknowledgements, decides, and each machine serves from its next poll on.
"""

import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

PAGE = 1000
"""Names in one answer to a LIST."""
_BIN = 0.1


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
        return chance.lognormvariate(math.log(self.median), math.log(self.p99 / self.median) / 2.326)


@dataclass(frozen=True)
class Plan:
    """One cluster.

    Attributes:
        machines: how many.
        poll: seconds between two looks at the log.
        beat: seconds between two heartbeats.
        jitter: by which share of itself a pause varies; 0 with all machines started at once.
        model_mb: size of the model.
        link_mb: megabytes a second that a machine fetches at most.
        store_mb: megabytes a second that the store gives to all.
        load_seconds: to load and warm a megabyte.
        latency: of a small request.
        reads: requests in one poll.
        lists: LIST requests of a machine in one heartbeat.
    """

    machines: int
    poll: float = 1.0
    beat: float = 5.0
    jitter: float = 0.1
    model_mb: float = 300.0
    link_mb: float = 300.0
    store_mb: float = 12_500.0
    load_seconds: float = 0.02
    latency: Latency = Latency(0.03, 0.2)
    reads: int = 2
    lists: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of one change.

    Attributes:
        ready: seconds from the announcement until every machine had acknowledged.
        serving: seconds from the announcement until the last machine served it.
        mixed: seconds from the first machine that served it to the last.
        peak: most requests in a tenth of a second, times ten.
        fetched: seconds until the last machine had the model's bytes.
    """

    ready: float
    serving: float
    mixed: float
    peak: float
    fetched: float


class Simulation:
    """One change on one cluster.

    Args:
        plan: the cluster.
        seed: of chance.
    """

    def __init__(self, plan: Plan, seed: int = 1) -> None:
        self._plan = plan
        self._chance = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._now = 0.0
        self._requests = Counter[int]()
        self._pipe = _Pipe(self, plan)
        self._acknowledged: list[float] = []
        self._decided = math.inf
        self._serving: list[float] = []

    def run(self) -> Outcome:
        """Simulate until every machine serves."""
        for _ in range(self._plan.machines):
            spread = self._chance.random() if self._plan.jitter else 0.0
            _Machine(self, self._plan, self._chance).poll_after(spread * self._plan.poll)
            self._beat(spread * self._plan.beat)
        self.after(self._plan.poll, self._count)
        while len(self._serving) < self._plan.machines:
            self._now, _, event = heapq.heappop(self._events)
            event()
        served = self._serving
        peak = max(self._requests.values()) / _BIN
        return Outcome(
            max(self._acknowledged), max(served), max(served) - min(served), peak, self._pipe.ended
        )

    @property
    def now(self) -> float:
        """Seconds since the announcement."""
        return self._now

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Have something happen later."""
        heapq.heappush(self._events, (self._now + seconds, next(self._order), event))

    def ask(self, then: Callable[[], None], requests: int = 1) -> None:
        """Send requests one after the other; go on when the last one is answered."""
        self._requests[int(self._now / _BIN)] += 1
        left = requests - 1
        self.after(self._plan.latency.draw(self._chance), (lambda: self.ask(then, left)) if left else then)

    def fetch(self, then: Callable[[], None]) -> None:
        """Fetch the model."""
        self._pipe.add(then)

    @property
    def decided(self) -> bool:
        """Whether the decision can be read."""
        return self._now >= self._decided

    def acknowledge(self) -> None:
        """A machine's acknowledgement is in the store."""
        self._acknowledged.append(self._now)

    def serve(self) -> None:
        """A machine serves the new version from now on."""
        self._serving.append(self._now)

    def _beat(self, wait: float) -> None:
        def beat() -> None:
            self.ask(lambda: None, 1 + self._plan.lists * math.ceil(self._plan.machines / PAGE))
            self._beat(self._plan.beat)

        self.after(wait, beat)

    def _count(self) -> None:
        """The author lists the acknowledgements, and decides when all are there."""

        def counted() -> None:
            if len(self._acknowledged) < self._plan.machines:
                self.after(self._plan.poll, self._count)
            else:
                self.ask(self._decide)

        self.ask(counted, math.ceil((len(self._acknowledged) + 1) / PAGE))

    def _decide(self) -> None:
        self._decided = self._now


class _Machine:
    """A machine that polls."""

    def __init__(self, simulation: Simulation, plan: Plan, chance: random.Random) -> None:
        self._simulation, self._plan, self._chance = simulation, plan, chance
        self._fetching = False

    def poll_after(self, seconds: float) -> None:
        self._simulation.after(seconds, lambda: self._simulation.ask(self._look, self._plan.reads))

    def _look(self) -> None:
        if not self._fetching:
            self._fetching = True
            self._simulation.fetch(self._load)
        if self._simulation.decided:
            self._simulation.serve()
            return
        self.poll_after(self._plan.poll * (1 + self._plan.jitter * self._chance.uniform(-1, 1)))

    def _load(self) -> None:
        seconds = self._plan.load_seconds * self._plan.model_mb
        self._simulation.after(seconds, lambda: self._simulation.ask(self._simulation.acknowledge))


class _Pipe:
    """The store's bandwidth, shared equally by those who fetch; each has its own link besides."""

    def __init__(self, simulation: Simulation, plan: Plan) -> None:
        self._simulation, self._plan = simulation, plan
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._done_mb, self._since, self._turn = 0.0, 0.0, 0
        self.ended = 0.0

    def add(self, then: Callable[[], None]) -> None:
        self._advance()
        heapq.heappush(self._waiting, (self._done_mb + self._plan.model_mb, next(self._order), then))
        self._next()

    def _rate(self) -> float:
        return min(self._plan.link_mb, self._plan.store_mb / max(1, len(self._waiting)))

    def _advance(self) -> None:
        """Note what each of those who fetch has got since the last time."""
        now = self._simulation.now
        self._done_mb += self._rate() * (now - self._since)
        self._since = now

    def _next(self) -> None:
        """Wait for the next one that ends, unless another begins before."""
        self._turn += 1
        turn = self._turn
        if self._waiting:
            left = max(0.0, self._waiting[0][0] - self._done_mb)
            self._simulation.after(left / self._rate(), lambda: self._end(turn))

    def _end(self, turn: int) -> None:
        if turn != self._turn:
            return
        self._advance()
        _, _, then = heapq.heappop(self._waiting)
        self.ended = self._simulation.now
        then()
        self._next()
