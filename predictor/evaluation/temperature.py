"""The temperatures that give what is true the highest likelihood. Pure: logits in, numbers out."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.model.calibration import MAX_TEMPERATURE, MIN_TEMPERATURE
from predictor.model.scores import activated

_STEPS = 100
_PRECISION = 1e-7

Array = npt.NDArray[np.float64]


def fit_temperature(logits: Array, truth: Sequence[int] | npt.NDArray[Any]) -> float:
    """The temperature with which a softmax gives the right classes the highest likelihood.

    Args:
        logits: shape [images, classes].
        truth: the index of each image's class.

    Returns:
        A temperature between `MIN_TEMPERATURE` and `MAX_TEMPERATURE`, or one of these.
    """
    logits = logits - logits.max(axis=1, keepdims=True)
    right = logits[np.arange(len(logits)), np.asarray(truth)]
    # No temperature makes a class likely that the model rules out, with a logit of minus infinity.
    logits, right = logits[np.isfinite(right)], right[np.isfinite(right)]
    finite = _finite(logits)

    def slope(factor: float) -> float:
        powers = np.exp(factor * logits)
        return float(((powers * finite).sum(axis=1) / powers.sum(axis=1) - right).sum())

    return 1 / _root(slope)


def fit_independent(logits: Array, applies: npt.NDArray[Any]) -> float:
    """The temperature with which sigmoids have the highest likelihood.

    Args:
        logits: of any shape.
        applies: the same shape: whether the class applies to the image.

    Returns:
        As `fit_temperature`.
    """
    logits = _finite(logits)
    right = float((logits * applies).mean())

    def slope(factor: float) -> float:
        return float((logits * activated(factor * logits, independent=True)).mean()) - right

    return 1 / _root(slope)


def _finite(logits: Array) -> Array:
    """Logits with 0, which has no part in a slope, for those that no temperature changes."""
    return np.where(np.isfinite(logits), logits, 0.0)


def _root(slope: Callable[[float], float]) -> float:
    """Where a rising function is 0, between the factors of the largest and the smallest temperature."""
    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    if slope(low) >= 0:
        return low
    if slope(high) <= 0:
        return high
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
        if high / low - 1 < _PRECISION:
            break
    return math.sqrt(low * high)
