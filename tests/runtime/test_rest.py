"""A change that follows another waits for a rest, if requests were answered meanwhile."""

import time
from pathlib import Path

import pytest

from predictor.runtime.rest import Rest


class Machine:
    """Counts requests, and notes how long somebody rested."""

    def __init__(self, path: Path) -> None:
        self.answered = 0
        self.rested: list[float] = []
        self.rest = Rest(path, lambda: self.answered, self.rested.append)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which nothing was done yet."""
    return Machine(tmp_path / "last")


def test_first(machine: Machine) -> None:
    """The first change waits for nothing."""
    machine.rest.wait()

    assert machine.rested == [0.0]


def test_busy(machine: Machine) -> None:
    """While requests are answered, the next change begins some times as long after the last as that took."""
    machine.rest.took(0.1)
    machine.answered += 1000
    machine.rest.wait()

    assert 0.1 < machine.rested[0] <= 0.4


def test_idle(machine: Machine) -> None:
    """When nobody asks, a change follows at once."""
    machine.rest.took(0.1)
    time.sleep(0.05)
    machine.rest.wait()

    assert machine.rested == [0.0]


def test_long_change(machine: Machine) -> None:
    """The rest after a long change is bounded."""
    machine.rest.took(60)
    machine.answered += 1000
    machine.rest.wait()

    assert 2 < machine.rested[0] <= 3


@pytest.mark.parametrize("content", ["", "half", "1 2", "nan nan nan", "1e300 1 1"])
def test_damaged(machine: Machine, tmp_path: Path, content: str) -> None:
    """A damaged note, and one of a time that is still to come, keep nobody waiting."""
    (tmp_path / "last").write_text(content)
    machine.rest.wait()

    assert machine.rested == [0.0]
