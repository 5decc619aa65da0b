"""A report counts what came of the images."""

from dataclasses import replace

import pytest

from predictor.errors import InvalidRequest
from predictor.evaluation.classes import Classes
from predictor.evaluation.report import evaluation
from predictor.evaluation.results import Answer, ImageResult
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


def test_images() -> None:
    """All images are named: the wrong ones first, the most confident first, then the unsure ones."""
    found = [judged(0, 0), judged(0, 1, sure=0.6), judged(0, 1, sure=0.9), judged(1, 1, sure=0.3)]
    found = [replace(one, name=f"{number}.jpg") for number, one in enumerate(found)]

    images = evaluation(found, CLASSES, seconds=1.0)["images"]

    assert [(one["file"], one["outcome"]) for one in images] == [
        ("2.jpg", "wrong"),
        ("1.jpg", "wrong"),
        ("3.jpg", "unsure"),
        ("0.jpg", "right"),
    ]
    assert images[0]["truth"] == {"index": 0, "label": "class 0"}
    assert (images[0]["predicted"]["label"], images[0]["confidence"]) == ("class 1", 0.9)


def test_matrix() -> None:
    """The matrix has each pair of classes that occurs, and each class has precision, recall and F1."""
    found = [judged(0, 0), judged(0, 0), judged(0, 2), judged(2, 2)]

    report = evaluation(found, CLASSES, seconds=1.0)

    assert [one["index"] for one in report["matrix"]["classes"]] == [0, 2]
    assert report["matrix"]["counts"] == [[2, 1], [0, 1]]
    assert report["matrix"]["entries"] == [[0, 0, 2], [0, 2, 1], [2, 2, 1]]
    figures = {one["index"]: (one["precision"], one["recall"], one["f1"]) for one in report["classes"]}
    assert figures == {
        0: (1.0, pytest.approx(2 / 3), pytest.approx(0.8)),
        2: (0.5, 1.0, pytest.approx(2 / 3)),
    }
    assert report["f1"]["macro"] == pytest.approx((0.8 + 2 / 3) / 2)


def test_classes_without_images() -> None:
    """A class that is predicted and never true counts in the mean F1, so it is listed, after the others."""
    report = evaluation([judged(0, 0), judged(0, 3)], CLASSES, seconds=1.0)

    *_, last = report["classes"]
    assert [one["index"] for one in report["classes"]] == [0, 3]
    assert (last["pictures"], last["predicted"], last["top1"], last["top5"]) == (0, 1, None, None)
    assert report["f1"]["macro"] == sum(one["f1"] for one in report["classes"]) / 2


def test_large_matrix() -> None:
    """With more classes than can be plotted, the matrix has its entries only."""
    classes = Classes(numbered(60))

    matrix = evaluation([judged(index, index) for index in range(60)], classes, seconds=1.0)["matrix"]

    assert (matrix["counts"], len(matrix["entries"])) == (None, 60)


def test_independent_classes() -> None:
    """Where classes are independent, all that reach their threshold are predicted, and there is no matrix."""
    answer = Answer([(0, 0.9), (1, 0.7), (2, 0.1)], 0.02, named=frozenset({0, 1}))
    found = [ImageResult("a.jpg", 0, answer, also=(2,))]

    report = evaluation(found, Classes(numbered(7), independent=True), seconds=1.0)

    assert report["matrix"] is None
    assert {one["index"]: (one["pictures"], one["recall"]) for one in report["classes"]} == {
        0: (1, 1.0),
        1: (0, 0.0),
        2: (1, 0.0),
    }
    assert (report["top1"]["hits"], report["images"][0]["truths"][1]["index"]) == (1, 2)


def test_independent_images() -> None:
    """Where classes are independent, an image is right if just those are named that apply, perhaps none."""
    named = [({0, 1}, (0, 2)), ({0, 1}, (1, 0)), (set[int](), ()), ({3}, ()), (set[int](), (0,))]
    found = [
        ImageResult(
            f"{number}.jpg",
            truths[0] if truths else None,
            Answer([(0, 0.4), (1, 0.3)], 0.02, named=frozenset(said)),
            also=truths[1:],
        )
        for number, (said, truths) in enumerate(named)
    ]

    report = evaluation(found, Classes(numbered(7), independent=True), seconds=1.0)

    images = {one["file"]: one for one in report["images"]}
    assert {
        name: (
            one["outcome"],
            [of["index"] for of in one["truths"]],
            [of["index"] for of in one["missed"]],
            [of["index"] for of in one["extra"]],
        )
        for name, one in images.items()
    } == {
        "0.jpg": ("wrong", [0, 2], [2], [1]),
        "1.jpg": ("right", [1, 0], [], []),
        "2.jpg": ("right", [], [], []),
        "3.jpg": ("wrong", [], [], [3]),
        "4.jpg": ("wrong", [0], [0], []),
    }
    assert (images["2.jpg"]["truth"], images["4.jpg"]["truth"]["index"]) == (None, 0)
    assert (report["accuracy"]["hits"], report["accuracy"]["of"]) == (2, 5)
    # The most confident class applies to each image that has one.
    assert (report["top1"]["hits"], report["top1"]["of"], report["top5"]["hits"]) == (3, 3, 3)


def test_no_class_applies_to_any() -> None:
    """Without a single image that has a class there is no report of independent classes either."""
    answer = Answer([(0, 0.4)], 0.02, named=frozenset())

    with pytest.raises(InvalidRequest):
        evaluation([ImageResult("a.jpg", None, answer)], Classes(numbered(7), independent=True), 1.0)


def test_accuracy() -> None:
    """Where classes exclude each other, the accuracy is that of the most confident class."""
    report = evaluation([judged(0, 0), judged(0, 1)], CLASSES, seconds=1.0)

    assert report["accuracy"] == report["top1"]
