"""What is recommended, by hand-made answers and rates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from predictor.optimising.verdict import Answers, basis, changes, chosen, objections

IMAGES = 150
BOUND = 0.005


def answers(confidences: Sequence[Sequence[float]], truths: Sequence[int | None] | None = None) -> Answers:
    """What a model says of images, without labels unless there are some."""
    return Answers(np.array(confidences, np.float64), truths or [None] * len(confidences))


def changed(count: int, margin: float, *, truth: int | None = None) -> dict[str, Any]:
    """A candidate whose answer differs for so many of 150 images, of which the original was so much surer."""
    sure, unsure = [0.9, 0.1], [0.5 + margin / 2, 0.5 - margin / 2]
    rows = [unsure] * count + [sure] * (IMAGES - count)
    moved = [unsure[::-1]] * count + [sure] * (IMAGES - count)
    # Nine of ten are right where the confidence is 0.9, so that the original is as sure as it may be.
    others = [int(place % 10 == 0) for place in range(IMAGES - count)]
    truths = None if truth is None else [truth] * count + others
    return changes(answers(rows, truths), answers(moved, truths)) | {"key": "int8", "speed": speed(1.6)}


def speed(ratio: float, all_cores: float | None = None) -> dict[str, Any]:
    """The part of a report on rates."""
    return {"alone": {"ratio": ratio}, "all_cores": {"ratio": all_cores or ratio}}


def test_changes() -> None:
    """Agreement, the difference of confidence and the expected loss are those of the definition."""
    original = answers([[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]])
    candidate = answers([[0.8, 0.2, 0.0], [0.4, 0.5, 0.1], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]])

    found = changes(original, candidate)

    assert (found["agreement"]["hits"], found["agreement"]["of"]) == (3, 4)
    assert found["confidence"] == pytest.approx({"mean": 0.05, "largest": 0.1})
    assert found["expected_loss"]["value"] == pytest.approx((0.5 - 0.3) / 4)
    assert found["expected_loss"]["high"] > found["expected_loss"]["value"]
    assert not {"top1", "labels", "calibration_error"} & found.keys()


def test_labels() -> None:
    """With labels there are accuracy, calibration error, the loss with its interval, and McNemar's test."""
    found = changed(4, 0.1, truth=0)

    assert (found["top1"]["hits"], found["top1"]["of"]) == (131, IMAGES)
    assert found["labels"]["loss"]["value"] == pytest.approx(4 / IMAGES)
    assert found["labels"]["loss"]["low"] < 4 / IMAGES < found["labels"]["loss"]["high"]
    assert found["labels"]["p_value"] == pytest.approx(0.125)
    assert 0 <= found["calibration_error"] <= 1


def test_confidences_are_made_right() -> None:
    """Where labels show that the original is less sure than it is right, a changed answer costs more."""
    rows = np.array([[0.6, 0.4]] * 100)
    moved = answers([[0.4, 0.6]] * 5 + [[0.6, 0.4]] * 95)

    def cost(right: int) -> float:
        original = Answers(rows, [0] * right + [1] * (100 - right))
        found: float = changes(original, Answers(moved.confidences, original.truths))["expected_loss"][
            "value"
        ]
        return found

    assert cost(60) == pytest.approx(5 / 100 * 0.2, rel=0.1)
    assert cost(90) == pytest.approx(5 / 100 * 0.8, rel=0.1)
    assert cost(52) < cost(60) < cost(75) < cost(90)


def test_independent_classes() -> None:
    """Confidences that are no shares of a whole stay as they are."""
    original = Answers(np.array([[0.9, 0.8], [0.2, 0.1]]), [0, 1])

    assert (original.calibrated() == original.confidences).all()


def test_recommended() -> None:
    """What is fast and changes few answers, of which the original was not sure, is recommended."""
    assert objections(changed(0, 0.0), BOUND, 300) == []
    assert objections(changed(2, 0.1), BOUND, 300) == []


@pytest.mark.parametrize(
    ("judged", "images", "why"),
    [
        (changed(0, 0.0), 99, "99 images prove nothing"),
        (changed(0, 0.0) | {"speed": speed(1.6, 1.19)}, 300, "1.19 times as fast"),
        (changed(0, 0.0) | {"speed": speed(0.3)}, 300, "0.30 times as fast"),
        (changed(2, 0.9), 300, "of the right answers may be lost"),
        (changed(15, 0.1), 300, "of the right answers may be lost"),
        (changed(5, 0.01), 300, "agrees with the original on 96.7% of the images; 97.0% is needed"),
        (changed(2, 0.1, truth=0), 300, "By the labels 1.33%"),
    ],
)
def test_objections(judged: dict[str, Any], images: int, why: str) -> None:
    """Too few images, too little speed, sure answers changed, too many changed, or labels are in the way."""
    assert [sentence for sentence in objections(judged, BOUND, images) if why in sentence]


def test_one_image_is_chance() -> None:
    """By the labels one image less cannot be told from none; where the labels win, nothing speaks against."""
    assert objections(changed(1, 0.1, truth=0), BOUND, 300) == []
    assert objections(changed(2, 0.1, truth=1), BOUND, 300) == []


def test_bound_of_the_user() -> None:
    """The user decides how much may be lost."""
    assert objections(changed(15, 0.1), 0.05, 300) == []
    assert objections(changed(0, 0.0), 0.0, 300)


def test_chosen() -> None:
    """Of those without objections the fastest is chosen, of near equals the one that loses least."""

    def candidate(key: str, ratio: float, high: float, *problems: str) -> dict[str, Any]:
        return {
            "key": key,
            "speed": speed(ratio),
            "expected_loss": {"value": high / 2, "high": high},
            "objections": list(problems),
        }

    slow, fast = candidate("slow", 1.3, 0.001), candidate("fast", 1.8, 0.004)
    near, bad = candidate("near", 1.75, 0.002), candidate("bad", 9.0, 0.9, "It loses too much.")

    assert chosen([slow, fast, bad]) == "fast"
    assert chosen([slow, fast, near, bad]) == "near"
    assert chosen([bad]) is None
    assert chosen([]) is None


def test_basis() -> None:
    """The report says what a recommendation rests on; without labels agreement stands in."""
    assert "99 images prove nothing" in basis(99, labelled=True)
    assert "stands in for accuracy" in basis(300, labelled=False)
    assert "stands in for accuracy" not in basis(300, labelled=True)
