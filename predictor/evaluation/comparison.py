"""Two models on the same images: tests and intervals. Pure: counts and arrays in, numbers out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.evaluation.measures import BINS, Share, calibration


@dataclass(frozen=True)
class Pairs:
    """How many images each of two models got right.

    Attributes:
        both: images that both got right.
        only_first: images that only the first got right.
        only_second: images that only the second got right.
        neither: images that neither got right.
    """

    both: int
    only_first: int
    only_second: int
    neither: int

    @classmethod
    def of(cls, first: Sequence[bool], second: Sequence[bool]) -> "Pairs":
        """Count the images.

        Args:
            first: whether the first model got each image right.
            second: the same for the second model, in the same order.
        """
        a, b = np.asarray(first, bool), np.asarray(second, bool)
        if a.shape != b.shape:
            raise ValueError("Both models must have judged the same images.")
        counts = (a & b, a & ~b, ~a & b, ~a & ~b)
        return cls(*(int(count.sum()) for count in counts))

    @property
    def of_all(self) -> int:
        """All images."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def p_value(self) -> float:
        """McNemar's test: see `mcnemar`."""
        return mcnemar(self.only_first, self.only_second)

    @property
    def difference(self) -> float:
        """The accuracy of the second less that of the first, -1 to 1."""
        return (self.only_second - self.only_first) / self.of_all

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the difference: see `paired_interval`."""
        low, high = paired_interval(self.both, self.only_second, self.only_first, self.neither)
        return low, high

    def to_json(self) -> dict[str, Any]:
        """Counts, test, and the difference with its interval."""
        low, high = self.interval
        return {
            "both_right": self.both,
            "only_first_right": self.only_first,
            "only_second_right": self.only_second,
            "both_wrong": self.neither,
            "difference": {"value": self.difference, "low": low, "high": high},
            "p_value": self.p_value,
        }


def mcnemar(only_a: int, only_b: int) -> float:
    """How likely two equally good models differ at least so much on the same images, 0 to 1.

    The exact two-sided test of McNemar (1947): of the images that only one of the two got right, either
    has each with probability 1/2. It is exact for any number of images, so no approximation is needed.

    Args:
        only_a: images that only one model got right.
        only_b: images that only the other got right.
    """
    n, least = only_a + only_b, min(only_a, only_b)
    # In logarithms: of many thousand images the powers of two are beyond what a float can hold.
    below = math.fsum(math.exp(_log_choose(n, k) - n * math.log(2)) for k in range(least + 1))
    return min(1.0, 2 * below) if n else 1.0


def paired_interval(both: int, only_a: int, only_b: int, neither: int) -> tuple[float, float]:
    """The 95 % confidence interval of a difference of two accuracies on the same images, a less b.

    Newcombe's square-and-add interval, made of the Wilson intervals of both (R. G. Newcombe, 1998, Statistics
    in Medicine 17, 2635-2650, method 10). Unlike the interval of Wald, it has a width where the models
    differ on no image.

    Args:
        both: images that both models got right.
        only_a: images that only model a got right.
        only_b: images that only model b got right.
        neither: images that both got wrong.

    Raises:
        ValueError: there is no image.
    """
    if (n := both + only_a + only_b + neither) == 0:
        raise ValueError("There must be an image.")
    a, b = Share(both + only_a, n), Share(both + only_b, n)
    (a_low, a_high), (b_low, b_high) = a.interval, b.interval
    correlation, difference = _correlation(both, only_a, only_b, neither), (only_a - only_b) / n
    below = _distance(a.value - a_low, b_high - b.value, correlation)
    above = _distance(a_high - a.value, b.value - b_low, correlation)
    return max(-1.0, difference - below), min(1.0, difference + above)


def expected_calibration_error(
    confidence: Sequence[float] | npt.NDArray[Any],
    correct: Sequence[bool] | npt.NDArray[Any],
    bins: int = BINS,
) -> float:
    """How far confidence is from accuracy: their mean distance over bins, weighted by their images, 0 to 1.

    Args:
        confidence: of the answer for each image, 0 to 1.
        correct: whether it is right.
        bins: how many, of equal width.
    """
    return calibration(confidence, correct, bins)[0]


def _correlation(both: int, only_a: int, only_b: int, neither: int) -> float:
    """The correlation of the two answers, corrected for continuity where it is positive."""
    n = both + only_a + only_b + neither
    sides = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    excess = both * neither - only_a * only_b
    if sides == 0:
        return 0.0
    return (max(excess - n / 2, 0.0) if excess > 0 else excess) / math.sqrt(sides)


def _distance(one: float, other: float, correlation: float) -> float:
    """Square and add two distances of correlated figures; rounding never makes the sum negative."""
    return math.sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
