"""Figures of merit. Pure: counts and confidences in, numbers out."""

import math
from collections.abc import Sequence
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
