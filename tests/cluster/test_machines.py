"""Machines that start in the same moment do not ask the store in step."""

from pathlib import Path
from typing import Any

from predictor.cluster.heartbeat import Heartbeat
from predictor.cluster.machines import Machines
from tests.cluster.conftest import Machine, until

LONG = 3600.0
"""A pause that no test sees the end of."""


def test_pauses(machine: Any) -> None:
    """The first pause is any part of the period, each later one up to a tenth shorter than that."""
    machines: Machines = machine("a", chance=iter([0.25, 0.0, 0.5, 1.0]).__next__).machines
    pauses = machines.pauses(10.0)

    assert [next(pauses) for _ in range(4)] == [2.5, 9.0, 9.5, 10.0]


def test_polls(machine: Any) -> None:
    """Two machines that start together look at the log again at different moments."""
    early: Machine = machine("early", chance=lambda: 0.0)
    late: Machine = machine("late", chance=lambda: 1.0)
    for one in (early, late):
        one.machines.poll_seconds = LONG
        one.follower.start()

    until(lambda: early.status.caught_up)
    assert not late.status.caught_up


class _Counted(Machines):
    beats = 0

    def beat(self) -> Any:
        self.beats += 1
        return super().beat()


def test_heartbeats(machine: Any, tmp_path: Path) -> None:
    """The second heartbeat comes anywhere in the time between two of them."""
    one: Machine = machine("a")
    machines = _Counted(one.bucket, "a", one.status, LONG, chance=lambda: 0.0)
    heartbeat = Heartbeat(one.log, machines, one.status, tmp_path)

    heartbeat.begin()

    until(lambda: machines.beats == 2)
    heartbeat.stop()
