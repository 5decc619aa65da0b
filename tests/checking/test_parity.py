"""Answers of two devices are compared, and what rounding explains is not held against them."""

import numpy as np
import numpy.typing as npt
import pytest

from predictor.checking.parity import best, differences

CPU = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]], np.float32)


def test_best() -> None:
    """The five best classes of each picture are kept with their scores, the best first."""
    (answer,) = best(np.arange(8, dtype=np.float16)[np.newaxis])

    assert list(answer.classes) == [7, 6, 5, 4, 3]
    assert list(answer.scores) == [7, 6, 5, 4, 3]
    assert answer.spread == 7


@pytest.mark.parametrize("scores", [CPU, CPU + 0.001, CPU * 1.005])
def test_alike(scores: npt.NDArray[np.float32]) -> None:
    """What rounding explains is no difference."""
    assert differences(best(CPU), best(scores)) == []


@pytest.mark.parametrize("scores", [np.zeros((2, 3)), np.ones((2, 1))])
def test_without_spread(scores: npt.NDArray[np.float64]) -> None:
    """Scores that are all the same are no other than themselves."""
    assert differences(best(scores), best(scores)) == []


def test_one_score() -> None:
    """A single score of each image differs by a share of what lies between those of all images."""
    one = np.array([[0.0], [10.0]])

    assert differences(best(one), best(one + 0.1)) == []
    assert differences(best(one), best(one + 1)) == [
        "The scores on the GPU differ from those on the CPU by up to 10% of their range."
    ]


def test_ties() -> None:
    """Two classes that are as good as equal may change places."""
    one, other = np.array([[0.5, 0.499, 0.0]]), np.array([[0.499, 0.5, 0.0]])

    assert differences(best(one), best(other)) == []


def test_other_class() -> None:
    """Another best class is counted."""
    other = CPU[:, ::-1].copy()
    other[0] = CPU[0]

    assert differences(best(CPU), best(other)) == [
        "The GPU predicts a different class than the CPU for 1 of 2 test images."
    ]


def test_other_scores() -> None:
    """The same class with quite another score is told, as a share of the range."""
    assert differences(best(CPU), best(np.where(CPU == 0.7, 0.76, CPU))) == [
        "The scores on the GPU differ from those on the CPU by up to 10% of their range."
    ]


def test_extremes() -> None:
    """Scores at the ends of what a number can be are compared as well."""
    wide = np.array([[1.7e308, -1.7e308]])

    assert differences(best(wide), best(wide)) == []
    assert len(differences(best(wide), best(-wide))) == 1


def test_other_form() -> None:
    """Answers that cannot be compared are pointed out, too."""
    assert differences(best(CPU), best(CPU[:, :2])) == [
        "The GPU gives a different number of scores than the CPU."
    ]
