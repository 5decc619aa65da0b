"""Which answers are right, which requests were lost, and to which death."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.soak.load import Sent
from bench.soak.mix import KINDS, LIVE

REFUSED = {409, 503}
"""What tells a client to come back later is neither right nor wrong."""
NOT_REACHED = "not_ready"
# A dead worker's connections are closed only after its memory was given back; what is sent on them until then
# is lost as well.
_DYING_SECONDS = 0.25


@dataclass(frozen=True)
class Switch:
    """An upload that succeeded: from `start` on its label may come, from `end` on no other."""

    start: float
    end: float
    label: str


@dataclass
class Events:
    """What was done to the service besides the load."""

    switches: list[Switch] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    bad_models: int = 0
    trouble: list[str] = field(default_factory=list)

    def possible(self, sent: Sent) -> set[str]:
        """The labels that may be right for the cat."""
        before = [switch.label for switch in self.switches if switch.end <= sent.sent][-1:]
        during = [s.label for s in self.switches if s.end > sent.sent and s.start <= sent.answered]
        return {*before, *during}

    def right(self, sent: Sent) -> bool:
        """Whether a request was answered as it should be."""
        kind, possible = KINDS[sent.kind], self.possible(sent)
        pairs = zip(sent.labels, kind.labels, strict=False)
        return (
            sent.status == kind.status
            and len(sent.labels) == len(kind.labels)
            and all(found in possible if label == LIVE else found == label for found, label in pairs)
        )


@dataclass(frozen=True)
class Tally:
    """Requests of a kind, or of all, by what came of them."""

    right: list[Sent]
    wrong: list[Sent]
    refused: list[Sent]
    lost: list[Sent]

    @property
    def share(self) -> float:
        """Right answers among the requests that were not refused; what was lost was not right."""
        accepted = len(self.right) + len(self.wrong) + len(self.lost)
        return len(self.right) / accepted if accepted else 0.0

    def milliseconds(self, share: float) -> float:
        """A percentile of the time from when a request was due to its right answer."""
        times = sorted(1000 * (sent.answered - sent.due) for sent in self.right)
        return times[min(len(times) - 1, int(share * len(times)))] if times else 0.0


def tally(sent: Iterable[Sent], events: Events) -> Tally:
    """Sort requests by what came of them."""
    found = Tally([], [], [], [])
    for one in sent:
        if one.status == 0 or _given_up(one):
            found.lost.append(one)
        elif one.status in REFUSED:
            found.refused.append(one)
        else:
            (found.right if events.right(one) else found.wrong).append(one)
    return found


def _given_up(sent: Sent) -> bool:
    """Whether nginx answered for a service that it could not reach."""
    return sent.proxied and sent.status == 503 and NOT_REACHED in sent.labels


def lost_by_kill(lost: list[Sent], kills: list[float]) -> tuple[list[int], int]:
    """How many requests each kill cost, and how many were lost without one."""
    counts, without = [0] * len(kills), 0
    for one in lost:
        to_blame = [n for n, kill in enumerate(kills) if one.sent - _DYING_SECONDS <= kill <= one.answered]
        if to_blame:
            counts[to_blame[-1]] += 1
        else:
            without += 1
    return counts, without


def in_flight(sent: list[Sent], moments: list[float]) -> float:
    """How many requests were under way at some moments, on average."""
    counts = [sum(one.sent <= moment < one.answered for one in sent) for moment in moments]
    return statistics.mean(counts) if counts else 0.0
