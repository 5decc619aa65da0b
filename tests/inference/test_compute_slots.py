"""A worker computes on its share of the cores, and on those that other workers leave idle."""

from predictor.inference.compute_slots import ComputeSlots
from predictor.shared import SharedCounters


def taken(slots: ComputeSlots) -> int:
    """Take as many slots as there are."""
    count = 0
    while count < 20 and slots.take():
        count += 1
    return count


def test_share() -> None:
    """A worker that is alone has its share and no more."""
    assert taken(ComputeSlots(3)) == 3


def test_idle_cores() -> None:
    """A worker uses the cores of others while these have nothing to do."""
    assert taken(ComputeSlots(1, total=4, workers=4)) == 4


def test_own_share_is_certain() -> None:
    """What others took of a worker's share does not keep it from working."""
    shared = SharedCounters()
    greedy, late = (ComputeSlots(1, total=2, workers=2, index=slot, shared=shared) for slot in (0, 1))

    assert taken(greedy) == 2
    assert taken(late) == 1


def test_given_back() -> None:
    """A slot that is given back can be taken again, by other workers too."""
    shared = SharedCounters()
    first, second = (ComputeSlots(1, total=2, workers=2, index=slot, shared=shared) for slot in (0, 1))
    assert taken(first) == 2
    first.give_back()

    assert taken(second) == 1
    assert not first.take()
    second.give_back()
    assert first.take()
