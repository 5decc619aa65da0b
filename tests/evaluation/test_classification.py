"""Confusion matrix, precision, recall and F1 are those of scikit-learn."""

import json
from typing import Any

import pytest

from predictor.evaluation.classification import ClassCounts, by_class, dense, matrix, mean_f1
from tests.conftest import DATA


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
