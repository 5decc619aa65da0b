"""A report counts what came of the images."""

import pytest

from predictor.errors import InvalidRequest
from predictor.evaluation.report import evaluation
from predictor.evaluation.runner import Answer, ImageResult
from predictor.evaluation.tables import Classes
from predictor.model.labels import numbered

CLASSES = Classes(numbered(7))


def judged(truth: int | None, *ranked: int, sure: float = 0.8) -> ImageResult:
    """An image with the classes of its answer, the best first."""
    confidences = [sure, *[(1 - sure) / 10] * (len(ranked) - 1)]
    return ImageResult("a.jpg", truth, Answer(list(zip(ranked, confidences, strict=True)), 0.020))


def test_figures() -> None:
    """Accuracy, classes, confusions and times follow from the answers; what is not known is left out."""
    found = [
        judged(0, 0, 1, 2, 3, 4),
        judged(0, 1, 2, 3, 4, 0),
        judged(1, 2, 3, 4, 5, 6),
        judged(2, 1, 2, 3, 4, 5),
        judged(0, 1, 0, 2, 3, 4),
        judged(None, 1, 2, 3, 4, 5),
        ImageResult("bad.jpg", 3, None, "The image is empty."),
    ]

    report = evaluation(found, CLASSES, seconds=0.5)

    assert (report["pictures"], report["left_out"]) == (5, 2)
    assert (report["top1"]["hits"], report["top5"]["hits"]) == (1, 4)
    assert [(one["index"], one["pictures"], one["top1"], one["top5"]) for one in report["classes"]] == [
        (1, 1, 0.0, 0.0),
        (2, 1, 0.0, 1.0),
        (0, 3, pytest.approx(1 / 3), 1.0),
    ]
    assert [
        (one["truth"]["label"], one["predicted"]["label"], one["pictures"]) for one in report["confusions"]
    ] == [("class 0", "class 1", 2), ("class 1", "class 2", 1), ("class 2", "class 1", 1)]
    assert report["calibration"]["error"] == pytest.approx(0.8 - 0.2)
    assert (report["latency"]["p50"], report["latency"]["pictures_per_second"]) == (20.0, 12.0)
    assert report["problems"] == [{"file": "bad.jpg", "problem": "The image is empty."}]


def test_nothing_to_judge() -> None:
    """Without a single labelled answer there is no report, and the sentence has the first reason."""
    with pytest.raises(InvalidRequest, match="lion is not a class"):
        evaluation([ImageResult("a.jpg", None, None, "lion is not a class of the model.")], CLASSES, 1.0)
    with pytest.raises(InvalidRequest, match="The images have no labels"):
        evaluation([judged(None, 1)], CLASSES, 1.0)


def test_nothing_of_one_file() -> None:
    """A single file that cannot be judged is not counted, but named with its problem."""
    problem = "The file could not be evaluated. bad.jpg: The image is empty."

    with pytest.raises(InvalidRequest, match=f"^{problem}$"):
        evaluation([ImageResult("bad.jpg", 3, None, "The image is empty.")], CLASSES, seconds=0.5)
