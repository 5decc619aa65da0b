"""What is recommended, by hand-made answers and rates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from predictor.optimising.answers import Answers, changes
from predictor.optimising.verdict import basis, chosen, doubt, needed, objections

IMAGES = 150
BOUND = 0.005


def answers(confidences: Sequence[Sequence[float]], truths: Sequence[Sequence[int] | None] = ()) -> Answers:
    """What a model says of images, without labels unless there are some."""
    return Answers(np.array(confidences, np.float64), truths or [None] * len(confidences))


def changed(
    count: int, margin: float, *, truth: int | None = None, images: int = IMAGES, labels: int = IMAGES
) -> dict[str, Any]:
    """A candidate whose answer differs for so many images, of which the original was so much surer."""
    sure, unsure = [0.9, 0.1], [0.5 + margin / 2, 0.5 - margin / 2]
    rows = [unsure] * count + [sure] * (images - count)
    moved = [unsure[::-1]] * count + [sure] * (images - count)
    # Nine of ten are right where the confidence is 0.9, so that the original is as sure as it may be.
    others = [(int(place % 10 == 0),) for place in range(images - count)]
    known = [None] * images if truth is None else [(truth,)] * count + others
    truths = [one if place < labels else None for place, one in enumerate(known)]
    return changes(answers(rows, truths), answers(moved, truths)) | {"key": "int8", "speed": speed(1.6)}


def speed(ratio: float, all_cores: float | None = None) -> dict[str, Any]:
    """The part of a report on rates."""
    return {"alone": {"ratio": ratio}, "all_cores": {"ratio": all_cores or ratio}}


def test_recommended() -> None:
    """What is fast and changes few answers, of which the original was not sure, is recommended."""
    assert objections(changed(0, 0.0), BOUND) == []
    assert objections(changed(2, 0.1), BOUND) == []


@pytest.mark.parametrize(
    ("judged", "why"),
    [
        (changed(0, 0.0, images=49), "49 judged images are too few"),
        (changed(0, 0.0) | {"speed": speed(1.6, 1.19)}, "1.19 times as fast"),
        (changed(0, 0.0) | {"speed": speed(0.3)}, "0.30 times as fast"),
        (changed(2, 0.9), "of the right answers may be lost"),
        (changed(15, 0.1), "of the right answers may be lost"),
        (changed(5, 0.01), "agrees with the original on 96.7% of the images; 97.0% is needed"),
        (changed(4, 0.01), "as few as 93.3% of all images"),
        (changed(2, 0.1, truth=0), "By the labels 1.33%"),
    ],
)
def test_objections(judged: dict[str, Any], why: str) -> None:
    """Too few images, too little speed, sure answers changed, too many changed, or labels are in the way."""
    assert [sentence for sentence in objections(judged, BOUND) if why in sentence]


def test_one_judged_image() -> None:
    """A single image is spoken of as one."""
    [few, *_] = objections(changed(0, 0.0, images=1), BOUND)

    assert few.startswith("1 judged image is too few")


def test_one_label_proves_nothing() -> None:
    """One label on which the original is wrong does not make sure answers that change cheap."""
    judged = changed(4, 0.889, truth=1, labels=1)

    assert judged["expected_loss"]["high"] == pytest.approx(changed(4, 0.889)["expected_loss"]["high"])
    assert any("of the right answers may be lost" in sentence for sentence in objections(judged, BOUND))


@pytest.mark.parametrize("bound", [0.002, 0.005, 0.01, 0.05])
def test_images_needed(bound: float) -> None:
    """So many images on which nothing changes are enough, and one less is said to be too few for that."""
    least = needed(bound)
    assert least is not None

    [few] = objections(changed(0, 0.0, images=least - 1), bound)

    assert few.startswith(f"{least - 1} judged images are too few")
    assert f"{least} are needed" in few
    assert f"give {2 * least} or more" in few
    assert objections(changed(0, 0.0, images=least), bound) == []


@pytest.mark.parametrize("bound", [0.0, 1e-9, 0.0005])
def test_no_loss_at_all(bound: float) -> None:
    """That next to nothing is lost is shown by no number of images that is used, which is said."""
    assert needed(bound) is None
    assert any("the most that are used" in sentence for sentence in objections(changed(0, 0.0), bound))


def test_one_image_is_chance() -> None:
    """By the labels one image less cannot be told from none; where the labels win, nothing speaks against."""
    assert objections(changed(1, 0.1, truth=0), BOUND) == []
    assert objections(changed(2, 0.1, truth=1), BOUND) == []


def test_bound_of_the_user() -> None:
    """The user decides how much may be lost."""
    assert objections(changed(15, 0.1), 0.05) == []
    assert objections(changed(0, 0.0), 0.0)


@pytest.mark.parametrize(("right", "doubtful"), [(3, True), (60, True), (100, False), (140, False)])
def test_labels_of_another_order(right: int, doubtful: bool) -> None:
    """Where labels say that far fewer answers are right than the confidences say, something is wrong."""
    original = answers([[0.95, 0.05]] * IMAGES, [(0,)] * right + [(1,)] * (IMAGES - right))

    why = doubt(original)

    assert (why is not None) is doubtful
    assert ("in another order" in basis(original, BOUND)) is doubtful


def test_few_labels_are_no_doubt() -> None:
    """A few wrong labels, independent classes, and scores that are no confidences say nothing."""
    few = answers([[0.95, 0.05]] * IMAGES, [(1,)] * 19 + [None] * (IMAGES - 19))
    several = Answers(np.array([[0.95, 0.05]] * IMAGES), [(0, 1)] * IMAGES, independent=True)

    scores = answers([[7.0, 3.0]] * IMAGES, [(1,)] * IMAGES)

    assert doubt(few) is None
    assert doubt(scores) is None
    assert doubt(several) is None


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
    """The report says what a recommendation rests on; with too few labels agreement stands in."""

    def said(images: int, labels: int) -> str:
        truths = [(0,)] * labels + [None] * (images - labels)
        return basis(answers([[0.9, 0.1]] * images, truths), BOUND)

    assert "49 judged images are too few" in said(49, 49)
    assert "have no labels: agreement with the original stands in for accuracy" in said(IMAGES, 0)
    assert "fewer than 20 labels: agreement with the original stands in" in said(IMAGES, 19)
    assert "The labels say how sure" in said(IMAGES, 20)
    assert "is estimated" in said(IMAGES, 20)
