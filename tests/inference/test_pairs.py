"""The first runs of a model say whether it runs two images at a time."""

import itertools

import pytest

from predictor.inference.pairs import Pairs


def run(pairs: Pairs, one: float, two: float, runs: int = 200) -> list[int]:
    """The sizes of so many runs where images always wait; a run of one takes `one` seconds, of two `two`."""
    sizes = list[int]()
    for _ in range(runs):
        sizes.append(pairs.max_batch)
        pairs.note(sizes[-1], two if sizes[-1] == 2 else one)
    return sizes


@pytest.mark.parametrize(("two", "size"), [(1.9, 2), (1.94, 2), (1.96, 1), (2.0, 1), (2.1, 1)])
def test_decided(two: float, size: int) -> None:
    """Pairs are run if they save 2.5 % at least, and nothing changes after that."""
    pairs = Pairs()
    run(pairs, 1.0, two)

    assert pairs.max_batch == size
    assert set(run(pairs, 1.0, 4.0 - two)) == {size}


def test_turns() -> None:
    """Until then runs of both sizes follow each other, several of one size in a row."""
    sizes = run(Pairs(), 1.0, 2.0, runs=100)
    changes = [one for one, next_one in itertools.pairwise(sizes) if one != next_one]

    assert sizes.count(1) == sizes.count(2) == 50
    assert len(changes) == 9


def test_noise() -> None:
    """What else the machine does in a part of the time decides nothing."""
    pairs = Pairs()
    for number in range(200):
        size = pairs.max_batch
        pairs.note(size, (1.9 if size == 2 else 1.0) * (3 if 60 < number < 100 else 1))

    assert pairs.max_batch == 2


def test_few_images() -> None:
    """Where images never wait, runs of one say nothing, and the first two that wait run together."""
    pairs = Pairs()
    for _ in range(500):
        pairs.note(1, 1.0)

    assert pairs.max_batch == 2


def test_failure() -> None:
    """After a failure of a pair each image runs alone."""
    pairs = Pairs()
    run(pairs, 1.0, 1.5)
    pairs.refuse()

    assert pairs.max_batch == 1
