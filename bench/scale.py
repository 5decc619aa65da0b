"""`python -m bench.scale`: 100 and 1000 machines on one store, simulated; writes `bench/results/scale.md`.

Its parts were measured with three machines (`bench/results/cluster.md`) or are assumptions that the table
states.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.scale_simulation import PAGE, Plan, Simulation

TEXT = """
"""
RESULT = Path(__file__).parent / "results" / "scale.md"
MONTH = 30.44 * 24 * 3600
SEEDS = 5
SIZES = (3, 100, 1000)
BASE = Plan(machines=3)
PAUSES = ((0.25, 1.0), (1.0, 5.0), (2.0, 5.0), (5.0, 10.0))
"""Seconds between two polls and between two heartbeats."""
POLLS = (1.0, 5.0)
STORES = {"100 Gbit/s": 12_500.0, "10 Gbit/s": 1_250.0}
"""Megabytes a second that a store gives to all: a cloud's, and one gateway of one's own."""


@dataclass(frozen=True)
class Prices:
    """What a store charges, in US dollars: S3 standard, us-east-1."""

    write: float = 0.005 / 1000
    """For a PUT or a LIST."""
    read: float = 0.0004 / 1000
    """For a GET."""
    gigabyte_month: float = 0.023


def per_second(plan: Plan) -> float:
    """Requests a second of a cluster in which nothing changes."""
    pages = plan.lists * math.ceil(plan.machines / PAGE)
    return plan.machines * (plan.reads / plan.poll + (1 + pages) / plan.beat)


def per_month(plan: Plan, prices: Prices, stored_gb: float = 10.0, changes: int = 300) -> float:
    """What a store charges in a month, in US dollars.

    Args:
        plan: the cluster.
        prices: of the store.
        stored_gb: gigabytes kept.
        changes: uploads in a month.
    """
    pages = plan.lists * math.ceil(plan.machines / PAGE)
    reads = plan.machines * (MONTH * plan.reads / plan.poll + changes)
    writes = plan.machines * (MONTH * (1 + pages) / plan.beat + 2 * changes)
    return reads * prices.read + writes * prices.write + stored_gb * prices.gigabyte_month


@dataclass(frozen=True)
class Several:
    """The medians of several simulations of one plan, and the largest time that the answers were mixed."""

    fetched: float
    ready: float
    serving: float
    mixed: float
    peak: float


def several(plan: Plan) -> Several:
    """Simulate a plan with different chances."""
    found = [Simulation(plan, seed).run() for seed in range(SEEDS)]

    def middle(name: str) -> float:
        return statistics.median(getattr(outcome, name) for outcome in found)

    mixed = max(outcome.mixed for outcome in found)
    return Several(middle("fetched"), middle("ready"), middle("serving"), mixed, middle("peak"))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown, with figures on the right."""
    lines = [heads, ["---:"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def at_rest() -> str:
    """What polls and heartbeats cost when nothing changes."""
    prices = Prices()
    rows = [
        (
            size,
            f"{poll:g}",
            f"{beat:g}",
            f"{per_second(plan):,.0f}",
            f"{per_month(plan, prices):,.0f}",
            f"{per_month(plan, prices) / size:.2f}",
        )
        for size in SIZES
        for poll, beat in PAUSES
        for plan in [replace(BASE, machines=size, poll=poll, beat=beat)]
    ]
    return table(("machines", "poll s", "heartbeat s", "requests/s", "USD a month", "for each machine"), rows)


def change() -> str:
    """How long a model takes to be served by all, from stores of different bandwidth."""
    rows = []
    for size in SIZES:
        for name, store_mb in STORES.items():
            for poll in POLLS:
                found = several(replace(BASE, machines=size, store_mb=store_mb, poll=poll))
                rows.append(
                    (
                        size,
                        name,
                        f"{poll:g}",
                        f"{found.fetched:.1f}",
                        f"{found.ready:.1f}",
                        f"{found.serving:.1f}",
                        f"{found.mixed:.2f}",
                        f"{found.peak:,.0f}",
                    )
                )
    heads = (
        "machines",
        "store gives",
        "poll s",
        "all fetched s",
        "all ready s",
        "all serve s",
        "mixed s",
        "peak requests/s",
    )
    return table(heads, rows)


def herd() -> str:
    """What becomes of machines that all start in the same moment, with and without jitter."""
    rows = []
    for size in SIZES[1:]:
        for name, jitter in (("none, all started at once", 0.0), ("10 %, spread over one pause", 0.1)):
            found = several(replace(BASE, machines=size, jitter=jitter))
            rows.append((size, name, f"{found.peak:,.0f}", f"{found.serving:.1f}", f"{found.mixed:.2f}"))
    return table(("machines", "jitter", "peak requests/s", "all serve s", "mixed s"), rows)


def report() -> str:
    """The whole text."""
    return TEXT.format(
        median=1000 * BASE.latency.median,
        p99=1000 * BASE.latency.p99,
        load=1000 * BASE.load_seconds,
        model=BASE.model_mb,
        link=BASE.link_mb,
        reads=BASE.reads,
        lists=BASE.lists,
        seeds=SEEDS,
        rest=at_rest(),
        change=change(),
        herd=herd(),
    )


def main() -> None:
    """Simulate, print and write."""
    text = report()
    print(text)
    RESULT.write_text(text)


if __name__ == "__main__":
    main()
