"""What came of the pictures of a set -> a report."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from predictor.errors import InvalidRequest
from predictor.evaluation.classes import Classes
from predictor.evaluation.measures import Share, calibration, histogram, milliseconds
from predictor.evaluation.runner import TOP, Answer, ImageResult

_MAX_PAIRS = 50
_MAX_PROBLEMS = 100


def evaluation(found: Sequence[ImageResult], classes: Classes, seconds: float) -> dict[str, Any]:
    """Accuracy, confusions, calibration and latency as JSON.

    Args:
        found: what came of each picture.
        classes: the model's classes.
        seconds: that all of it took.

    Raises:
        InvalidRequest: no picture has both a known class and an answer.
    """
    labelled = [(one.truth, one.answer) for one in found if one.truth is not None and one.answer is not None]
    if not labelled:
        raise InvalidRequest(_nothing(found))
    hits = [answer.ranked[0][0] == truth for truth, answer in labelled]
    error, bins = calibration([answer.ranked[0][1] for _, answer in labelled], hits)
    times = [one.answer.seconds for one in found if one.answer is not None]
    problems = [{"file": one.name, "problem": one.problem} for one in found if one.problem]
    return {
        "pictures": len(labelled),
        "top1": Share(sum(hits), len(hits)).to_json(),
        "top5": Share(sum(map(_among, labelled)), len(labelled)).to_json(),
        "classes": _by_class(labelled, classes),
        "confusions": _confusions(labelled, classes),
        "calibration": {"error": error, "bins": bins},
        "latency": {
            **milliseconds(times),
            "histogram": histogram(times),
            "pictures_per_second": len(times) / seconds,
        },
        "left_out": len(found) - len(labelled),
        "problems": problems[:_MAX_PROBLEMS],
    }


def _nothing(found: Sequence[ImageResult]) -> str:
    problem = next((one.problem for one in found if one.problem), "The images have no labels.")
    return f"No image could be evaluated. The first problem: {problem}"


def _among(one: tuple[int, Answer]) -> bool:
    """Whether the truth is among the five most confident classes."""
    truth, answer = one
    return truth in [index for index, _ in answer.ranked[:TOP]]


def _by_class(labelled: Sequence[tuple[int, Answer]], classes: Classes) -> list[dict[str, Any]]:
    """Accuracy of each class that has pictures, the worst first."""
    grouped: defaultdict[int, list[tuple[int, Answer]]] = defaultdict(list)
    for truth, answer in labelled:
        grouped[truth].append((truth, answer))
    rows = [
        {
            **named(index, classes),
            "pictures": len(group),
            "top1": sum(answer.ranked[0][0] == truth for truth, answer in group) / len(group),
            "top5": sum(map(_among, group)) / len(group),
        }
        for index, group in grouped.items()
    ]
    return sorted(rows, key=lambda row: (row["top1"], -row["pictures"], row["index"]))


def _confusions(labelled: Sequence[tuple[int, Answer]], classes: Classes) -> list[dict[str, Any]]:
    """What is taken for what, the most frequent first."""
    pairs = Counter(
        (truth, answer.ranked[0][0]) for truth, answer in labelled if answer.ranked[0][0] != truth
    )
    return [
        {"truth": named(truth, classes), "predicted": named(predicted, classes), "pictures": count}
        for (truth, predicted), count in sorted(pairs.items(), key=lambda one: (-one[1], one[0]))[:_MAX_PAIRS]
    ]


def named(index: int, classes: Classes) -> dict[str, Any]:
    """A class as the API names it."""
    return {"index": index, "label": classes.labels[index].name}
