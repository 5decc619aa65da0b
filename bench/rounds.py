"""What `bench.peers` measured, round by round, and its medians."""

import statistics
from dataclasses import dataclass, field

from bench.bare import Bare
from bench.contestant import Contestant
from bench.courses import Course
from bench.run import Load


@dataclass(frozen=True)
class Figures:
    """What one contestant did in one round.

    Attributes:
        start: seconds from its start to its first answer.
        loads: what wrk saw, by connections.
        pss: memory of all its processes under load, in megabytes.
        spent: milliseconds of a processor for an image, at the first number of connections.
        many: milliseconds an image in requests with 32 of them, one after the other; None if it takes none.
    """

    start: float
    loads: dict[int, Load]
    pss: float
    spent: float
    many: float | None


@dataclass
class Results:
    """All rounds of a course.

    Attributes:
        course: what was to do.
        bare: of as many bare processes as there are cores, for each round.
        alone: of one bare process, for each round.
        figures: of each contestant, for each round.
        absent: why others took no part.
        versions: what is installed for each that has an environment of its own.
    """

    course: Course
    bare: list[Bare] = field(default_factory=list)
    alone: list[Bare] = field(default_factory=list)
    figures: dict[Contestant, list[Figures]] = field(default_factory=dict)
    absent: dict[Contestant, str] = field(default_factory=dict)
    versions: dict[Contestant, str] = field(default_factory=dict)


class Medians:
    """Medians over the rounds of one contestant."""

    def __init__(self, rounds: list[Figures], bare: list[float]) -> None:
        self.rounds = rounds
        self._bare = bare
        self.start = statistics.median(figures.start for figures in rounds)
        self.spent = statistics.median(figures.spent for figures in rounds)
        self.pss = statistics.median(figures.pss for figures in rounds)
        many = [figures.many for figures in rounds if figures.many is not None]
        self.many = statistics.median(many) if many else None

    def rate(self, connections: int) -> float:
        """Images a second."""
        return statistics.median(figures.loads[connections].rate for figures in self.rounds)

    def p50(self, connections: int) -> float:
        """Median latency in milliseconds."""
        return statistics.median(figures.loads[connections].p50 for figures in self.rounds)

    def p99(self, connections: int) -> float:
        """99th percentile of the latency in milliseconds."""
        return statistics.median(figures.loads[connections].p99 for figures in self.rounds)

    def of_bare(self, connections: int) -> float:
        """Its rate over the bare pipeline's."""
        pairs = zip(self.rounds, self._bare, strict=True)
        return statistics.median(figures.loads[connections].rate / bare for figures, bare in pairs)

    def of_ideal(self) -> float:
        """The 99th percentile at 8 connections over the time in which 8 images are answered."""
        return statistics.median(
            figures.loads[8].p99 * figures.loads[8].rate / 8000 for figures in self.rounds
        )


def medians(results: Results) -> dict[str, Medians]:
    """By the key of the contestant."""
    bare = [round_.rate for round_ in results.bare]
    return {contestant.key: Medians(rounds, bare) for contestant, rounds in results.figures.items()}
