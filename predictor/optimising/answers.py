"""What two forms of a model answer to the same images, compared. Pure: confidences in, figures out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.evaluation.calibration import LEAST_IMAGES, Labelled, fit
from predictor.evaluation.comparison import Pairs, expected_calibration_error
from predictor.evaluation.measures import Share
from predictor.evaluation.results import UNSURE

_Array = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]

LEAST_LABELS = LEAST_IMAGES
"""Images with a known class, fewer of which say nothing about the confidences."""
PRIOR_COST = 0.1
"""What an image costs whose answer changes, as far as none was seen to change: no sample shows everything."""
# What a confidence of 0 counts as, and how far from 1 the sum of those of a softmax may be.
_LEAST, _WHOLE = 1e-12, 1e-3


@dataclass(frozen=True)
class Answers:
    """What a version says of images.

    Attributes:
        confidences: of each class, as the version answers, shape [images, classes].
        truths: the classes that apply to each image; None where they are not known.
        independent: whether any number of classes may apply to an image.
        thresholds: as those of a calibration.
    """

    confidences: _Array
    truths: Sequence[Sequence[int] | None]
    independent: bool = False
    thresholds: tuple[float, ...] = ()

    @property
    def named(self) -> _Flags:
        """Which classes each image is said to have, shape [images, classes].

        The best one, or of independent ones all that reach their threshold.
        """
        if self.independent:
            return np.asarray(self.confidences >= np.array(self.thresholds or UNSURE))
        best = self.confidences.argmax(axis=1)
        return np.asarray(np.arange(self.confidences.shape[1]) == best[:, np.newaxis])

    @property
    def shares(self) -> bool:
        """Whether the confidences of each image are shares of a whole, as those of a softmax."""
        return bool(np.abs(self.confidences.sum(axis=1) - 1).max() < _WHOLE)

    @property
    def known(self) -> list[int]:
        """The places of the images whose classes are known."""
        return [place for place, truth in enumerate(self.truths) if truth is not None]

    def hits(self) -> list[bool]:
        """Of these images, whether the answer is right: the class applies, or exactly the named ones do."""
        applies, named = self._applies(), self.named[self.known]
        right = (named == applies).all(axis=1) if self.independent else (named & applies).any(axis=1)
        return [bool(one) for one in np.asarray(right)]

    def calibrated(self) -> _Array:
        """The confidences, with the temperature that fits the labels best; without enough labels as they are.

        One number makes a model that is too sure, or not sure enough, as sure as it may be (C. Guo,
        G. Pleiss, Y. Sun, K. Q. Weinberger, 2017, On Calibration of Modern Neural Networks, section 4.2).
        """
        if self.independent or not self.shares:
            return self.confidences
        logits = np.log(np.maximum(self.confidences, _LEAST))
        labelled = Labelled(logits[self.known], self._applies(), independent=False).of_one_class()
        found = fit(labelled) if len(labelled.logits) >= LEAST_LABELS else None
        if found is None:
            return self.confidences
        return Labelled(logits, self.named, independent=False).confidences(found)

    def figures(self) -> dict[str, Any]:
        """What can be said of one form alone.

        With labels the accuracy, and the calibration error: `top1`, or `exact` where classes are independent.
        With thresholds the share of images of which no class reaches its own.
        """
        found: dict[str, Any] = {}
        if hits := self.hits():
            confidences, right = self.confidences[self.known].max(axis=1), np.array(hits)
            if self.independent:
                confidences, right = self.confidences[self.known].reshape(-1), self._applies().reshape(-1)
            name = "exact" if self.independent else "top1"
            found[name] = Share(sum(hits), len(hits)).to_json()
            found["calibration_error"] = expected_calibration_error(confidences, right)
        if self.thresholds:
            found["abstained"] = _share(np.all(self.confidences < np.array(self.thresholds), axis=1))
        return found

    def _applies(self) -> _Flags:
        """Which classes apply to the images whose classes are known, shape [known, classes]."""
        found = np.zeros((len(self.known), self.confidences.shape[1]), bool)
        for row, place in zip(found, self.known, strict=True):
            row[list(self.truths[place] or ())] = True
        return found


def changes(original: Answers, candidate: Answers) -> dict[str, Any]:
    """How the answers of a candidate differ from the original's, image by image."""
    rows, first = np.arange(len(original.confidences)), original.confidences.argmax(axis=1)
    moved = np.abs(original.confidences[rows, first] - candidate.confidences[rows, first])
    same = original.named == candidate.named
    found = {
        "agreement": _share(same.all(axis=1)),
        "confidence": {"mean": float(moved.mean()), "largest": float(moved.max())},
        "expected_loss": _expected_loss(original, candidate),
        **candidate.figures(),
    }
    if original.independent:
        least = int(same.mean(axis=0).argmin())
        found["least_agreement"] = {"index": least, **_share(same[:, least])}
    if original.known:
        found["labels"] = _by_labels(Pairs.of(original.hits(), candidate.hits()))
    return found


def _share(flags: npt.NDArray[Any]) -> dict[str, Any]:
    return Share(int(flags.sum()), len(flags)).to_json()


def _expected_loss(original: Answers, candidate: Answers) -> dict[str, float]:
    """The accuracy that is lost if the confidences of the original are right, and how much it may be.

    That is the upper end of Wilson's 95 % interval of the share of images with another answer, times what
    such an image costs: the mean of those that were seen, and of one more of `PRIOR_COST`. Of very few images
    that cost much this would be less than what was seen.
    """
    sure = original.calibrated()
    # To name an independent class is right with its confidence, and not to name it with the rest.
    worth = 2 * sure - 1 if original.independent else sure
    moved = original.named.astype(int) - candidate.named
    costs = np.clip((moved * worth).sum(axis=1), 0, 1)[moved.any(axis=1)]
    _, most = Share(len(costs), len(sure)).interval
    each = (float(costs.sum()) + PRIOR_COST) / (len(costs) + 1)
    value = float(costs.sum()) / len(sure)
    return {"value": value, "high": max(value, most * each)}


def _by_labels(pairs: Pairs) -> dict[str, Any]:
    """The loss of accuracy by the labels, with its interval, and McNemar's test."""
    low, high = pairs.interval
    return {
        "loss": {"value": -pairs.difference, "low": -high, "high": -low},
        "only_original_right": pairs.only_first,
        "only_candidate_right": pairs.only_second,
        "p_value": pairs.p_value,
        "images": pairs.of_all,
    }
