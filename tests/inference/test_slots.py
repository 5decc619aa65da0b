"""A worker takes its share of the cores, those that others leave, and for what can wait all but one."""

from predictor.inference.slots import ComputeSlots
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


def spare(slots: ComputeSlots) -> int:
    """Take as many slots for what can wait as there are."""
    count = 0
    while count < 20 and slots.take_spare():
        count += 1
    return count


def test_spare_of_a_quiet_machine() -> None:
    """What can wait has all cores where nobody predicts."""
    assert spare(ComputeSlots(1, total=4, workers=4)) == 4
    assert spare(ComputeSlots(1)) == 1


def test_spare_of_a_busy_machine() -> None:
    """Where any worker predicts, or did a moment ago, one core is left for the next image."""
    shared = SharedCounters()
    own, other = (ComputeSlots(2, total=4, workers=2, index=slot, shared=shared) for slot in (0, 1))
    assert other.take()

    assert spare(own) == 2
    assert not own.take_spare()
    other.give_back()
    assert spare(own) == 1
    assert own.take()


def test_spare_of_one_core() -> None:
    """The only core is taken, but not while it is used."""
    slots = ComputeSlots(1, total=1)
    assert slots.take()
    assert not slots.take_spare()
    slots.give_back()
    assert slots.take_spare()


def test_others() -> None:
    """A worker sees whether another one computes; what it computes itself does not count."""
    shared = SharedCounters()
    own, other = (ComputeSlots(1, total=2, workers=2, index=slot, shared=shared) for slot in (0, 1))
    assert own.take()
    assert not own.others()

    assert other.take()
    assert own.others()
    other.give_back()
    assert not own.others()
