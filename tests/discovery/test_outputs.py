"""The output with the class scores is found, and nothing else is taken for it."""

from collections.abc import Mapping

import pytest

from predictor.discovery.signature import class_scores
from predictor.errors import InvalidModel
from predictor.model.spec import Graph, Structure, Tensor

SCORES = Tensor("scores", "float32", (None, 5))
SCORE = Tensor("score", "float32", (None, 1))
FEATURES = Tensor("features", "float32", (None, 64))
LABEL = Tensor("label", "int64", (None,))
VALUES, INDICES = Tensor("values", "float32", (None, 3)), Tensor("indices", "int64", (None, 3))


def found(
    *outputs: Tensor,
    labels: int | None = None,
    named: str | None = None,
    seen: Mapping[str, str] | None = None,
) -> str:
    """The name of the output that is taken, where some of them were chosen from a tensor that was seen."""
    return class_scores(Graph((), outputs), Structure(chosen=seen or {}), named, labels)[0].name


def refused(*outputs: Tensor, named: str | None = None, seen: Mapping[str, str] | None = None) -> str:
    """The sentence with which a graph is refused."""
    with pytest.raises(InvalidModel) as error:
        found(*outputs, named=named, seen=seen)
    return error.value.detail


@pytest.mark.parametrize(
    "beside",
    [LABEL, VALUES, INDICES, Tensor("best", "int32", (None, 1)), Tensor("sure", "bool", (None, 5))],
    ids=lambda tensor: tensor.name,
)
def test_beside(beside: Tensor) -> None:
    """Scores are taken, whatever else stands beside them, in whichever order."""
    seen = {beside.name: "scores"} if beside.name in ("values", "indices", "label", "best") else {}

    assert found(SCORES, beside, seen=seen) == found(beside, SCORES, seen=seen) == "scores"


@pytest.mark.parametrize("labels", [1, 2])
def test_one_score_by_labels(labels: int) -> None:
    """Two labels or one tell the output of one score from others."""
    assert found(FEATURES, SCORE, labels=labels) == "score"
    assert found(SCORE, Tensor("pair", "float32", (None, 2)), labels=2) == "pair"


@pytest.mark.parametrize(
    ("outputs", "seen", "words"),
    [
        ([LABEL], {"label": "logits"}, "The output label (int64) holds class numbers, not scores."),
        ([LABEL], {"label": "logits"}, "Export the model with its scores, the tensor logits, as output."),
        ([LABEL], {}, "Export the model with its scores as output."),
        ([Tensor("y", "int64", (None, 1))], {}, "The output y (int64) holds class numbers"),
        ([Tensor("y", "int32", (None,))], {}, "The output y (int32) holds class numbers"),
        ([Tensor("y", "uint8", (None, 5))], {"y": "softmax"}, "(uint8) holds quantised numbers, not scores."),
        ([Tensor("y", "float32", (None, 1))], {"y": "logits"}, "a selection from the scores"),
        ([VALUES, INDICES], {"values": "x", "indices": "x"}, "The output values (float32) holds a selection"),
        ([VALUES, INDICES], {"values": "/fc/Gemm", "indices": "/fc/Gemm"}, "the tensor /fc/Gemm, as output"),
        ([VALUES, INDICES], {}, "The output values (float32) holds a selection from the scores"),
        ([INDICES, VALUES], {}, "The output indices (int64) holds class numbers"),
        ([Tensor("y", "bool", (None, 5))], {}, "The output y (bool) holds decisions, not scores."),
        ([LABEL], {"label": "a\nb"}, "the tensor one whose name cannot be shown"),
    ],
)
def test_no_scores(outputs: list[Tensor], seen: Mapping[str, str], words: str) -> None:
    """What ArgMax and TopK give is never taken for scores, and the sentence names what to export."""
    assert words in refused(*outputs, seen=seen)
    assert outputs[0].name in refused(*outputs, named=outputs[0].name, seen=seen)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ((5, 3), 'a [?, 5] and b [?, 3]. Name one of them in the preprocessing, such as {"output": "a"}, or'),
        ((5, 5), 'a [?, 5] and b [?, 5]. Name one of them in the preprocessing, such as {"output": "a"}.'),
    ],
)
def test_several(columns: tuple[int, int], words: str) -> None:
    """Outputs among which nothing decides are named; labels are asked for only where they tell them apart."""
    outputs = [Tensor(name, "float32", (None, count)) for name, count in zip("ab", columns, strict=True)]

    assert words in refused(*outputs)


def test_no_output() -> None:
    """Graphs without an output, or with one of other axes, are told so."""
    assert "no output" in refused()
    assert "maps [?, 5, 7, 7]" in refused(Tensor("maps", "float32", (None, 5, 7, 7)))
    assert "one of the model's outputs: scores [?, 5]" in refused(SCORES, named="other")


def test_one_axis() -> None:
    """One score for each image may stand without an axis of its own, if nothing better is there."""
    lone, images = Tensor("y", "float32", (None,)), Tensor("x", "float32", (None, 3, 32, 32))
    fixed, single = Tensor("y", "float32", (12,)), Tensor("x", "float32", (1, 3, 32, 32))

    def taken(image: Tensor, *outputs: Tensor) -> str:
        return class_scores(Graph((image,), outputs), Structure(), None, None)[0].name

    assert taken(images, lone) == "y"
    assert taken(images, lone, SCORES) == "scores"
    with pytest.raises(InvalidModel, match="two axes"):
        taken(single, fixed)
