"""The simulation of many machines: its arithmetic, its bounds, and what jitter does."""

from dataclasses import replace

import pytest

from bench import scale
from bench.scale_plan import MONTH, Latency, Plan, Prices, per_month, per_second
from bench.scale_simulation import Simulation

PLAN = Plan(machines=20, latency=Latency(0.01, 0.02))


def test_cost_of_rest() -> None:
    """Polls and looks are paid as reads, PUT and LIST as writes; a LIST is paid for each page."""
    plan = Plan(machines=1500, poll=1.0, beat=6.0, jitter=0.0)
    only_reads, nothing = Prices(read=1e-6, write=0.0, gigabyte_month=0.0), Prices(0.0, 0.0, 0.0)

    reads, writes = per_second(plan)
    assert reads == pytest.approx(1500 * (1 + 2 / 6 + 1 / 72))
    assert writes == pytest.approx(1500 * (3 / 6 + 2 / 72))
    assert per_second(replace(plan, jitter=0.1))[0] == pytest.approx(reads / 0.95)
    assert per_month(plan, only_reads, changes=0) == pytest.approx(reads * MONTH * 1e-6)
    assert per_month(plan, nothing) == 0.0


def test_a_change_takes_what_its_parts_take() -> None:
    """No machine serves before the bytes came through the store's bandwidth and were loaded."""
    plan = replace(PLAN, model_mb=100, store_mb=200, part_mb=10, stream_mb=10_000, load_seconds=0.02)

    found = Simulation(plan).run()

    assert 20 * 100 / 200 <= found.fetched < 20 * 100 / 200 + 2 * plan.poll
    assert found.ready >= found.fetched + 2.0
    assert found.serving > found.ready
    assert found.mixed < plan.decision + 0.1


def test_a_link_is_the_limit_of_one_machine() -> None:
    """A machine alone gets what its connection gives, part by part, whatever the store could."""
    plan = replace(PLAN, machines=1, model_mb=100, part_mb=4, stream_mb=50)

    found = Simulation(plan).run()

    assert plan.link_mb == pytest.approx(4 / (0.01 + 4 / 50))
    assert found.fetched == pytest.approx(100 / plan.link_mb, abs=plan.poll + 0.1)


def test_jitter_spreads_requests() -> None:
    """Machines that start at once ask at once, unless their pauses vary."""
    herd = Simulation(replace(PLAN, machines=200, jitter=0.0)).run()
    spread = Simulation(replace(PLAN, machines=200, jitter=0.1)).run()

    assert herd.reads > 2 * spread.reads


def test_same_seed_same_outcome() -> None:
    """A simulation can be repeated."""
    assert Simulation(PLAN, seed=3).run() == Simulation(PLAN, seed=3).run()


def test_the_page() -> None:
    """The page has a row for each size of a cluster, and no place that was not filled."""
    sizes = (3, 20, 50)
    text = scale.report(sizes)

    assert all(f"\n| {size} |" in text for size in sizes)
    assert "{" not in text
