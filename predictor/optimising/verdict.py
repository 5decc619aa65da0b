"""Whether a faster form of a model may take its place. Pure: confidences and rates in, a verdict out.

What counts is proof, not hope: a few hundred labels cannot show that an accuracy fell by less than half a
percentage point, since one image more or less is that much. What can be shown is how often the answer
changed, and how sure the original was where it did: if the original's confidences are what they say, an
image whose answer changes from a class of confidence p to one of confidence q costs p - q right answers.
Labels, where there are any, make the confidences right, and may speak against a candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.evaluation.comparison import Pairs, agreement, expected_calibration_error
from predictor.evaluation.measures import Share

_Array = npt.NDArray[np.float64]

MIN_IMAGES = 100
"""Fewer images prove nothing."""
LEAST_RATIO = 1.2
"""How much faster a candidate must be, alone and with all cores at work."""
MAX_LOSS = 0.005
"""The accuracy that may be lost, as a share of all images, unless the user says otherwise."""
_CHANGES = 6
"""How many answers may change for each right one that may be lost: with 0.5 points, 3 of 100."""
# What is counted besides the images that were seen to change, as if one more had: no sample shows everything.
_PRIOR_COST = 0.1
_TEMPERATURES = np.geomspace(0.1, 10, 81)
# What a confidence of 0 counts as, and how far from 1 the sum of those of a softmax may be.
_LEAST, _WHOLE = 1e-12, 1e-3


@dataclass(frozen=True)
class Answers:
    """What a model says of images.

    Attributes:
        confidences: of each class, shape [images, classes].
        truths: the class of each image; None where it is not known.
    """

    confidences: _Array
    truths: Sequence[int | None]

    @property
    def best(self) -> list[int]:
        """The class of each image."""
        return [int(one) for one in self.confidences.argmax(axis=1)]

    def hits(self) -> list[bool]:
        """Of the images with a known class, whether the answer is right."""
        return [one == truth for one, truth in zip(self.best, self.truths, strict=True) if truth is not None]

    def calibrated(self) -> _Array:
        """The confidences, with the temperature that fits the labels best; without labels as they are.

        One number makes a model that is too sure, or not sure enough, as sure as it may be (C. Guo,
        G. Pleiss, Y. Sun, K. Q. Weinberger, 2017, On Calibration of Modern Neural Networks, section 4.2).
        """
        known = [(place, truth) for place, truth in enumerate(self.truths) if truth is not None]
        shares = np.abs(self.confidences.sum(axis=1) - 1).max() < _WHOLE
        if not known or not shares:
            return self.confidences
        places, truths = (np.array(one) for one in zip(*known, strict=True))
        gains = [_logs(self.confidences, one)[places, truths].mean() for one in _TEMPERATURES]
        return np.asarray(np.exp(_logs(self.confidences, _TEMPERATURES[int(np.argmax(gains))])))

    def accuracy(self) -> dict[str, Any]:
        """Top-1 with its interval and the calibration error, if there are labels."""
        hits = self.hits()
        if not hits:
            return {}
        known = [truth is not None for truth in self.truths]
        sure = self.confidences.max(axis=1)[known]
        return {
            "top1": Share(sum(hits), len(hits)).to_json(),
            "calibration_error": expected_calibration_error(sure, hits),
        }


def _logs(confidences: _Array, temperature: float) -> _Array:
    """The logarithms of the confidences at another temperature, shape [images, classes]."""
    logits = np.log(np.maximum(confidences, _LEAST)) / temperature
    return np.asarray(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


def changes(original: Answers, candidate: Answers) -> dict[str, Any]:
    """How the answers of a candidate differ from the original's, image by image."""
    rows = np.arange(len(original.confidences))
    first, second = np.array(original.best), np.array(candidate.best)
    moved = np.abs(original.confidences[rows, first] - candidate.confidences[rows, first])
    found = {
        "agreement": agreement(original.best, candidate.best).to_json(),
        "confidence": {"mean": float(moved.mean()), "largest": float(moved.max())},
        "expected_loss": _expected_loss(original.calibrated(), first, second),
        **candidate.accuracy(),
    }
    if original.hits():
        found["labels"] = _by_labels(Pairs.of(original.hits(), candidate.hits()))
    return found


def _expected_loss(
    confidences: _Array, first: npt.NDArray[Any], second: npt.NDArray[Any]
) -> dict[str, float]:
    """The accuracy that is lost if the confidences of the original are right, and its upper bound.

    The bound is the upper end of Wilson's 95 % interval of the share of images with another answer, times
    what such an image costs.
    """
    rows = np.arange(len(confidences))
    costs = np.clip(confidences[rows, first] - confidences[rows, second], 0, 1)[first != second]
    _, most = Share(len(costs), len(confidences)).interval
    each = (float(costs.sum()) + _PRIOR_COST) / (len(costs) + 1)
    return {"value": float(costs.sum()) / len(confidences), "high": most * each}


def _by_labels(pairs: Pairs) -> dict[str, Any]:
    """The loss of top-1 by the labels, with its interval, and McNemar's test."""
    low, high = pairs.interval
    return {
        "loss": {"value": -pairs.difference, "low": -high, "high": -low},
        "only_original_right": pairs.only_first,
        "only_candidate_right": pairs.only_second,
        "p_value": pairs.p_value,
        "images": pairs.of_all,
    }


def basis(images: int, *, labelled: bool) -> str:
    """What a recommendation rests on, in sentences."""
    if images < MIN_IMAGES:
        return (
            f"Nothing is recommended: {images} images prove nothing about accuracy. "
            f"Give at least {MIN_IMAGES}, better 300 or more."
        )
    rule = (
        f"Recommended is what is at least {LEAST_RATIO:g} times as fast and keeps the loss of accuracy "
        "within the bound. The loss is the upper end of a 95 % interval of the share of images whose answer "
        "changed, times how much surer the original was of its own answer there."
    )
    if labelled:
        return f"{rule} The labels say how sure that is right, and must not show a larger loss either."
    return f"{rule} The images have no labels: agreement with the original stands in for accuracy."


def objections(judged: dict[str, Any], max_loss: float, images: int) -> list[str]:
    """Why a candidate is not recommended; empty if it is.

    Args:
        judged: what `changes` gave, with the ratios of the rates under `speed`.
        max_loss: the accuracy that may be lost, as a share.
        images: usable images, those for calibration included.
    """
    found = []
    if images < MIN_IMAGES:
        found.append(f"{images} images prove nothing; at least {MIN_IMAGES} are needed.")
    slowest = min(judged["speed"][name]["ratio"] for name in ("alone", "all_cores"))
    if slowest < LEAST_RATIO:
        found.append(f"It is {slowest:.2f} times as fast; {LEAST_RATIO:g} times is worth a change.")
    if (high := judged["expected_loss"]["high"]) > max_loss:
        found.append(
            f"Up to {high:.2%} of the right answers may be lost, by the original's confidences where the "
            f"answer changed; {max_loss:.2%} is allowed."
        )
    least = 1 - _CHANGES * max_loss
    if (agreement_ := judged["agreement"]["value"]) < least:
        found.append(f"It agrees with the original on {agreement_:.1%} of the images; {least:.1%} is needed.")
    if (labels := judged.get("labels")) is not None:
        # One image more or less is not to be told from none.
        allowed = max(max_loss, 1 / labels["images"])
        if labels["loss"]["value"] > allowed + 1e-9:
            found.append(
                f"By the labels {labels['loss']['value']:.2%} of the right answers are lost; {allowed:.2%} "
                "is allowed."
            )
    return found


def chosen(candidates: Sequence[dict[str, Any]]) -> str | None:
    """The key of the recommended candidate: the fastest without objections, of near equals the surest."""
    good = [one for one in candidates if not one["objections"]]
    if not good:
        return None
    fastest = max(one["speed"]["all_cores"]["ratio"] for one in good)
    near = [one for one in good if one["speed"]["all_cores"]["ratio"] >= _NEAR * fastest]
    return str(min(near, key=lambda one: tuple(one["expected_loss"].values()))["key"])


_NEAR = 0.95
