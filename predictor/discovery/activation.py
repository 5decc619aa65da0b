"""What is still to be applied to a model's scores, by its nodes and by what it answers."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.discovery.configs.declared import DeclaredPreprocessing
from predictor.errors import InvalidModel
from predictor.model import labels
from predictor.model.labels import Found, numbered
from predictor.model.scores import flat
from predictor.model.spec import ACTIVATIONS, Activation, Evidence, Last, ModelSpec

KEY = "predictor.activation"
"""The metadata key of this service's own word for it."""

_Array = npt.NDArray[Any]
# Half precision rounds each of many probabilities.
_TOLERANCE = 0.01
_TWICE = "The activation softmax is declared, but the scores are already probabilities."


@dataclasses.dataclass(frozen=True)
class Chosen:
    """An activation, whether confidences are independent, why, and how sure that is."""

    activation: Activation
    multi_label: bool
    reason: str
    evidence: Evidence


def choose(
    declared: DeclaredPreprocessing, metadata: Mapping[str, str], last: Last | None, *, beside: bool
) -> Chosen:
    """The activation as far as it is known before a trial.

    Args:
        declared: what was declared about the model.
        metadata: the model's metadata.
        last: what `Structure.last` says of the output.
        beside: whether `declared` came beside the model, and so wins over its metadata.

    Raises:
        InvalidModel: the metadata's word is none that is known.
    """
    stated = _declared(declared) if beside or KEY not in metadata else None
    if stated is not None:
        return stated
    if KEY in metadata:
        return Chosen(
            _known(metadata[KEY]), metadata[KEY] == "sigmoid", "Read from the model's metadata.", "given"
        )
    return _declared(declared) or _seen(last)


def _declared(declared: DeclaredPreprocessing) -> Chosen | None:
    if declared.activation is None:
        return None
    return Chosen(declared.activation, bool(declared.multi_label), f"Read from {declared.source}.", "given")


def _known(name: str) -> Activation:
    for activation in ACTIVATIONS:
        if activation == name:
            return activation
    raise InvalidModel(f"The metadata {KEY} must be one of {', '.join(ACTIVATIONS)}.")


def _seen(last: Last | None) -> Chosen:
    if last == "softmax":
        return Chosen("none", multi_label=False, reason="The graph ends in a softmax.", evidence="seen")
    if last == "sigmoid":
        reason = "The graph ends in a sigmoid: each class has an independent confidence."
        return Chosen("none", multi_label=True, reason=reason, evidence="seen")
    if last == "linear":
        reason = "The graph ends in a linear layer: its scores are logits."
        return Chosen("softmax", multi_label=False, reason=reason, evidence="seen")
    return Chosen("softmax", False, "The activation is not declared: logits are assumed.", "assumed")


def settle(spec: ModelSpec, outputs: Sequence[_Array], last: Last | None = None) -> ModelSpec:
    """What is known of a model once it has been tried.

    Args:
        spec: what was known before.
        outputs: the scores for trial images, each of shape [batch, classes] or [batch, classes, 1, 1].
        last: what `Structure.last` says of the output.

    Returns:
        The spec with the activation that the scores call for and, if they were missing, numbered labels.

    Raises:
        InvalidModel: the score is the same for every image.
    """
    rows = np.concatenate([flat(scores) for scores in outputs]).astype(np.float64)
    if rows.shape[1] == 1:
        return settle_binary(spec, rows, last)
    if not spec.labels:
        spec = dataclasses.replace(spec, labels=numbered(rows.shape[1]))
    probabilities = _sum_to_one(rows)
    if spec.evidence == "given":
        twice = probabilities and spec.activation == "softmax"
        return dataclasses.replace(spec, warnings=(*spec.warnings, _TWICE)) if twice else spec
    if probabilities:
        return _with(
            spec, "none", multi_label=False, reason="The scores of the test images are probabilities."
        )
    if spec.evidence == "assumed" and _between(rows):
        reason = (
            "The scores of the test images are between 0 and 1 but do not sum to 1: they are independent."
        )
        found = _with(spec, "none", multi_label=True, reason=reason)
        return dataclasses.replace(found, warnings=(*found.warnings, _INDEPENDENT))
    if spec.evidence == "assumed":
        return _with(spec, "softmax", multi_label=False, reason="The scores of the test images are logits.")
    return spec


def _with(spec: ModelSpec, activation: Activation, *, multi_label: bool, reason: str) -> ModelSpec:
    return dataclasses.replace(
        spec,
        activation=activation,
        multi_label=multi_label,
        reasons={**spec.reasons, "activation": reason},
    )


def _sum_to_one(rows: npt.NDArray[np.float64]) -> bool:
    # A row may go below zero by what rounding leaves.
    return bool(rows.min() >= -1e-6 and np.abs(rows.sum(axis=1) - 1).max() <= _TOLERANCE)


def _between(rows: npt.NDArray[np.float64]) -> bool:
    return bool(rows.min() >= 0 and rows.max() <= 1)


_Scores = npt.NDArray[np.float64]

_CONFIDENCE = "The graph ends in a sigmoid: its score is a confidence."
_LOGIT = "The graph ends in a linear layer: its score is a logit."
_MEASUREMENT = (
    "The model gives one number, which is read as the logit of its second class. If it is a measurement, "
    "such as an age, its predictions are meaningless."
)
_ASSUMED = "Whether the one score is a confidence or a logit is not declared: test images decided."
_INDEPENDENT = (
    "Whether the scores are independent confidences or logits is not declared: test images decided. If only "
    'one class applies to an image, give {"activation": "softmax"} in the preprocessing.'
)
_NO_SOFTMAX = "The declared activation softmax is always 1 for one score: softmax is not applied, and {}."
_SIGMOID_TWICE = (
    "The activation sigmoid is declared, but the graph already ends in one: it is not applied again."
)
_OUTSIDE = (
    "The activation none is declared, but the score for a test image is outside 0 to 1; such "
    "scores count as 0 or 1."
)


def settle_binary(spec: ModelSpec, scores: _Scores, last: Last | None) -> ModelSpec:
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
    activation, why, warnings = _chosen_sigmoid(spec, scores, last)
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


def _chosen_sigmoid(
    spec: ModelSpec, scores: _Scores, last: Last | None
) -> tuple[Activation, str, tuple[str, ...]]:
    """The activation, why it is that one, and warnings."""
    if spec.evidence != "given":
        return _found_binary(scores, last)
    said = spec.reasons.get("activation", "")
    if spec.activation == "softmax":
        activation, why, _ = _found_binary(scores, last)
        instead = "the score is a confidence" if activation == "none" else "the sigmoid is applied"
        return activation, why, (_NO_SOFTMAX.format(instead),)
    if spec.activation == "sigmoid" and last == "sigmoid":
        return "none", _CONFIDENCE, (_SIGMOID_TWICE,)
    outside = spec.activation == "none" and not _between_classes(scores)
    return spec.activation, said, (_OUTSIDE,) if outside else ()


def _found_binary(scores: _Scores, last: Last | None) -> tuple[Activation, str, tuple[str, ...]]:
    """The same where nobody said anything that can be."""
    if last == "sigmoid":
        return "none", _CONFIDENCE, ()
    if last == "linear":
        return "sigmoid", _LOGIT, ()
    if _between_classes(scores):
        return (
            "none",
            "The scores of the test images are between 0 and 1: they are confidences.",
            (_ASSUMED,),
        )
    return "sigmoid", "The scores of the test images are logits.", (_ASSUMED,)


def _between_classes(scores: _Scores) -> bool:
    return bool(scores.min() >= 0 and scores.max() <= 1)
