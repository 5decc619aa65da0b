"""Of what was only found beside a model, that is used which fits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from predictor.checking.companions import Described, described
from predictor.checking.report import Refused, Request
from predictor.model.spec import NOTHING_SEEN, Graph, Tensor

Describe = Callable[..., Described]
PREPROCESSING = '{"size": 32, "scale": 1, "mean": 1, "std": 2}'


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
