"""`python -m bench.scale`: 100 and 1000 machines on one store, simulated; writes `bench/results/scale.md`.

Its parts were measured with three machines (`bench/results/cluster.md`) or are assumptions that the table
states.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path

from bench.scale_plan import Plan, Prices, per_month, per_second
from bench.scale_simulation import Outcome, Simulation

TEMPLATE = Path(__file__).with_name("scale_template.md")
RESULT = Path(__file__).parent / "results" / "scale.md"
SEEDS = 9
SIZES = (3, 100, 1000)
BASE = Plan(machines=3)
PAUSES = ((0.25, 1.25), (1.0, 5.0), (2.0, 10.0), (5.0, 25.0))
"""Seconds between two polls and between two heartbeats: five polls, as in `predictor/cluster/machines.py`."""
STORES = {"100 Gbit/s": 12_500.0, "10 Gbit/s": 1_250.0}
"""Megabytes a second that a store gives to all: a cloud's, and one gateway of one's own."""
DECISIONS = (0.1, 0.25, 0.5)


def several(plan: Plan) -> tuple[Outcome, float]:
    """Simulate a plan with different chances: the medians, and the longest time with mixed answers."""
    found = [Simulation(plan, seed).run() for seed in range(SEEDS)]
    middle = {
        one.name: statistics.median(getattr(outcome, one.name) for outcome in found)
        for one in fields(Outcome)
    }
    return Outcome(**middle), max(outcome.mixed for outcome in found)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown, with figures on the right."""
    lines = [heads, ["---:"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def at_rest(sizes: Sequence[int]) -> str:
    """What polls and heartbeats cost when nothing changes."""
    heads = ("machines", "poll s", "heartbeat s", "reads/s", "writes/s", "USD a month", "for each machine")
    rows = list[Sequence[object]]()
    for size in sizes:
        for poll, beat in PAUSES:
            plan = replace(BASE, machines=size, poll=poll, beat=beat)
            reads, writes = per_second(plan)
            cost = per_month(plan, Prices())
            figures = (f"{reads:,.1f}", f"{writes:,.1f}", f"{cost:,.0f}", f"{cost / size:.2f}")
            rows.append((size, f"{poll:g}", f"{beat:g}", *figures))
    return table(heads, rows)


def figures(found: Outcome, longest: float) -> Sequence[str]:
    """An outcome as columns of a table."""
    seconds = (f"{value:.1f}" for value in (found.fetched, found.ready, found.serving))
    return (*seconds, f"{found.mixed:.2f} ({longest:.2f})", f"{found.reads:,.0f}", f"{found.writes:,.0f}")


_HEADS = ("all fetched s", "all ready s", "all serve s", "mixed s", "reads/s", "writes/s")


def change(sizes: Sequence[int]) -> str:
    """How long a model takes to be served by all, from stores of different bandwidth."""
    rows = [
        (size, name, *figures(*several(replace(BASE, machines=size, store_mb=store_mb))))
        for size in sizes
        for name, store_mb in STORES.items()
    ]
    return table(("machines", "the store gives", *_HEADS), rows)


def decisions(sizes: Sequence[int]) -> str:
    """What it costs that machines that are ready ask more or less often."""
    rows = [
        (size, f"{pause:g}", *figures(*several(replace(BASE, machines=size, decision=pause))))
        for size in sizes[1:]
        for pause in DECISIONS
    ]
    return table(("machines", "pause s", *_HEADS), rows)


def herd(sizes: Sequence[int]) -> str:
    """What becomes of machines that all start in the same moment, with and without jitter."""
    rows = [
        (size, name, *figures(*several(replace(BASE, machines=size, jitter=jitter))))
        for size in sizes[1:]
        for name, jitter in (("in step", 0.0), ("varied", 0.1))
    ]
    return table(("machines", "pauses", *_HEADS), rows)


def report(sizes: Sequence[int] = SIZES) -> str:
    """The whole text.

    Args:
        sizes: of clusters; the first one has no rows where many machines are the matter.
    """
    latency = BASE.latency
    return TEMPLATE.read_text().format(
        median=1000 * latency.median,
        p99=1000 * latency.p99,
        load=1000 * BASE.load_seconds,
        part=BASE.part_mb,
        stream=BASE.stream_mb,
        link=BASE.link_mb,
        model=BASE.model_mb,
        decision=BASE.decision,
        jitter=BASE.jitter,
        seeds=SEEDS,
        rest=at_rest(sizes),
        change=change(sizes),
        decisions=decisions(sizes),
        herd=herd(sizes),
    )


def main() -> None:
    """Simulate, print and write."""
    text = report()
    print(text)
    RESULT.write_text(text)


if __name__ == "__main__":
    main()
