"""A model of one score: a binary classifier; the second class has the score, the first the rest."""

import dataclasses

import numpy as np
import numpy.typing as npt

from predictor.errors import InvalidModel
from predictor.model import labels
from predictor.model.labels import Found
from predictor.model.spec import Activation, Last, ModelSpec

_Scores = npt.NDArray[np.float64]

_CONFIDENCE = "The graph ends in a sigmoid: its score is a confidence."
_LOGIT = "The graph ends in a linear layer: its score is a logit."
_MEASUREMENT = (
    "The model gives one number, which is read as the logit of its second class. If it is a measurement, "
    "such as an age, its predictions are meaningless."
)
_ASSUMED = "Whether the one score is a confidence or a logit is not declared: test images decided."
_NO_SOFTMAX = "The declared activation softmax is always 1 for one score: softmax is not applied, and {}."
_TWICE = "The activation sigmoid is declared, but the graph already ends in one: it is not applied again."
_OUTSIDE = (
    "The activation none is declared, but the score for a test image is outside 0 to 1; such "
    "scores count as 0 or 1."
)


def settle(spec: ModelSpec, scores: _Scores, last: Last | None) -> ModelSpec:
    """What is known of a model of one score once it has been tried.

    Args:
        spec: what was known before.
        scores: those of the trial images.
        last: what the nodes show of the output.

    Raises:
        InvalidModel: the score is the same for every image, because a softmax makes it.
    """
    if last == "softmax":
        raise InvalidModel(
            "The model ends in a softmax over one score, which is 1 for every image. Export it with a "
            "sigmoid, or without an activation."
        )
    activation, why, warnings = _chosen(spec, scores, last)
    came = spec.reasons.get("labels", labels.NONE)
    found = labels.fit(Found(spec.labels, came), 1)
    # Labels say that it is a classifier.
    if why == _LOGIT and came == labels.NONE:
        warnings = (*warnings, _MEASUREMENT)
    low, high = (label.name for label in found.labels)
    reasons = {
        "activation": why,
        "labels": found.reason,
        "classes": f"One score separates two classes: a high score means {high}, a low score {low}.",
    }
    return dataclasses.replace(
        spec,
        activation=activation,
        multi_label=False,
        binary=True,
        labels=found.labels,
        reasons={**spec.reasons, **reasons},
        warnings=(*spec.warnings, *warnings),
    )


def _chosen(spec: ModelSpec, scores: _Scores, last: Last | None) -> tuple[Activation, str, tuple[str, ...]]:
    """The activation, why it is that one, and warnings."""
    if spec.evidence != "given":
        return _found(scores, last)
    said = spec.reasons.get("activation", "")
    if spec.activation == "softmax":
        activation, why, _ = _found(scores, last)
        instead = "the score is a confidence" if activation == "none" else "the sigmoid is applied"
        return activation, why, (_NO_SOFTMAX.format(instead),)
    if spec.activation == "sigmoid" and last == "sigmoid":
        return "none", _CONFIDENCE, (_TWICE,)
    outside = spec.activation == "none" and not _between(scores)
    return spec.activation, said, (_OUTSIDE,) if outside else ()


def _found(scores: _Scores, last: Last | None) -> tuple[Activation, str, tuple[str, ...]]:
    """The same where nobody said anything that can be."""
    if last == "sigmoid":
        return "none", _CONFIDENCE, ()
    if last == "linear":
        return "sigmoid", _LOGIT, ()
    if _between(scores):
        return (
            "none",
            "The scores of the test images are between 0 and 1: they are confidences.",
            (_ASSUMED,),
        )
    return "sigmoid", "The scores of the test images are logits.", (_ASSUMED,)


def _between(scores: _Scores) -> bool:
    return bool(scores.min() >= 0 and scores.max() <= 1)
