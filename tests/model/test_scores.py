"""Scores become ranked confidences."""

import json

import numpy as np
import pytest

from predictor.errors import Internal
from predictor.model.scores import Ranked, as_ranked, is_packed, packed, rank, unpacked
from predictor.model.spec import Activation, Tensor


def agree(ranked: Ranked, expected: Ranked) -> bool:
    """Whether two rankings have the same classes and, within rounding, the same confidences."""
    return [index for index, _ in ranked] == [index for index, _ in expected] and bool(
        np.allclose([confidence for _, confidence in ranked], [confidence for _, confidence in expected])
    )


def test_probabilities() -> None:
    """Probabilities are ranked as they are."""
    assert agree(rank(np.array([0.1, 0.7, 0.2], np.float32), "none", 2), [(1, 0.7), (2, 0.2)])


def test_softmax() -> None:
    """Logits become probabilities; computed by hand: exp(0), exp(ln 3), exp(ln 4) over their sum 8."""
    ranked = rank(np.log([1.0, 3.0, 4.0]), "softmax", 3)

    assert agree(ranked, [(2, 0.5), (1, 0.375), (0, 0.125)])


def test_huge_logits() -> None:
    """Softmax stays finite for logits that exp() alone cannot take."""
    assert agree(rank(np.array([1e4, 0.0]), "softmax", 1), [(0, 1.0)])


def test_sigmoid() -> None:
    """Independent scores become independent confidences; 1/(1+1/3) is 0.75."""
    assert agree(rank(np.array([0.0, np.log(3)]), "sigmoid", 2), [(1, 0.75), (0, 0.5)])


def test_ties_and_bounds() -> None:
    """Equal confidences rank by index, and there are never more than the classes."""
    assert rank(np.full(3, 0.25), "none", 10) == [(0, 0.25), (1, 0.25), (2, 0.25)]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_not_a_number(wrong: float) -> None:
    """A score that is no number never reaches an answer."""
    with pytest.raises(Internal):
        rank(np.array([0.5, wrong]), "none", 1)


@pytest.mark.parametrize("activation", ["none", "softmax", "sigmoid"])
@pytest.mark.parametrize("top_k", [1, 2, 4, 9])
def test_kept(activation: Activation, top_k: int) -> None:
    """An answer that was kept as JSON is the same when it is read again."""
    ranked = rank(np.array([0.5, 0.0, 1.0, 0.5]), activation, top_k)

    assert as_ranked(json.loads(json.dumps(ranked)), 4, activation, top_k) == ranked


def test_kept_logits() -> None:
    """Without an activation, a model's scores may be any finite numbers."""
    ranked = rank(np.array([-7.5, 12.25]), "none", 5)

    assert as_ranked(json.loads(json.dumps(ranked)), 2, "none", 5) == ranked
    assert as_ranked(json.loads(json.dumps(ranked)), 2, "softmax", 5) is None


@pytest.mark.parametrize(
    "kept",
    [
        "[[99999, 0.5], [1, 0.25]]", '{"a": 1}', '"abc"', "5", "[]", "true", "null", "0", '""',
        "[[0, 0.5], [1, []]]", '[[0, 0.5], [1, "x"]]',
        "[[-5, 0.5], [1, 0.1]]", "[[0, 0.5], [1, NaN]]", "[[0, Infinity], [1, 0.1]]",
        "[[0, 0.5], [1, null]]", "[[0, 0.5], [true, 0.1]]",
        "[[0, 0.5], [1, false]]", "[[0.0, 1.0], [1, 0.1]]",
        "[[0, 1], [1, 0]]", "[[0, 0.5]]", "[[0, 0.5], [1, 0.25], [2, 0.125]]", "[[0, 0.5], [0, 0.25]]",
        "[[0, 0.25], [1, 0.5]]", "[[0, 1.5], [1, 0.25]]", "[[0, 0.75], [1, 0.5]]",
        "[[0, 0.5], [1, -0.25]]", "[[0, 0.5], [3, 0.25]]",
        "[[0, 0.5, 1], [1, 0.25]]", "[[0, 0.5], [1]]", "[[0, 0.5], []]", "[0, 0.5]", "[[0, 0.5], {}]",
        '{"0": 0.5, "1": 0.25}', "[[[0], 0.5], [1, 0.25]]",
    ],
)  # fmt: skip
def test_kept_otherwise(kept: str) -> None:
    """A value that is not an answer with the two best of three classes is refused."""
    assert as_ranked(json.loads(kept), 3, "softmax", 2) is None


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int8"])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (3, 1, 1)])
def test_packed(dtype: str, shape: tuple[int, ...]) -> None:
    """Scores that were kept as JSON have every bit when they are read again, of any type and shape."""
    scores = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype) / np.array(3, dtype)
    scores = scores.astype(dtype)
    kept = json.loads(json.dumps(packed(scores)))

    assert is_packed(kept, Tensor("scores", dtype, (None, *shape)))
    assert unpacked(kept).tobytes() == scores.tobytes()
    assert (unpacked(kept).shape, unpacked(kept).dtype) == (scores.shape, scores.dtype)


@pytest.mark.parametrize(
    "kept",
    [
        None, 0, "", "abc", [], {}, [[0, 0.5]], ["float32", [3], 7], ["float32", [3], "AAAA"],
        ["float32", [3], "no base64"], ["float64", [3], "A" * 32],
        ["object", [3], "A" * 32], ["float32", [1, 3], "A" * 16], ["float32", [4], "A" * 24],
        ["float32", [3], "A" * 24], ["no type", [3], "A" * 16], [["float32"], [3], "A" * 16],
        ["float32", ["3"], "A" * 16], ["float32", [3], "A" * 16, 1],
    ],
)  # fmt: skip
def test_packed_otherwise(kept: object) -> None:
    """A value that is not the three FP32 scores of one image is refused."""
    assert not is_packed(kept, Tensor("scores", "float32", (None, 3)))
