"""Temperatures and thresholds from labelled images: fitted on half of them, tested on the other half.

Dividing the logits by a temperature makes confidences as high as the accuracy, and changes no answer
(C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, 2017, On Calibration of Modern Neural Networks, section 4.2).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.evaluation.measures import calibration, threshold_for
from predictor.model.calibration import MAX_TEMPERATURE, MIN_TEMPERATURE, Calibration
from predictor.model.scores import activated

LEAST_IMAGES = 20
"""Images of each half, without which nothing is fitted."""
LEAST_OF_A_CLASS = 10
"""Images of the first half to which a class must apply, and as many to which it must not, so that it has a
temperature of its own."""
MIDDLE = 0.5
"""The threshold of a class of which there are too few images."""

Array = npt.NDArray[np.float64]

_STEPS = 100
_PRECISION = 1e-7


@dataclass(frozen=True)
class Labelled:
    """The logits of images, and which classes apply to each.

    Attributes:
        logits: shape [images, classes].
        applies: the same shape; of a model whose classes exclude each other one of each row.
        independent: whether classes are independent.
    """

    logits: Array
    applies: npt.NDArray[np.bool_]
    independent: bool

    def of_one_class(self) -> "Labelled":
        """The images that determine a temperature: of a model whose classes exclude each other those of one.

        Which of several classes the model should be sure of is not known, and to be right by any of them is
        likelier than its confidence says.
        """
        if self.independent:
            return self
        alone = self.applies.sum(axis=1) == 1
        return Labelled(self.logits[alone], self.applies[alone], self.independent)

    def half(self, first: bool) -> "Labelled":
        """One of two halves, which have as many images of each class as can be, and are always the same."""
        order = np.random.default_rng(0).permutation(len(self.logits))
        order = order[np.argsort(self.applies[order].argmax(axis=1), kind="stable")]
        chosen = np.sort(order[0 if first else 1 :: 2])
        return Labelled(self.logits[chosen], self.applies[chosen], self.independent)

    def confidences(self, by: Calibration) -> Array:
        """The confidences of a calibration, shape [images, classes]."""
        return activated(by.scaled(self.logits), independent=self.independent)

    def judged(self, by: Calibration) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Confidences, and whether they are right: of all independent classes, or of the best."""
        confidences = self.confidences(by)
        if self.independent:
            return confidences.reshape(-1), self.applies.reshape(-1)
        best = confidences.argmax(axis=1)
        rows = np.arange(len(best))
        return confidences[rows, best], self.applies[rows, best]


def fit(labelled: Labelled) -> Calibration | None:
    """The temperatures of a set of images, as `of_one_class` gives it; None if they do not determine one.

    Classes that are independent have a temperature each where there are enough images, and share one else.
    """
    if not labelled.independent:
        shared = fit_temperature(labelled.logits, labelled.applies.argmax(axis=1))
        return Calibration((shared,)) if _inside(shared) else None
    shared = fit_independent(labelled.logits, labelled.applies)
    if not _inside(shared):
        return None
    own = [_of_class(labelled, index, shared) for index in range(labelled.logits.shape[1])]
    return Calibration(tuple(own) if set(own) != {shared} else (shared,))


def _of_class(labelled: Labelled, index: int, shared: float) -> float:
    applies = labelled.applies[:, index]
    if min(applies.sum(), (~applies).sum()) < LEAST_OF_A_CLASS:
        return shared
    own = fit_independent(labelled.logits[:, index], applies)
    return own if _inside(own) else shared


def thresholds(precision: float, labelled: Labelled, by: Calibration) -> tuple[float | None, ...]:
    """The thresholds for a wished precision: one for the best class, or one for each if they are independent.

    Returns:
        For each None where the precision is not reached; `MIDDLE` for a class with too few images.
    """
    if not labelled.independent:
        return (threshold_for(precision, *labelled.judged(by)),)
    confidences = labelled.confidences(by)
    return tuple(
        MIDDLE
        if applies.sum() < LEAST_OF_A_CLASS
        else threshold_for(precision, confidences[:, index], applies)
        for index, applies in enumerate(labelled.applies.T)
    )


def report(labelled: Labelled, present: Calibration, precision: float | None) -> dict[str, Any]:
    """Fit on half of the images, and test on the other half.

    Args:
        labelled: all of them; those that `of_one_class` leaves out have no part in it.
        present: what the version has now.
        precision: the wished one, if thresholds are to be suggested.

    Returns:
        JSON: either `problem`, or the calibration error `before` and `after`, both with their bins, and
        `calibration` as `POST /models/<name>/calibration` takes it.
    """
    labelled = labelled.of_one_class()
    first, second = labelled.half(True), labelled.half(False)
    counts = {"fitted_on": len(first.logits), "tested_on": len(second.logits)}
    if min(counts.values()) < LEAST_IMAGES:
        which = "labelled images" if labelled.independent else "images with one label each"
        return counts | {"problem": f"A calibration needs at least {2 * LEAST_IMAGES} different {which}."}
    if (found := fit(first)) is None:
        return counts | {"problem": _UNDETERMINED}
    tested = {"before": _error(second, present), "after": _error(second, found)}
    suggested: dict[str, Any] = {}
    if precision is not None:
        limits = thresholds(precision, first, found)
        suggested = {"precision": _precision(precision, limits, second, found)}
        if first.independent or limits != (None,):
            # A class that does not reach the precision is not named unless it is certain.
            found = Calibration(found.temperatures, tuple(1.0 if one is None else one for one in limits))
    return counts | tested | suggested | {"calibration": found.to_json()}


_UNDETERMINED = (
    "The images determine no temperature: the model is right, or wrong, on nearly all of them however "
    "confident it is. Use more images, and images that are harder for the model."
)


def _error(labelled: Labelled, by: Calibration) -> dict[str, Any]:
    error, bins = calibration(*labelled.judged(by))
    return {"error": error, "bins": bins}


def _precision(
    wished: float, limits: Sequence[float | None], second: Labelled, by: Calibration
) -> dict[str, Any]:
    """What the thresholds come to on the images that they were not chosen on."""
    confidences = second.confidences(by)
    if second.independent:
        named = confidences >= np.array([1.0 if one is None else one for one in limits])
    else:
        least = math.inf if limits[0] is None else limits[0]
        best = np.arange(confidences.shape[1]) == confidences.argmax(axis=1)[:, np.newaxis]
        named = best & (confidences >= least)
    count, of = int(named.sum()), int(second.applies.sum())
    right = int((named & second.applies).sum())
    return {
        "wished": wished,
        "reached": right / count if count else None,
        "named": count,
        "right": right,
        "of": of,
        "thresholds": list(limits),
    }


def _inside(temperature: float) -> bool:
    return MIN_TEMPERATURE * 1.001 < temperature < MAX_TEMPERATURE / 1.001


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
