"""`python -m bench.scale`: 100 and 1000 machines on one store, simulated; writes `bench/results/scale.md`.

Its parts were measured with three machines (`bench/results/cluster.md`) or are assumptions that the table
states.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from bench.scale_simulation import Plan

RESULT = Path(__file__).parent / "results" / "scale.md"
MONTH = 30.44 * 24 * 3600
SEEDS = 5
SIZES = (3, 100, 1000)


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
    pages = plan.lists * math.ceil(plan.machines / _PAGE)
    return plan.machines * (plan.reads / plan.poll + (1 + pages) / plan.beat)


def per_month(plan: Plan, prices: Prices, stored_gb: float = 10.0, changes: int = 300) -> float:
    """What a store charges in a month, in US dollars.

    Args:
        plan: the cluster.
        prices: of the store.
        stored_gb: gigabytes kept.
        changes: uploads in a month.
    """
    pages = plan.lists * math.ceil(plan.machines / _PAGE)
    reads = plan.machines * (MONTH * plan.reads / plan.poll + changes)
    writes = plan.machines * (MONTH * (1 + pages) / plan.beat + 2 * changes)
    return reads * prices.read + writes * prices.write + stored_gb * prices.gigabyte_month
