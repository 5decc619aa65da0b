"""Figures of merit. Pure: counts and confidences in, numbers out."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 15
"""Bins of the calibration error, as Guo and others have it."""
SPANS = 20
"""Spans of the histogram of times."""
# The two-sided 95 % point of the normal distribution.
_Z = 1.959963984540054
# How far a threshold lies below the lowest confidence that is to reach it, at most.
_BELOW = 1e-6


@dataclass(frozen=True)
class Share:
    """How many of how many, with the interval that holds the true share in 95 of 100 such samples.

    Attributes:
        hits: how many.
        of: of how many; at least 1.
    """

    hits: int
    of: int

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.hits / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval (E. B. Wilson, 1927, J. Am. Stat. Assoc. 22, 209-212), 95 %."""
        share, n = self.value, self.of
        middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
        return max(0.0, middle - half), min(1.0, middle + half)

    def to_json(self) -> dict[str, Any]:
        """Share, interval and counts."""
        low, high = self.interval
        return {"value": self.value, "low": low, "high": high, "hits": self.hits, "of": self.of}


def calibration(
    confidences: Sequence[float] | npt.NDArray[Any], hits: Sequence[bool] | npt.NDArray[Any], bins: int = BINS
) -> tuple[float, list[dict[str, Any]]]:
    """The expected calibration error, and the bins that it is made of.

    The mean distance between confidence and accuracy over bins of equal width, weighted by their images
    (C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, 2017, On Calibration of Modern Neural Networks, eq. 3).

    Args:
        confidences: of the most confident class of each image, 0 to 1.
        hits: whether it was the right one.
        bins: how many bins.

    Returns:
        The error, 0 to 1, and each bin that has images: its borders, images, mean confidence, accuracy.
    """
    sure, right = np.asarray(confidences, np.float64), np.asarray(hits, np.float64)
    # A bin holds what is above its lower border, up to and with its upper one.
    places = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    found = [
        _bin(place / bins, (place + 1) / bins, sure[places == place], right[places == place])
        for place in sorted(set(places.tolist()))
    ]
    error = sum(one["pictures"] * abs(one["confidence"] - one["accuracy"]) for one in found) / len(sure)
    return float(error), found


def _bin(
    low: float, high: float, sure: npt.NDArray[np.float64], right: npt.NDArray[np.float64]
) -> dict[str, Any]:
    return {
        "from": low,
        "to": high,
        "pictures": len(sure),
        "confidence": float(sure.mean()),
        "accuracy": float(right.mean()),
    }


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Mean and percentiles of times, in milliseconds."""
    times = 1000 * np.asarray(seconds, np.float64)
    p50, p90, p99 = np.percentile(times, (50, 90, 99))
    return {
        "mean": float(times.mean()),
        "p50": float(p50),
        "p90": float(p90),
        "p99": float(p99),
        "max": float(times.max()),
    }


def histogram(seconds: Sequence[float]) -> list[dict[str, float]]:
    """How many of the times, in milliseconds, fall into each of 20 spans of equal width."""
    counts, borders = np.histogram(1000 * np.asarray(seconds, np.float64), SPANS)
    spans = zip(borders[:-1].tolist(), borders[1:].tolist(), counts.tolist(), strict=True)
    return [{"from": low, "to": high, "pictures": count} for low, high, count in spans]


@dataclass(frozen=True)
class ClassCounts:
    """How often a class applies, is predicted, and both.

    Attributes:
        images: images to which it applies.
        predicted: images for which it is predicted.
        right: images of both kinds.
    """

    images: int
    predicted: int
    right: int

    @property
    def precision(self) -> float:
        """The share of the predictions of the class that are right; 0 without any."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The share of the images of the class for which it is predicted; 0 without any."""
        return self.right / self.images if self.images else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 if either is."""
        return 2 * self.right / (self.images + self.predicted) if self.right else 0.0


def matrix(truth: Sequence[int], predicted: Sequence[int]) -> dict[tuple[int, int], int]:
    """The confusion matrix: how many images of each class were taken for each; without what never happened.

    Args:
        truth: the class of each image.
        predicted: the predicted class of each, in the same order.
    """
    return dict(sorted(Counter(zip(truth, predicted, strict=True)).items()))


def dense(entries: Mapping[tuple[int, int], int], classes: Sequence[int]) -> list[list[int]]:
    """A confusion matrix as rows of true and columns of predicted classes."""
    return [[entries.get((truth, predicted), 0) for predicted in classes] for truth in classes]


def by_class(
    truth: Sequence[Collection[int]], predicted: Sequence[Collection[int]]
) -> dict[int, ClassCounts]:
    """The counts of each class that applies to an image or is predicted for one, in their order.

    Args:
        truth: the classes of each image; one unless classes are independent.
        predicted: the predicted classes of each, in the same order.
    """
    applies, said, right = Counter[int](), Counter[int](), Counter[int]()
    for true, answer in zip(truth, predicted, strict=True):
        applies.update(true)
        said.update(answer)
        right.update(set(true) & set(answer))
    found = sorted(applies.keys() | said.keys())
    return {index: ClassCounts(applies[index], said[index], right[index]) for index in found}


def mean_f1(counts: Collection[ClassCounts]) -> dict[str, float]:
    """The mean F1: `macro` counts each class once, `weighted` each class as often as it has images."""
    of = sum(one.images for one in counts)
    return {
        "macro": sum(one.f1 for one in counts) / len(counts) if counts else 0.0,
        "weighted": sum(one.f1 * one.images for one in counts) / of if of else 0.0,
    }


def threshold_for(
    precision: float, confidences: npt.NDArray[np.float64], right: npt.NDArray[Any]
) -> float | None:
    """The lowest threshold that the answers must reach to be right as often as is wished.

    Args:
        precision: the share of right ones among the answers with at least that confidence, 0 to 1.
        confidences: of the answers.
        right: whether each is right.

    Returns:
        Slightly less than one of the confidences, which rounding may lower where the answer is given again,
        and more than all lower ones; None if no threshold has that precision.
    """
    order = np.argsort(-confidences, kind="stable")
    falling, hits = confidences[order], np.cumsum(right[order])
    shares = hits / np.arange(1, len(order) + 1)
    # Equal confidences are above a threshold together.
    last = np.append(falling[1:] < falling[:-1], True)
    good = np.flatnonzero(last & (shares >= precision) & (hits > 0))
    if not len(good):
        return None
    lowest, lower = np.append(falling, 0.0)[good[-1] :][:2]
    return float(max(lowest - _BELOW, (lowest + lower) / 2))
