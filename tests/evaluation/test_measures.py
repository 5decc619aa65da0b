"""Figures of merit agree with published tables and with arithmetic done otherwise."""

import json
from typing import Any

import pytest

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
from tests.conftest import DATA


# R. G. Newcombe, 1998, Statistics in Medicine 17, 857-872, table I, method 3 (score without continuity
# correction).
@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_interval(hits: int, of: int, low: float, high: float) -> None:
    """Intervals are those of a published comparison of methods."""
    assert Share(hits, of).interval == pytest.approx((low, high), abs=5e-5)


def test_whole_share() -> None:
    """A share of all ends its interval at 1, and the JSON form has all of it."""
    share = Share(10, 10).to_json()

    assert share == {
        "value": 1.0,
        "low": pytest.approx(0.7225, abs=1e-4),
        "high": pytest.approx(1.0),
        "hits": 10,
        "of": 10,
    }


def test_calibration() -> None:
    """The error is the distance of confidence and accuracy in each bin, weighted by its images."""
    # Two in the bin from 14/15 to 1, of which one is right; three in that from 9/15 to 10/15, all right.
    sure, right = [0.95, 0.97, 0.65, 0.61, 0.66], [True, False, True, True, True]

    error, bins = calibration(sure, right)

    assert error == pytest.approx((2 * abs(0.96 - 0.5) + 3 * abs(0.64 - 1)) / 5)
    assert [(one["from"], one["pictures"], one["accuracy"]) for one in bins] == [
        (0.6, 3, 1.0),
        (14 / 15, 2, 0.5),
    ]


def test_calibration_borders() -> None:
    """What lies on a border belongs to the bin below it, and 0 to the first."""
    _, bins = calibration([0.0, 1 / 15, 1.0], [False, False, True])

    assert [(one["from"], one["pictures"]) for one in bins] == [(0.0, 2), (14 / 15, 1)]


def test_milliseconds() -> None:
    """Percentiles are those of linear interpolation, in milliseconds."""
    assert milliseconds([0.001 * n for n in range(101)]) == pytest.approx(
        {"mean": 50.0, "p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}
    )


def test_histogram() -> None:
    """Every time is in one span, and a single time is no trouble."""
    spans = histogram([0.010, 0.011, 0.030])

    assert sum(span["pictures"] for span in spans) == 3
    assert (spans[0]["from"], spans[-1]["to"]) == pytest.approx((10, 30))
    assert sum(span["pictures"] for span in histogram([0.01])) == 1


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    """What scikit-learn says; made by `python -m tools.make_statistics`."""
    found: dict[str, Any] = json.loads((DATA / "statistics_reference.json").read_text())
    return found


def test_one_class(reference: dict[str, Any]) -> None:
    """With one class for each image, all figures agree."""
    for case in reference["classification"]:
        truth, predicted = case["truth"], case["predicted"]

        counts = by_class([(one,) for one in truth], [(one,) for one in predicted])

        assert dense(matrix(truth, predicted), case["labels"]) == case["matrix"]
        assert list(counts) == case["labels"]
        found = list(counts.values())
        assert [one.images for one in found] == case["support"]
        assert [one.precision for one in found] == pytest.approx(case["precision"])
        assert [one.recall for one in found] == pytest.approx(case["recall"])
        assert [one.f1 for one in found] == pytest.approx(case["f1"])
        assert mean_f1(found) == pytest.approx({"macro": case["macro_f1"], "weighted": case["weighted_f1"]})


def test_several_classes(reference: dict[str, Any]) -> None:
    """With any number of classes for each image, all figures agree."""
    case = reference["multi_label"]

    def classes(rows: list[list[int]]) -> list[tuple[int, ...]]:
        return [tuple(index for index, one in enumerate(row) if one) for row in rows]

    found = list(by_class(classes(case["truth"]), classes(case["predicted"])).values())

    assert [one.precision for one in found] == pytest.approx(case["precision"])
    assert [one.recall for one in found] == pytest.approx(case["recall"])
    assert [one.f1 for one in found] == pytest.approx(case["f1"])


def test_nothing() -> None:
    """A class that is never predicted, or has no image, has figures of 0."""
    assert (ClassCounts(3, 0, 0).precision, ClassCounts(3, 0, 0).f1) == (0.0, 0.0)
    assert ClassCounts(0, 3, 0).recall == 0.0
    assert mean_f1([]) == {"macro": 0.0, "weighted": 0.0}
