"""How two forms of a model differ in their answers, by hand-made confidences."""

from collections.abc import Sequence

import numpy as np
import pytest

from predictor.optimising.answers import Answers, changes

Confidences = Sequence[Sequence[float]]


def answers(confidences: Confidences, truths: Sequence[Sequence[int] | None] = ()) -> Answers:
    """What a model says of images, without labels unless there are some."""
    return Answers(np.array(confidences, np.float64), truths or [None] * len(confidences))


def named(confidences: Confidences, truths: Sequence[Sequence[int] | None], *thresholds: float) -> Answers:
    """What a model whose classes are independent says of images."""
    return Answers(np.array(confidences, np.float64), truths, independent=True, thresholds=thresholds)


def test_changes() -> None:
    """Agreement, the difference of confidence and the expected loss are those of the definition."""
    original = answers([[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]])
    candidate = answers([[0.8, 0.2, 0.0], [0.4, 0.5, 0.1], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]])

    found = changes(original, candidate)

    assert (found["agreement"]["hits"], found["agreement"]["of"]) == (3, 4)
    assert found["confidence"] == pytest.approx({"mean": 0.05, "largest": 0.1})
    assert found["expected_loss"]["value"] == pytest.approx((0.5 - 0.3) / 4)
    assert found["expected_loss"]["high"] > found["expected_loss"]["value"]
    assert not {"top1", "labels", "calibration_error", "abstained", "least_agreement"} & found.keys()


def test_bound_of_few_images() -> None:
    """The expected loss is at most its bound, of a single image as well."""
    moved = changes(answers([[0.95, 0.05]]), answers([[0.05, 0.95]]))["expected_loss"]

    assert moved["high"] >= moved["value"] == pytest.approx(0.9)


def test_labels() -> None:
    """With labels there are accuracy, calibration error, the loss with its interval, and McNemar's test."""
    truths = [[0]] * 90 + [[1]] * 10
    original, candidate = [[0.9, 0.1]] * 100, [[0.4, 0.6]] * 4 + [[0.9, 0.1]] * 96

    found = changes(answers(original, truths), answers(candidate, truths))

    assert (found["top1"]["hits"], found["top1"]["of"]) == (86, 100)
    assert found["labels"]["loss"]["value"] == pytest.approx(0.04)
    assert found["labels"]["loss"]["low"] < 0.04 < found["labels"]["loss"]["high"]
    assert found["labels"]["p_value"] == pytest.approx(0.125)
    assert 0 <= found["calibration_error"] <= 1


def test_several_classes_apply() -> None:
    """An answer is right if its class is one of those that apply to the image."""
    found = answers([[0.2, 0.7, 0.1], [0.2, 0.1, 0.7]], [[0, 1], [0, 1]])

    assert found.hits() == [True, False]


def cost(right: int, images: int = 100) -> float:
    """The expected loss of five answers that change from 0.6 to 0.4, by so many right ones."""
    truths = [[0]] * right + [[1]] * (images - right) + [None] * (100 - images)
    moved = [[0.4, 0.6]] * 5 + [[0.6, 0.4]] * 95
    found: float = changes(answers([[0.6, 0.4]] * 100, truths), answers(moved, truths))["expected_loss"][
        "value"
    ]
    return found


def test_confidences_are_made_right() -> None:
    """Where labels show that the original is less sure than it is right, a changed answer costs more."""
    assert cost(60) == pytest.approx(5 / 100 * 0.2, rel=0.1)
    assert cost(90) == pytest.approx(5 / 100 * 0.8, rel=0.1)
    assert cost(52) < cost(60) < cost(75) < cost(90)


def test_few_labels_say_nothing() -> None:
    """Fewer than 20 labels, or labels that fit no temperature, leave the confidences as they are."""
    assert cost(0, images=1) == pytest.approx(0.01)
    assert cost(19, images=19) == pytest.approx(0.01)
    assert cost(2, images=20) == pytest.approx(0.01)


def test_images_of_several_classes_say_nothing() -> None:
    """Nor do labels say how sure the original should be where several classes of an image apply."""
    sure, truths = [[0.6, 0.4]] * 100, [[0]] * 90 + [[1]] * 10
    both = answers([*sure, *sure], [*truths, *[[0, 1]] * 100])

    assert both.calibrated()[:100] == pytest.approx(answers(sure, truths).calibrated())
    assert (answers(sure, [[0, 1]] * 100).calibrated() == sure).all()


def test_independent_classes() -> None:
    """Independent classes agree by the named set, and are right where exactly those that apply are named."""
    truths = [[0, 1], None, [0], [1, 2]]
    original = named([[0.9, 0.8, 0.1], [0.2, 0.1, 0.9], [0.7, 0.4, 0.1], [0.1, 0.6, 0.7]], truths)
    candidate = named([[0.8, 0.4, 0.1], [0.2, 0.1, 0.8], [0.7, 0.4, 0.1], [0.1, 0.6, 0.7]], truths)

    found = changes(original, candidate)

    assert original.calibrated() is original.confidences
    assert original.hits() == [True, True, True]
    assert (found["agreement"]["hits"], found["agreement"]["of"]) == (3, 4)
    assert (found["least_agreement"]["index"], found["least_agreement"]["hits"]) == (1, 3)
    assert (found["exact"]["hits"], found["exact"]["of"]) == (2, 3)
    assert found["labels"]["only_original_right"] == 1
    # That the class was named is right with 0.8, and that it is not with 0.2.
    assert found["expected_loss"]["value"] == pytest.approx((0.8 - 0.2) / 4)


def test_no_class_applies() -> None:
    """An image to which no independent class applies is right where none is named."""
    found = named([[0.2, 0.1], [0.9, 0.1], [0.2, 0.1]], [[], [], None])

    assert found.hits() == [True, False]
    assert (found.figures()["exact"]["hits"], found.figures()["exact"]["of"]) == (1, 2)


def test_thresholds() -> None:
    """Thresholds decide which independent classes are named, and how many images get no class at all."""
    original = named([[0.4, 0.1], [0.2, 0.8]], [[0], [1]], 0.3, 0.9)
    one_of_many = Answers(np.array([[0.6, 0.4], [0.45, 0.55]]), [(), ()], thresholds=(0.5, 0.58))

    assert original.named.tolist() == [[True, False], [False, False]]
    assert original.figures()["abstained"]["value"] == 0.5
    assert one_of_many.figures()["abstained"]["value"] == 0.5
