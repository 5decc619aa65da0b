"""Temperatures are those of scipy, the calibration error falls, and thresholds keep their promise."""

import json
from typing import Any

import numpy as np
import pytest

from predictor.evaluation.calibration import (
    LEAST_IMAGES,
    MIDDLE,
    Labelled,
    fit,
    fit_independent,
    fit_temperature,
    report,
    thresholds,
)
from predictor.evaluation.comparison import expected_calibration_error
from predictor.evaluation.measures import threshold_for
from predictor.model.calibration import Calibration
from tests.conftest import DATA
from tools.make_statistics import independent, network


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    """What scipy says; made by `python -m tools.make_statistics`."""
    found: dict[str, Any] = json.loads((DATA / "statistics_reference.json").read_text())
    return found


def labelled(logits: Any, truth: list[int]) -> Labelled:
    """Images with one class each."""
    scores = np.asarray(logits, np.float64)
    return Labelled(scores, np.arange(scores.shape[1]) == np.array(truth)[:, np.newaxis], independent=False)


def test_temperature(reference: dict[str, Any]) -> None:
    """The temperature is scipy's optimum, for networks that are over- and underconfident."""
    for case in reference["temperature"]:
        scores, truth = network(case["factor"], case["seed"])

        assert fit_temperature(scores, truth) == pytest.approx(case["temperature"], abs=1e-3)
        assert fit_temperature(scores, truth) == pytest.approx(case["factor"], rel=0.1)


def test_temperatures_of_classes(reference: dict[str, Any]) -> None:
    """Of independent classes each has scipy's optimum."""
    case = reference["class_temperatures"]
    scores, applies = independent(tuple(case["factors"]), case["seed"])

    found = fit(Labelled(scores, applies, independent=True))

    assert found is not None
    assert found.temperatures == pytest.approx(case["temperatures"], abs=1e-3)


def test_error_falls(reference: dict[str, Any]) -> None:
    """On images that were not used, confidences are nearer to the accuracy than before."""
    for case in reference["temperature"]:
        found = report(labelled(*network(case["factor"], case["seed"])), Calibration(), None)

        assert found["after"]["error"] < found["before"]["error"]
        assert found["calibration"]["temperature"] == pytest.approx(case["factor"], rel=0.1)
        assert (found["fitted_on"], found["tested_on"]) == (1000, 1000)


def test_images_of_several_classes() -> None:
    """Images of several classes that exclude each other change nothing, as it is not known which is meant."""
    images = labelled(*network(2.5, 0))
    both = images.applies | np.roll(images.applies, 1, axis=1)
    more = Labelled(
        np.concatenate([images.logits, images.logits]), np.concatenate([images.applies, both]), False
    )

    assert report(more, Calibration(), 0.9) == report(images, Calibration(), 0.9)
    several = Labelled(images.logits, both, independent=False)
    assert "40 different images with one label each" in report(several, Calibration(), None)["problem"]


def test_error_of_independent_classes_falls() -> None:
    """The same of classes with a temperature each."""
    scores, applies = independent((3.0, 0.5, 2.0), 3)

    found = report(Labelled(scores, applies, independent=True), Calibration(), 0.9)

    assert found["after"]["error"] < found["before"]["error"]
    assert len(found["calibration"]["temperatures"]) == len(found["calibration"]["thresholds"]) == 3
    assert found["precision"]["reached"] == pytest.approx(0.9, abs=0.05)


def test_version_that_is_calibrated() -> None:
    """What a version has now is the error before, and is not fitted upon."""
    images = labelled(*network(2.5, 0))

    first = report(images, Calibration(), None)
    again = report(images, Calibration((first["calibration"]["temperature"],)), None)

    assert again["calibration"] == first["calibration"]
    assert again["before"] == again["after"] == first["after"]


def test_error_is_that_of_the_confidences() -> None:
    """The error before is the calibration error of the confidences as they are."""
    images = labelled(*network(2.5, 0)).half(False)

    confidences, right = images.judged(Calibration())

    found = report(labelled(*network(2.5, 0)), Calibration(), None)
    assert found["before"]["error"] == expected_calibration_error(confidences, right)


def test_halves() -> None:
    """The halves have no image in common, as many of each class, and are the same each time."""
    images = labelled(np.arange(120.0).reshape(40, 3), [0, 1, 2, 0] * 10)

    first, second = images.half(True), images.half(False)

    assert sorted([*first.logits[:, 0], *second.logits[:, 0]]) == images.logits[:, 0].tolist()
    assert first.applies.sum(axis=0).tolist() == second.applies.sum(axis=0).tolist() == [10, 5, 5]
    assert (images.half(True).logits == first.logits).all()


def test_too_few_images() -> None:
    """Few images fit nothing."""
    scores, truth = network(2.0, 0, images=2 * LEAST_IMAGES - 1)

    assert "at least 40" in report(labelled(scores, truth), Calibration(), None)["problem"]


@pytest.mark.parametrize("offset", [0, 1])
def test_undetermined(offset: int) -> None:
    """A model that is right, or wrong, on all images has no temperature; none is made up."""
    truth = [0, 1, 2, 3] * 20
    scores = 5.0 * np.eye(4)[[(one + offset) % 4 for one in truth]]

    assert "determine no temperature" in report(labelled(scores, truth), Calibration(), None)["problem"]


def test_classes_ruled_out(reference: dict[str, Any]) -> None:
    """Logits of minus infinity, of classes that a model rules out, change no temperature."""
    case = reference["temperature"][0]
    scores, truth = network(case["factor"], case["seed"])
    without = np.full((len(scores), 2), -np.inf)
    several, applies = independent((3.0, 0.5, 2.0), 3)

    masked = np.concatenate([without, scores, without], axis=1)
    found = fit(labelled(masked, [one + 2 for one in truth]))
    ruled = np.concatenate([several, np.full((len(several), 1), -np.inf)], axis=1)
    own = fit(Labelled(ruled, np.concatenate([applies, applies[:, :1]], axis=1), independent=True))

    assert found is not None
    assert own is not None
    assert found.temperatures[0] == pytest.approx(case["temperature"], abs=1e-3)
    assert own.temperatures[:3] == fit(Labelled(several, applies, independent=True)).temperatures  # type: ignore[union-attr]


def test_truth_ruled_out() -> None:
    """Images of a class that the model rules out say nothing of the temperature."""
    scores, truth = network(2.5, 0)
    masked = np.concatenate([scores, np.full((len(scores), 1), -np.inf)], axis=1)
    more = np.concatenate([masked, masked[:50]])

    found = fit_temperature(more, [*truth, *[scores.shape[1]] * 50])

    assert found == pytest.approx(fit_temperature(scores, truth))
    assert fit(labelled(masked[:50], [scores.shape[1]] * 50)) is None


def test_class_with_few_images() -> None:
    """A class with too few images shares the temperature of all, and has the middle for its threshold."""
    scores, applies = independent((3.0, 0.5, 2.0), 3)
    applies[:, 2] = False
    applies[:5, 2] = True

    images = Labelled(scores, applies, independent=True)
    found = fit(images)

    assert found is not None
    assert found.temperatures[2] == pytest.approx(fit_independent(scores, applies))
    assert thresholds(0.9, images, found)[2] == MIDDLE


def test_threshold() -> None:
    """The threshold is the lowest one whose answers are right often enough, with equal ones together."""
    confidences = np.array([0.9, 0.8, 0.8, 0.7, 0.6])
    right = np.array([True, True, False, True, False])

    for precision, lowest in ((1.0, 0.9), (0.75, 0.7), (0.5, 0.6)):
        found = threshold_for(precision, confidences, right)
        assert found is not None
        assert found < lowest == pytest.approx(found, abs=1e-5)
    assert threshold_for(0.9, confidences, np.array([False, *right[1:]])) is None


def test_threshold_between_close_confidences() -> None:
    """However close to each other confidences are, a threshold parts the right ones from those below."""
    confidences = np.array([1 - 1e-9, 1 - 2e-9])

    found = threshold_for(1.0, confidences, np.array([True, False]))

    assert found is not None
    assert confidences[1] < found < confidences[0]
    assert threshold_for(1.0, np.array([1e-9]), np.array([True])) == 5e-10


def test_precision_on_other_images() -> None:
    """A wished precision is about reached on the other half of the images."""
    found = report(labelled(*network(2.0, 1)), Calibration(), 0.9)

    assert found["precision"]["reached"] == pytest.approx(0.9, abs=0.04)
    assert found["calibration"]["threshold"] == found["precision"]["thresholds"][0]


def test_precision_of_ties() -> None:
    """Of classes that are equally likely one is the answer, so no image counts more than once."""
    scores, truth = network(2.0, 1)
    tied = np.repeat(scores, 2, axis=1)

    found = report(labelled(tied, [2 * one for one in truth]), Calibration(), 0.1)

    assert found["precision"]["named"] == found["tested_on"] == len(scores) // 2


def test_precision_out_of_reach() -> None:
    """A precision that no threshold has is said to be out of reach, and no threshold is suggested."""
    scores, truth = network(2.0, 1)
    # The most confident answers are wrong.
    best = np.argsort(-scores.max(axis=1))[:100]
    truth = [int(scores[row].argmin()) if row in best else one for row, one in enumerate(truth)]

    found = report(labelled(scores, truth), Calibration(), 1.0)

    assert found["precision"]["thresholds"] == [None]
    assert (found["precision"]["reached"], found["precision"]["named"]) == (None, 0)
    assert "threshold" not in found["calibration"]


def test_precision_out_of_reach_of_each_class() -> None:
    """Independent classes of which none has a precision get the threshold 1 each, so that none is named."""
    scores, applies = independent((3.0, 0.5, 2.0), 3)
    for index in range(3):
        applies[np.argsort(-scores[:, index])[:20], index] = False

    found = report(Labelled(scores, applies, independent=True), Calibration(), 1.0)

    assert found["precision"]["thresholds"] == [None] * 3
    assert found["calibration"]["thresholds"] == [1.0] * 3
