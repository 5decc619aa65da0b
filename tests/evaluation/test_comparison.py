"""Comparisons of two models agree with published tables, and with statsmodels."""

import json
from fractions import Fraction
from math import comb
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from predictor.evaluation.comparison import (
    Pairs,
    expected_calibration_error,
    mcnemar,
    paired_interval,
)
from tests.conftest import DATA


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    """What statsmodels, scikit-learn and scipy say; made by `python -m tools.make_statistics`."""
    found: dict[str, Any] = json.loads((DATA / "statistics_reference.json").read_text())
    return found


def test_mcnemar(reference: dict[str, Any]) -> None:
    """The test is that of statsmodels, for few and for many images."""
    for case in reference["mcnemar"]:
        assert mcnemar(case["only_a"], case["only_b"]) == pytest.approx(case["p"], rel=1e-9, abs=1e-300)


def test_interval_of_the_difference(reference: dict[str, Any]) -> None:
    """The interval of the difference is that made of the intervals of statsmodels."""
    for case in reference["paired_interval"]:
        assert paired_interval(*case["counts"]) == pytest.approx(case["interval"], abs=1e-9)


# Method 10 of Newcombe, and the example of M. W. Fagerland, S. Lydersen and P. Laake, 2014,
# Statistics in Medicine 33, 2850-2875.
@pytest.mark.parametrize(
    ("counts", "low", "high"), [((36, 12, 2, 0), 0.0569, 0.3404), ((1, 1, 7, 12), -0.507, -0.026)]
)
def test_published_interval(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    """The interval of the difference is the published one."""
    assert paired_interval(*counts) == pytest.approx((low, high), abs=5e-4)


def test_equal_models() -> None:
    """Models that differ on no image may differ on others: the interval has a width, and the test says 1."""
    pairs = Pairs.of([True] * 15 + [False] * 5, [True] * 15 + [False] * 5)

    assert (pairs.difference, pairs.p_value) == (0.0, 1.0)
    assert pairs.interval[0] < 0 < pairs.interval[1]


def test_pairs() -> None:
    """Images are counted by who is right, and the difference is the second model's less the first's."""
    pairs = Pairs.of([True, True, False, False, True], [True, False, True, False, True])

    found = pairs.to_json()
    assert [found[name] for name in ("both_right", "only_first_right", "only_second_right")] == [2, 1, 1]
    assert (found["both_wrong"], found["difference"]["value"]) == (1, 0.0)
    assert Pairs.of([False, False], [True, True]).difference == 1.0
    with pytest.raises(ValueError, match="same images"):
        Pairs.of([True], [True, False])


def test_no_image() -> None:
    """Without an image there is no interval."""
    with pytest.raises(ValueError, match="an image"):
        paired_interval(0, 0, 0, 0)


@given(some.integers(0, 30), some.integers(0, 30))
def test_exact(only_a: int, only_b: int) -> None:
    """The probability is that of a binomial distribution, computed in whole numbers."""
    n = only_a + only_b
    exact = min(Fraction(1), sum(Fraction(2 * comb(n, k), 2**n) for k in range(min(only_a, only_b) + 1)))

    assert mcnemar(only_a, only_b) == pytest.approx(float(exact), rel=1e-9)


@given(some.tuples(*[some.integers(0, 40)] * 4).filter(any))
def test_interval_holds_the_difference(counts: tuple[int, int, int, int]) -> None:
    """An interval holds the difference that was seen, and no difference beyond 1."""
    low, high = paired_interval(*counts)

    assert -1 <= low <= (counts[1] - counts[2]) / sum(counts) + 1e-12
    assert (counts[1] - counts[2]) / sum(counts) - 1e-12 <= high <= 1


def test_mcnemar_of_many() -> None:
    """Of many images, where the powers of two are beyond a float, the answer stays a probability."""
    assert mcnemar(5000, 0) == pytest.approx(0, abs=1e-300)
    assert mcnemar(3000, 3000) == 1.0


def test_calibration_error() -> None:
    """The error is the distance of confidence and accuracy, over as many bins as are asked for."""
    assert expected_calibration_error([0.9, 0.9, 0.6], [True, False, True], bins=1) == pytest.approx(
        abs(0.8 - 2 / 3)
    )
    assert expected_calibration_error([0.9, 0.9, 0.6], [True, False, True]) == pytest.approx(
        (2 * 0.4 + 0.4) / 3
    )
