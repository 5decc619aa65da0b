"""Raw outputs -> ranked classes with confidences."""

import base64
import itertools
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.errors import Internal
from predictor.model.labels import Label
from predictor.model.spec import Activation, ModelSpec, Tensor

Ranked = list[tuple[int, float]]
"""Pairs of class index and confidence (0 to 1), the most confident first."""
Calibrated = list[tuple[int, float, float]]
"""The same of a calibrated version: class index, confidence, and the confidence without the calibration."""
# What all confidences of a softmax make together, and some for their rounding.
_WHOLE = 1 + 1e-6
# The least probability that is told from 0, that of float32, and the largest below 1 whose odds are finite.
_LEAST = float(np.finfo(np.float32).tiny)
_MOST = 1 - float(np.finfo(np.float64).eps)


def rank(scores: npt.NDArray[Any], activation: Activation, top_k: int) -> Ranked:
    """The `top_k` classes of one image; all of them if there are fewer.

    Args:
        scores: raw scores of one image, shape [classes] or [classes, 1, 1]. A single one is that of the
            second of two classes.
        activation: what turns the scores into confidences.
        top_k: how many classes to give, at least 1. Equal confidences rank by class index.

    Raises:
        Internal: the model gave something that is not a number.
    """
    found = confidences(scores, activation)
    best = _largest(found, top_k)
    return list(zip(best.tolist(), found[best].tolist(), strict=True))


def answered(scores: npt.NDArray[Any], spec: ModelSpec, top_k: int) -> Ranked | Calibrated:
    """The `top_k` classes of one image as a version answers: by its calibration, if it has one.

    Args:
        scores: as for `rank`.
        spec: of the version.
        top_k: as for `rank`.

    Raises:
        Internal: the model gave something that is not a number.
    """
    if spec.calibration is None:
        return rank(scores, spec.activation, top_k)
    raw, found = confidences(scores, spec.activation), calibrated(scores, spec)
    best = _largest(found, top_k)
    return list(zip(best.tolist(), found[best].tolist(), raw[best].tolist(), strict=True))


def calibrated(scores: npt.NDArray[Any], spec: ModelSpec) -> npt.NDArray[np.float64]:
    """The confidence of each class of one image as a version answers, shape [classes]; raises as `rank`."""
    raw = confidences(scores, spec.activation)
    if spec.calibration is None:
        return raw
    return activated(spec.calibration.scaled(logits(scores, spec)), independent=spec.independent)


def parted(found: Ranked | Calibrated) -> tuple[Ranked, tuple[float, ...]]:
    """What `answered` gave: classes with confidences, and apart the confidences without calibration."""
    return [(one[0], one[1]) for one in found], tuple(one[2] for one in found if len(one) == 3)


def as_answered(value: object, spec: ModelSpec, top_k: int) -> Ranked | Calibrated | None:
    """What `answered` gave, from the JSON value as which it was kept; None if it cannot have given that."""
    classes = len(spec.labels)
    if spec.calibration is None or not isinstance(value, list):
        return as_ranked(value, classes, spec.activation, top_k)
    triples = [one for one in value if isinstance(one, list) and len(one) == 3 and type(one[2]) is float]
    pairs = [one[:2] for one in triples]
    activation: Activation = "sigmoid" if spec.independent else "softmax"
    ranked = as_ranked(pairs, classes, activation, top_k) if len(pairs) == len(value) else None
    if ranked is None or not all(map(np.isfinite, (one[2] for one in triples))):
        return None
    return [(index, confidence, raw) for index, confidence, raw in triples]


def logits(scores: npt.NDArray[Any], spec: ModelSpec) -> npt.NDArray[np.float64]:
    """The logits of one image, shape [classes]: what softmax or sigmoid makes a version's confidences of.

    Of scores that are confidences already these are their logarithms, or the logarithms of their odds where
    classes are independent. A single score gives the logits of two classes, of which the first is 0.
    """
    flat_scores = scores.reshape(-1).astype(np.float64)
    if spec.activation != "none":
        found = flat_scores
    elif spec.independent or len(flat_scores) == 1:
        shares = np.clip(flat_scores, _LEAST, _MOST)
        found = np.log(shares) - np.log1p(-shares)
    else:
        found = np.log(np.maximum(flat_scores, _LEAST))
    return np.concatenate([[0.0], found]) if len(found) == 1 else found


def activated(values: npt.NDArray[np.float64], *, independent: bool) -> npt.NDArray[np.float64]:
    """Logits as confidences, by sigmoid or softmax, shape [..., classes]."""
    if independent:
        return _sigmoid(values)
    # Subtracting the largest logit changes nothing and keeps exp() finite.
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def confidences(scores: npt.NDArray[Any], activation: Activation) -> npt.NDArray[np.float64]:
    """The confidence of each class of one image, without a calibration, shape [classes].

    Raises:
        Internal: the model gave something that is not a number.
    """
    found = _activate(scores.reshape(-1).astype(np.float64), activation)
    if not np.isfinite(found).all():
        raise Internal("The model's scores for this image are not numbers.")
    return found


def as_ranked(value: object, classes: int, activation: Activation, top_k: int) -> Ranked | None:
    """What `rank` gave, from the JSON value as which it was kept.

    Args:
        value: any JSON value.
        classes: how many the model has.
        activation: as for `rank`; without one, confidences may be any finite numbers.
        top_k: as for `rank`.

    Returns:
        The answer; None if `rank` never gives such a value for such a model.
    """
    if not isinstance(value, list) or len(value) != min(top_k, classes):
        return None
    most = sys.float_info.max if activation == "none" else 1.0
    least = -most if activation == "none" else 0.0
    pairs = [pair for one in value if (pair := _pair(one, classes, least, most)) is not None]
    distinct = len(dict(pairs)) == len(value)
    falling = all(one >= other for (_, one), (_, other) in itertools.pairwise(pairs))
    shares = activation != "softmax" or sum(confidence for _, confidence in pairs) <= _WHOLE
    return pairs if distinct and falling and shares else None


def packed(scores: npt.NDArray[Any]) -> list[Any]:
    """Scores of one image as a JSON value that keeps every bit: type, shape, and the bytes in base64."""
    return [scores.dtype.name, list(scores.shape), base64.b64encode(scores.tobytes()).decode()]


def unpacked(value: list[Any]) -> npt.NDArray[Any]:
    """The scores of which `packed` made a value."""
    dtype, shape, text = value
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


def is_packed(value: object, scores: Tensor) -> bool:
    """Whether `packed` may have made a JSON value of one image's scores.

    Args:
        value: any JSON value.
        scores: the model's output.
    """
    try:
        found = unpacked(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    lengths = zip(found.shape, scores.shape[1:], strict=False)
    fits = found.ndim == len(scores.shape) - 1 and all(wanted in {None, length} for length, wanted in lengths)
    return fits and found.dtype.name == scores.dtype


def _pair(value: object, classes: int, least: float, most: float) -> tuple[int, float] | None:
    # By the exact types, for a bool is an int to isinstance.
    if not isinstance(value, list) or [type(part) for part in value] != [int, float]:
        return None
    index, confidence = value
    return (index, confidence) if 0 <= index < classes and least <= confidence <= most else None


def _largest(values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.intp]:
    """Where the largest values stand, the largest first, equal ones by their place."""
    if count >= len(values):
        return np.argsort(-values, kind="stable")
    # To sort only what can be among the largest costs a fifth of sorting a thousand values.
    places = np.flatnonzero(values >= np.partition(values, -count)[-count])
    return places[np.argsort(-values[places], kind="stable")[:count]]


def flat(scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Scores of a batch as [batch, classes], whatever axes of length 1 they have besides."""
    return scores if scores.ndim == 2 else scores.reshape(len(scores), -1)


def described(ranked: Ranked, labels: Sequence[Label]) -> list[dict[str, Any]]:
    """Ranked classes as the API's `predictions`: label, index and confidence, and what else a label has."""
    return [_described(labels[index], index, confidence) for index, confidence in ranked]


def _described(label: Label, index: int, confidence: float) -> dict[str, Any]:
    score: dict[str, Any] = {"label": label.name, "index": index, "confidence": confidence}
    if label.id is not None:
        score["id"] = label.id
    if label.synonyms:
        score["synonyms"] = list(label.synonyms)
    return score


def _activate(scores: npt.NDArray[np.float64], activation: Activation) -> npt.NDArray[np.float64]:
    if len(scores) == 1:
        return _of_two(scores, activation)
    if activation == "none":
        return scores
    return activated(scores, independent=activation == "sigmoid")


def _of_two(score: npt.NDArray[np.float64], activation: Activation) -> npt.NDArray[np.float64]:
    """The confidences of two classes by the score of the second; a softmax would be 1 for any number."""
    second = score if activation == "none" else _sigmoid(score)
    # What rounding leaves outside 0 to 1 is cut; what is no number stays none, to be found.
    second = np.clip(second, 0, 1) if np.isfinite(second).all() else second
    return np.concatenate([1 - second, second])


def _sigmoid(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # exp() overflows to infinity below -709, where the confidence is 0 anyway.
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-scores)))
