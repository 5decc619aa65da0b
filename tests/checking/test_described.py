"""Of what was only found beside a model, that is used which fits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from predictor.checking.described import Described, check_tensors, described
from predictor.checking.report import Refused, Request
from predictor.model.spec import NOTHING_SEEN, Graph, Tensor

Describe = Callable[..., Described]
PREPROCESSING = '{"size": 32, "scale": 1, "mean": 1, "std": 2}'

IMAGE = Tensor("x", "float32", (None, 3, 8, 8))
SCORES = Tensor("y", "float32", (None, 5))


@pytest.fixture
def describe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Describe:
    """Describe a model of 32 x 32 pixels and some classes by texts, some of which were only found."""
    monkeypatch.chdir(tmp_path)

    def describe(
        metadata: dict[str, str],
        *,
        unsure: dict[str, str],
        guessed: bool = False,
        columns: int = 3,
        **texts: str,
    ) -> Described:
        for what, text in texts.items():
            (tmp_path / what).write_text(text)
        images, scores = Tensor("x", "float32", (1, 3, 32, 32)), Tensor("y", "float32", (1, columns))
        beside: Any = {what: what for what in texts}
        request = Request("m.onnx", **beside, unsure=unsure, guessed=guessed)
        return described(Graph((images,), (scores,), metadata), NOTHING_SEEN, request)

    return describe


def names(found: Described) -> list[str]:
    """The model's classes."""
    return [label.name for label in found.spec.labels]


def passed_over(found: Described) -> list[str]:
    """The warnings about files."""
    return [warning for warning in found.spec.warnings if "passed over" in warning]


def test_labels(describe: Describe) -> None:
    """Labels of another count are passed over, and what the model says goes in their place."""
    found = describe({"names": "['a', 'b', 'c']"}, unsure={"labels": "old.csv"}, labels="x\ny\n")

    assert (names(found), found.unused) == (["a", "b", "c"], ("labels",))
    (warning,) = passed_over(found)
    assert warning.startswith("old.csv is passed over. The model has 3 classes, but 2 labels came with it.")


def test_preprocessing(describe: Describe) -> None:
    """A preprocessing of another size is passed over, and what the model says goes in its place."""
    metadata = {"task": "classify", "imgsz": "[32, 32]"}

    found = describe(metadata, unsure={"preprocessing": "x.json"}, preprocessing='{"size": [64, 64]}')

    assert (found.unused, found.spec.preprocessing.resize_to) == (("preprocessing",), 32)
    (warning,) = passed_over(found)
    assert warning.startswith(
        "x.json is passed over. The preprocessing cannot be used: size asks for 64 x 64"
    )


def test_both(describe: Describe) -> None:
    """Each is passed over for its own reason, and one that fits is used beside one that does not."""
    unsure = {"labels": "a.csv", "preprocessing": "b.json"}

    neither = describe({}, unsure=unsure, labels="x\n", preprocessing='{"size": 64}')
    one = describe({}, unsure=unsure, labels="x\n", preprocessing=PREPROCESSING)
    other = describe({}, unsure=unsure, labels="x\ny\nz\n", preprocessing='{"size": 64}')

    assert neither.unused == ("labels", "preprocessing")
    assert "1 label came" in passed_over(neither)[0]
    assert "size asks for 64" in passed_over(neither)[1]
    assert (one.unused, one.spec.preprocessing.mean) == (("labels",), (1.0,) * 3)
    assert (other.unused, names(other)) == (("preprocessing",), ["x", "y", "z"])


def test_sure(describe: Describe) -> None:
    """What was sent as such, or is called so, is used or refused."""
    with pytest.raises(Refused, match="3 classes, but 2 labels"):
        describe({}, unsure={"preprocessing": "b.json"}, labels="x\ny\n", preprocessing=PREPROCESSING)


def test_guess(describe: Describe) -> None:
    """A list without a telling name is taken, with a warning, if it fits and the model names no classes."""
    unsure = {"labels": "species.txt"}

    taken = describe({}, unsure=unsure, guessed=True, labels="x\ny\nz\n")
    other = describe({}, unsure=unsure, guessed=True, labels="x\ny\n")
    named = describe({"names": "['a', 'b', 'c']"}, unsure=unsure, guessed=True, labels="x\ny\nz\n")

    assert (names(taken), taken.unused) == (["x", "y", "z"], ())
    assert [warning for warning in taken.spec.warnings if warning.startswith("species.txt is taken")]
    assert (names(other)[0], other.unused) == ("class 0", ("labels",))
    assert (names(named), named.unused, passed_over(named)) == (["a", "b", "c"], ("labels",), [])


@pytest.mark.parametrize(("name", "taken"), [("vocab.json", True), ("species.txt", False)])
def test_guess_for_one_score(describe: Describe, name: str, taken: bool) -> None:
    """Two lines of any text are not taken for the two classes that one score separates."""
    found = describe({}, unsure={"labels": name}, guessed=True, columns=1, labels="x\ny\n")

    assert (names(found) == ["x", "y"]) is taken
    assert len(passed_over(found)) == (not taken)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "nor any other. Export it with the image as its input"),
        ([Tensor("x", "float32", ())], "x has no shape. Give the size of its images in the preprocessing"),
        (
            [Tensor("x", "float32", (None, 560))],
            "x has the shape [?, 560]. If these are the pixels of an image",
        ),
        ([Tensor("x", "float32", (1, 1, 3, 8, 8))], "[1, 1, 3, 8, 8]. Export it with four axes"),
        ([Tensor("x", "seq(tensor(float))", ())], "x takes a sequence. Export it with a tensor of four axes"),
        (
            [Tensor("x", "float32", (None, 3)), Tensor("z", "float32", (7,))],
            "among its inputs x [?, 3] and z [7]. Export it with one input of four axes",
        ),
    ],
)
def test_no_image(inputs: list[Tensor], words: str) -> None:
    """The sentence names the input and its shape, and says what helps."""
    with pytest.raises(Refused) as refused:
        check_tensors(Graph(tuple(inputs), (SCORES,)))

    assert words in refused.value.detail
    assert refused.value.reason == "image_input"


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        ("seq(map(string,tensor(float)))", "y holds maps. Convert it again with the option zipmap=False"),
        ("tensor(string)", "y holds strings. Export the model with its scores"),
        ("seq(tensor(float))", "y holds a sequence. Export the model with its scores"),
        ("optional(tensor(float))", "y holds an optional value. Export"),
        ("tensor(bfloat16)", "y holds bfloat16. Export the model with its scores as a tensor of float32"),
    ],
)
def test_no_numbers(dtype: str, words: str) -> None:
    """What an output holds in place of numbers is said, and what to export instead."""
    with pytest.raises(Refused) as refused:
        check_tensors(Graph((IMAGE,), (Tensor("y", dtype, ()),)))

    assert words in refused.value.detail
    assert refused.value.reason == "class_scores"


def test_images_and_scores() -> None:
    """An input of four axes and outputs of numbers pass."""
    check_tensors(Graph((IMAGE,), (SCORES,)))
