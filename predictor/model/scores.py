"""Raw outputs -> ranked classes with confidences."""

from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.errors import Internal
from predictor.model.spec import Activation

Ranked = list[tuple[int, float]]
"""Pairs of class index and confidence (0 to 1), the most confident first."""


def rank(scores: npt.NDArray[Any], activation: Activation, top_k: int) -> Ranked:
    """The `top_k` classes of one picture; all of them if there are fewer.

    Args:
        scores: raw scores of one picture, shape [classes] or [classes, 1, 1].
        activation: what turns the scores into confidences.
        top_k: how many classes to give, at least 1. Equal confidences rank by class index.

    Raises:
        Internal: the model gave something that is not a number.
    """
    confidences = _activate(scores.reshape(-1).astype(np.float64), activation)
    if not np.isfinite(confidences).all():
        raise Internal("The model's answer for this picture is not a number.")
    best = _largest(confidences, top_k)
    return list(zip(best.tolist(), confidences[best].tolist(), strict=True))


def _largest(values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.intp]:
    """Where the largest values stand, the largest first, equal ones by their place."""
    if count >= len(values):
        return np.argsort(-values, kind="stable")
    # To sort only what can be among the largest costs a fifth of sorting a thousand values.
    places = np.flatnonzero(values >= np.partition(values, -count)[-count])
    return places[np.argsort(-values[places], kind="stable")[:count]]


def flat(scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Scores of a batch as [batch, classes], whether they are [batch, classes] or [batch, classes, 1, 1]."""
    return scores.reshape(len(scores), -1) if scores.shape[2:] == (1, 1) else scores


def _activate(scores: npt.NDArray[np.float64], activation: Activation) -> npt.NDArray[np.float64]:
    if activation == "softmax":
        # Subtracting the largest score changes nothing and keeps exp() finite.
        powers = np.exp(scores - scores.max())
        return np.asarray(powers / powers.sum())
    if activation == "sigmoid":
        # exp() overflows to infinity below -709, where the confidence is 0 anyway.
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / (1.0 + np.exp(-scores)))
    return scores
