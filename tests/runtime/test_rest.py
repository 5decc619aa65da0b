"""Work that slows others down waits for a rest, if there are others."""

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

    def work(self, seconds: float = 0.0) -> None:
        """Work for some time."""
        with self.rest.before():
            time.sleep(seconds)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which nothing was done yet."""
    return Machine(tmp_path / "last")


def test_first(machine: Machine) -> None:
    """The first work begins at once."""
    machine.work()

    assert machine.rested == [0.0]


def test_busy(machine: Machine) -> None:
    """While requests are answered, the next work begins some times as long after the last as that took."""
    machine.work(0.1)
    machine.answered += 1000
    machine.work()

    assert 0.1 < machine.rested[1] <= 0.45


def test_idle(machine: Machine) -> None:
    """When nobody asks, work follows at once."""
    machine.work(0.1)
    time.sleep(0.05)
    machine.work()

    assert machine.rested == [0.0, 0.0]


def test_long_work(machine: Machine, tmp_path: Path) -> None:
    """The rest after long work is bounded."""
    (tmp_path / "last").write_text(f"{time.monotonic()} 60 0")
    machine.answered += 1000
    machine.work()

    assert 2 < machine.rested[0] <= 3


@pytest.mark.parametrize("content", ["", "half", "1 2", "nan nan nan", "1e300 1 1"])
def test_damaged(machine: Machine, tmp_path: Path, content: str) -> None:
    """A damaged note, and one of a time that is still to come, keep nobody waiting."""
    (tmp_path / "last").write_text(content)
    machine.work()

    assert machine.rested == [0.0]


def test_failed_work(machine: Machine) -> None:
    """Work that failed needs its rest as well."""

    def fail() -> None:
        with machine.rest.before():
            time.sleep(0.1)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    machine.answered += 1000
    machine.work()

    assert machine.rested[1] > 0.1
