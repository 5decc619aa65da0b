"""The figures of a run of many images, from what was seen of it."""

import pytest

from bench.bulk import Run, Seen


def seen(*shards: int) -> list[Seen]:
    """So many whole shards at each second."""
    return [Seen(float(second), number, 100.0, 200.0) for second, number in enumerate(shards)]


def test_steady() -> None:
    """Shards count up to the last one written, also where they are removed meanwhile."""
    assert Run(12.0, seen(1, 3, 5, 5)).steady == pytest.approx(200)
    assert Run(12.0, seen(1, 3, 5, 4)).steady == pytest.approx(200)
    assert Run(12.0, seen(2, 2)).steady == 0.0


def test_with_its_start() -> None:
    """The other rate is that of the whole command, from its start to its end."""
    assert Run(20.0, []).rate(1000) == "50.0"
