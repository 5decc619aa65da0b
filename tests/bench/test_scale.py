"""The simulation of many machines: its arithmetic, its bounds, and what jitter does."""

from dataclasses import replace

import pytest

from bench import scale
from bench.scale_simulation import Latency, Plan, Simulation

PLAN = Plan(machines=20, latency=Latency(0.01, 0.02))


def test_cost_of_rest() -> None:
    """Polls are paid as reads and heartbeats as writes; a LIST is paid for each page."""
    plan = Plan(machines=1500, poll=1.0, beat=5.0, reads=2, lists=0)

    assert scale.per_second(plan) == pytest.approx(1500 * (2 + 0.2))
    assert scale.per_second(replace(plan, lists=1)) == pytest.approx(1500 * (2 + 0.6))
    dear, free = scale.Prices(read=1e-6, write=0.0, gigabyte_month=0.0), scale.Prices(0.0, 0.0, 0.0)
    assert scale.per_month(plan, dear, changes=0) == pytest.approx(1500 * 2 * scale.MONTH * 1e-6)
    assert scale.per_month(plan, free) == 0.0


def test_a_change_takes_what_its_parts_take() -> None:
    """No machine serves before the bytes came through the store's bandwidth and were loaded."""
    plan = replace(PLAN, model_mb=100, store_mb=200, link_mb=1000, load_seconds=0.02)

    found = Simulation(plan).run()

    assert 20 * 100 / 200 <= found.fetched < 20 * 100 / 200 + 2 * plan.poll
    assert found.ready >= found.fetched + 2.0
    assert found.serving > found.ready
    assert found.mixed < plan.poll * (1 + plan.jitter) + 0.1


def test_a_link_is_the_limit_of_one_machine() -> None:
    """A machine alone gets what its own link gives, whatever the store could."""
    found = Simulation(replace(PLAN, machines=1, model_mb=100, link_mb=50)).run()

    assert 2.0 <= found.fetched < 3.3


def test_jitter_spreads_requests() -> None:
    """Machines that start at once ask at once, unless their pauses vary."""
    herd = Simulation(replace(PLAN, machines=200, jitter=0.0)).run()
    spread = Simulation(replace(PLAN, machines=200, jitter=0.1)).run()

    assert herd.peak > 2 * spread.peak


def test_same_seed_same_outcome() -> None:
    """A simulation can be repeated."""
    assert Simulation(PLAN, seed=3).run() == Simulation(PLAN, seed=3).run()
