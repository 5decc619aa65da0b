"""A model of one score tells two classes apart, whatever it ends in and whatever was said of it."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from predictor.discovery.activation import settle
from predictor.discovery.discover import recalled
from predictor.errors import InvalidModel
from predictor.image.preprocess import Preprocessing
from predictor.model import labels
from predictor.model.labels import Label
from predictor.model.scores import rank
from predictor.model.spec import Activation, Evidence, Graph, Last, ModelSpec, Tensor

PREPROCESSING = Preprocessing(32, 32, resize="stretch", layout="NCHW", dtype="float32")
Scores = npt.NDArray[np.float64]
CONFIDENCES = np.array([[0.1], [0.9], [0.3], [1.0]])
LOGITS = np.array([[-3.0], [0.5], [2.0], [7.0]])


def settled(
    scores: Scores,
    last: Last | None = None,
    activation: Activation = "softmax",
    evidence: Evidence = "assumed",
    names: tuple[str, ...] = ("cats", "dogs"),
) -> ModelSpec:
    """What is made of a model of one score, of which something was known before."""
    spec = ModelSpec(
        image=Tensor("image", "float32", (None, 3, 32, 32)),
        scores=Tensor("score", "float32", (None, scores.shape[1])),
        preprocessing=PREPROCESSING,
        activation=activation,
        labels=tuple(map(Label, names)),
        reasons={"labels": labels.BESIDE if names else labels.NONE, "activation": "Read from a file."},
        evidence=evidence,
    )
    return settle(spec, [scores], last)


@pytest.mark.parametrize(
    ("scores", "last", "activation"),
    [
        (CONFIDENCES, "sigmoid", "none"),
        (LOGITS, "linear", "sigmoid"),
        # A logit of the trial images may lie anywhere.
        (CONFIDENCES, "linear", "sigmoid"),
        (CONFIDENCES, None, "none"),
        (LOGITS, None, "sigmoid"),
    ],
)
def test_found(scores: Scores, last: Last | None, activation: Activation) -> None:
    """The sigmoid is applied unless the graph ends in one; only a guess is warned of."""
    spec = settled(scores, last)

    assert (spec.activation, spec.binary, spec.multi_label) == (activation, True, False)
    assert [label.name for label in spec.labels] == ["cats", "dogs"]
    assert "a high score means dogs, a low score cats" in spec.reasons["classes"]
    assert len(spec.warnings) == (last is None)


@pytest.mark.parametrize(
    ("said", "scores", "last", "activation", "warning"),
    [
        ("sigmoid", LOGITS, "linear", "sigmoid", None),
        ("sigmoid", CONFIDENCES, None, "sigmoid", None),
        ("none", CONFIDENCES, "sigmoid", "none", None),
        ("none", CONFIDENCES, "linear", "none", None),
        ("none", LOGITS, "linear", "none", "outside 0 to 1"),
        ("sigmoid", CONFIDENCES, "sigmoid", "none", "not applied again"),
        ("softmax", LOGITS, "linear", "sigmoid", "not applied, and the sigmoid is applied"),
        ("softmax", LOGITS, None, "sigmoid", "not applied, and the sigmoid is applied"),
        ("softmax", CONFIDENCES, "sigmoid", "none", "not applied, and the score is a confidence"),
    ],
)
def test_said(
    said: Activation,
    scores: Scores,
    last: Last | None,
    activation: Activation,
    warning: str | None,
) -> None:
    """What was said counts, but for a softmax, which says nothing over one score, and a second sigmoid."""
    spec = settled(scores, last, activation=said, evidence="given")

    assert spec.activation == activation
    assert [warning in sentence for sentence in spec.warnings if warning] == [True] * (warning is not None)
    assert bool(spec.warnings) == (warning is not None)


@pytest.mark.parametrize("labels_text", ["cats\ndogs", "dogs", "label\ncats\ndogs", None])
def test_recalled(labels_text: str | None) -> None:
    """What a check found is read again with the same labels, also from before one score was two classes."""
    names = tuple(labels_text.split("\n")) if labels_text else ()
    known = settled(CONFIDENCES, "sigmoid", names=tuple(name for name in names if name != "label"))
    graph = Graph((known.image,), (known.scores,))
    report = known.to_json()

    assert recalled(report, labels_text, graph) == known
    former = {name: value for name, value in report.items() if name != "binary"} | {
        "classes": 1,
        "multi_label": True,
    }
    assert recalled(former, labels_text, graph) == known


def test_no_labels() -> None:
    """Without labels the classes are numbered, and a number that may be a measurement is warned of."""
    spec = settled(LOGITS, "linear", names=())

    assert [label.name for label in spec.labels] == ["class 0", "class 1"]
    assert "measurement" in spec.warnings[-1]


def test_one_label() -> None:
    """One label is the name of the class of a high score."""
    spec = settled(CONFIDENCES, "sigmoid", names=("dog",))

    assert [label.name for label in spec.labels] == ["not dog", "dog"]
    assert spec.reasons["labels"].endswith("The one label names the class of a high score.")


def test_softmax_over_one() -> None:
    """A softmax over one score is 1 for every image: such a network cannot answer."""
    with pytest.raises(InvalidModel, match="softmax over one score"):
        settled(np.ones((4, 1)), "softmax")


def test_two_scores() -> None:
    """Two scores are two classes, with a score each."""
    spec = settled(np.array([[1.0, 2.0], [3.0, -1.0]]), "linear")

    assert (spec.binary, spec.activation) == (False, "softmax")


@pytest.mark.parametrize(
    ("score", "activation", "expected"),
    [
        (0.25, "none", [(0, 0.75), (1, 0.25)]),
        (0.75, "none", [(1, 0.75), (0, 0.25)]),
        (0.5, "none", [(0, 0.5), (1, 0.5)]),
        (math.log(3), "sigmoid", [(1, 0.75), (0, 0.25)]),
        (-math.log(3), "sigmoid", [(0, 0.75), (1, 0.25)]),
        (math.log(3), "softmax", [(1, 0.75), (0, 0.25)]),
        (-1e9, "sigmoid", [(0, 1.0), (1, 0.0)]),
        (1.004, "none", [(1, 1.0), (0, 0.0)]),
        (-0.004, "none", [(0, 1.0), (1, 0.0)]),
    ],
)
def test_rank(score: float, activation: Activation, expected: list[tuple[int, float]]) -> None:
    """The second class has the score, and the first the rest; a softmax is never taken over one number."""
    ranked = rank(np.array([[[score]]], np.float64), activation, 5)

    assert [index for index, _ in ranked] == [index for index, _ in expected]
    assert [one for _, one in ranked] == pytest.approx([one for _, one in expected])


def test_rank_of_one() -> None:
    """Who asks for one class gets the better one."""
    assert rank(np.array([0.25]), "none", 1) == [(0, 0.75)]


def test_independent_by_chance() -> None:
    """That several scores of the test images lie between 0 and 1 is a guess, which is warned of."""
    spec = settled(np.array([[0.2, 0.9, 0.4], [0.1, 0.3, 0.8]]), names=("cats", "dogs", "birds"))

    assert (spec.activation, spec.multi_label) == ("none", True)
    assert spec.warnings[-1].startswith("Whether the scores are independent confidences or logits")
