"""Labelled images, classified -> a report as JSON."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from predictor.archives import shown
from predictor.errors import InvalidRequest
from predictor.evaluation.classes import Classes
from predictor.evaluation.measures import (
    ClassCounts,
    Share,
    by_class,
    calibration,
    dense,
    histogram,
    matrix,
    mean_f1,
    milliseconds,
)
from predictor.evaluation.results import TOP, Answer, ImageResult

PLOTTED = 50
"""Most classes of a confusion matrix that is plotted."""
_MAX_PAIRS = 1000
_MAX_PROBLEMS = 100


@dataclass(frozen=True)
class _Judged:
    """An image that has both a known class and an answer."""

    result: ImageResult
    answer: Answer

    @property
    def truth(self) -> int | None:
        """The class that the matrix has it under: of several that apply the predicted one, or the first."""
        return self.predicted if self.result.best_applies else self.result.truth

    @property
    def predicted(self) -> int:
        return self.answer.ranked[0][0]

    @property
    def among(self) -> bool:
        """Whether a class that applies is among the five most confident ones."""
        return any(one[0] in self.result.truths for one in self.answer.ranked[:TOP])

    @property
    def outcome(self) -> str:
        if not self.result.right:
            return "wrong"
        return "unsure" if self.result.unsure else "right"


def evaluation(found: Sequence[ImageResult], classes: Classes, seconds: float) -> dict[str, Any]:
    """Accuracy, confusions, calibration, latency and all images as JSON.

    Args:
        found: what came of each image.
        classes: the model's classes.
        seconds: that all of it took.

    Raises:
        InvalidRequest: no image has both a known class and an answer.
    """
    judged = [_Judged(one, one.answer) for one in found if one.judged and one.answer is not None]
    of_classes = [one for one in judged if one.result.truths]
    if not of_classes:
        raise InvalidRequest(_nothing(found))
    right = [one.result.right for one in judged]
    hits = [one.result.best_applies for one in judged]
    error, bins = calibration([one.answer.ranked[0][1] for one in judged], hits)
    times = [one.answer.seconds for one in found if one.answer is not None]
    problems = [{"file": one.name, "problem": one.problem} for one in found if one.problem]
    counts = by_class([one.result.truths for one in judged], [_named(one.answer) for one in judged])
    return {
        "pictures": len(judged),
        "accuracy": Share(sum(right), len(right)).to_json(),
        "top1": Share(sum(hits), len(of_classes)).to_json(),
        "top5": Share(sum(one.among for one in judged), len(of_classes)).to_json(),
        "f1": mean_f1(list(counts.values())),
        "classes": _by_class(judged, classes, counts),
        "confusions": _confusions(judged, classes),
        "matrix": _matrix(judged, classes),
        "calibration": {"error": error, "bins": bins},
        "latency": {
            **milliseconds(times),
            "histogram": histogram(times),
            "pictures_per_second": len(times) / seconds,
        },
        "left_out": len(found) - len(judged),
        "problems": problems[:_MAX_PROBLEMS],
        "images": _images(judged, classes),
    }


def _named(answer: Answer) -> frozenset[int]:
    """The predicted classes: the best one, or of independent ones all that reach their threshold."""
    return frozenset({answer.ranked[0][0]}) if answer.named is None else answer.named


def _nothing(found: Sequence[ImageResult]) -> str:
    first = next((one for one in found if one.problem), None)
    if first is None:
        return "No image could be evaluated. The images have no labels."
    if len(found) == 1:
        return f"The file could not be evaluated. {shown(first.name)}: {first.problem}"
    count = f"None of the {len(found)} files could be evaluated."
    return f"{count} The first is {shown(first.name)}: {first.problem}"


def _by_class(
    judged: Sequence[_Judged], classes: Classes, counts: Mapping[int, ClassCounts]
) -> list[dict[str, Any]]:
    """Accuracy, precision, recall and F1 of each class, the worst first; those without images come last."""
    grouped: defaultdict[int, list[_Judged]] = defaultdict(list)
    for one in judged:
        for truth in one.result.truths:
            grouped[truth].append(one)
    rows = [
        {
            **named(index, classes),
            "pictures": count.images,
            **_tops(index, grouped[index]),
            "precision": count.precision,
            "recall": count.recall,
            "f1": count.f1,
            "predicted": count.predicted,
        }
        for index, count in counts.items()
    ]
    return sorted(
        rows, key=lambda row: (row["top1"] is None, row["top1"] or 0, -row["pictures"], row["index"])
    )


def _tops(index: int, group: Sequence[_Judged]) -> dict[str, float | None]:
    """The share of a class's images where it is the first, or among the first five; None without any."""
    if not group:
        return {"top1": None, "top5": None}
    first = sum(one.predicted == index for one in group)
    among = sum(index in [pair[0] for pair in one.answer.ranked[:TOP]] for one in group)
    return {"top1": first / len(group), "top5": among / len(group)}


def _confusions(judged: Sequence[_Judged], classes: Classes) -> list[dict[str, Any]]:
    """What is taken for what, the most frequent first."""
    pairs = Counter(
        (one.result.truth, one.predicted)
        for one in judged
        if one.result.truth is not None and not one.result.best_applies
    )
    return [
        {"truth": named(truth, classes), "predicted": named(predicted, classes), "pictures": count}
        for (truth, predicted), count in sorted(pairs.items(), key=lambda one: (-one[1], one[0]))[:_MAX_PAIRS]
    ]


def _matrix(judged: Sequence[_Judged], classes: Classes) -> dict[str, Any] | None:
    """The confusion matrix; None where classes are independent, for which there is none."""
    if any(one.answer.named is not None for one in judged):
        return None
    pairs = [(one.truth, one.predicted) for one in judged if one.truth is not None]
    entries = matrix([truth for truth, _ in pairs], [predicted for _, predicted in pairs])
    occurring = sorted({index for pair in entries for index in pair})
    return {
        "classes": [named(index, classes) for index in occurring],
        "counts": dense(entries, occurring) if len(occurring) <= PLOTTED else None,
        "entries": [[truth, predicted, count] for (truth, predicted), count in entries.items()],
    }


def _images(judged: Sequence[_Judged], classes: Classes) -> list[dict[str, Any]]:
    """All images: those that are wrong first, the most confident first; then the unsure, the least first."""

    def place(one: _Judged) -> tuple[int, float]:
        confidence = one.answer.ranked[0][1]
        order = ("wrong", "unsure", "right").index(one.outcome)
        return order, -confidence if order == 0 else confidence

    return [_image(one, classes) for one in sorted(judged, key=place)]


def _image(one: _Judged, classes: Classes) -> dict[str, Any]:
    result = one.result
    lists = {"truths": result.truths} if result.also or classes.independent else {}
    if classes.independent:
        lists |= {"missed": result.missed, "extra": result.extra}
    small = {} if result.thumbnail is None else {"thumbnail": result.thumbnail}
    return {
        "file": result.name,
        "truth": None if one.truth is None else named(one.truth, classes),
        "predicted": named(one.predicted, classes),
        "confidence": one.answer.ranked[0][1],
        "outcome": one.outcome,
        **{name: [named(index, classes) for index in indices] for name, indices in lists.items()},
        **small,
    }


def named(index: int, classes: Classes) -> dict[str, Any]:
    """A class as the API names it."""
    return {"index": index, "label": classes.labels[index].name}
