"""A model is run on made-up images, and what it answers is judged."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from predictor.checking.report import Refused
from predictor.checking.smoke_test import Run, best, differences, photograph, smoke_test
from predictor.image.preprocess import Preprocessing
from predictor.model.labels import numbered
from predictor.model.spec import ModelSpec, Tensor

Array = npt.NDArray[Any]
CLASSES = 3


def spec(batch: int | None = None, classes: int = CLASSES) -> ModelSpec:
    """A model of small images."""
    return ModelSpec(
        image=Tensor("x", "float32", (batch, 3, 4, 4)),
        scores=Tensor("y", "float32", (batch, None)),
        preprocessing=Preprocessing(4, 4, resize="stretch", layout="NCHW", dtype="float32"),
        activation="softmax",
        labels=numbered(classes),
    )


def colours(batch: Array) -> Array:
    """A sound model: the mean of each channel."""
    return np.asarray(batch.mean(axis=(2, 3)))


def reason(run: Run, **of: int) -> str:
    """Why a model is refused, in one word."""
    with pytest.raises(Refused) as error:
        smoke_test(run, spec(**of))
    return error.value.reason


def test_free_batch() -> None:
    """Each image is run alone, and all of them together."""
    sizes: list[int] = []

    def run(batch: Array) -> Array:
        sizes.append(len(batch))
        return colours(batch)

    outcome = smoke_test(run, spec())

    assert sizes == [1, 1, 1, 1, 4, 4]
    assert (outcome.single.batch, outcome.batched.batch) == (1, 4)
    assert outcome.scores.shape == (4, CLASSES)
    assert outcome.warnings == ()


def test_fixed_batch() -> None:
    """A batch of fixed size is filled, and there is no other."""
    sizes: list[int] = []

    def run(batch: Array) -> Array:
        sizes.append(len(batch))
        return colours(batch)

    outcome = smoke_test(run, spec(batch=2))

    assert sizes == [2, 2, 2, 2]
    assert outcome.batched == outcome.single
    assert outcome.scores.shape == (4, CLASSES)


@pytest.mark.parametrize(
    ("run", "word"),
    [
        (lambda batch: np.full((len(batch), CLASSES), np.nan), "not_finite"),
        (lambda batch: np.where(batch.std() > 1, np.inf, 0) * np.ones((len(batch), CLASSES)), "not_finite"),
        (lambda batch: np.zeros((len(batch), CLASSES + 1)), "class_count"),
        (lambda batch: np.zeros(len(batch)), "class_scores"),
        (lambda batch: np.zeros((len(batch), CLASSES, 7, 7)), "class_scores"),
        (lambda batch: np.zeros((len(batch) + 1, CLASSES)), "class_scores"),
        (lambda batch: np.full((len(batch), CLASSES), "cat"), "class_scores"),
        (lambda _: np.zeros((1, CLASSES)), "class_scores"),
    ],
)
def test_refused(run: Callable[[Array], Array], word: str) -> None:
    """Anything but one finite score for each class of each image is refused."""
    assert reason(run) == word


def test_flat_and_unlabelled() -> None:
    """Scores may have two more axes of length one, and without labels any number of classes will do."""
    outcome = smoke_test(lambda batch: np.asarray(batch.mean(axis=(2, 3), keepdims=True)), spec(classes=0))

    assert outcome.scores.shape == (4, 3)


@pytest.mark.parametrize("classes", [0, 1, 2])
def test_one_score(classes: int) -> None:
    """One score is one of two classes, with both their labels, one or none."""
    assert smoke_test(
        lambda batch: batch.mean(axis=(1, 2, 3))[:, None], spec(classes=classes)
    ).scores.shape == (
        4,
        1,
    )


def test_one_score_and_more_labels() -> None:
    """One score does not tell three classes apart, and a graph that tells of one score gives one."""
    binary = dataclasses.replace(spec(classes=2), binary=True)

    assert reason(lambda batch: batch.mean(axis=(1, 2, 3))[:, None], classes=3) == "class_count"
    with pytest.raises(Refused):
        smoke_test(lambda batch: np.asarray(batch.mean(axis=(2, 3)))[:, :2], binary)


def test_too_many_classes() -> None:
    """Without labels there is an end to what may be numbered."""
    assert reason(lambda batch: np.ones((len(batch), 100_001)), classes=0) == "class_count"


def test_warnings() -> None:
    """Scores that never change, and such as depend on the other images, are pointed out."""
    constant = smoke_test(lambda batch: np.tile([1.0, 2.0, 3.0], (len(batch), 1)), spec())
    mixed = smoke_test(lambda batch: colours(batch) - batch.mean(), spec())

    assert constant.warnings == ("The model gives the same scores for different images.",)
    assert mixed.warnings == ("The model's scores for an image depend on the other images in the batch.",)


def test_photograph() -> None:
    """The made-up photograph is always the same, and has colours, edges and grain."""
    pixels = np.asarray(photograph())

    assert np.array_equal(pixels, np.asarray(photograph()))
    assert pixels.shape == (240, 320, 3)
    assert pixels.std(axis=(0, 1)).min() > 20


CPU = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]], np.float32)


def test_best() -> None:
    """The five best classes of each image are kept with their scores, the best first."""
    (answer,) = best(np.arange(8, dtype=np.float16)[np.newaxis])

    assert list(answer.classes) == [7, 6, 5, 4, 3]
    assert list(answer.scores) == [7, 6, 5, 4, 3]
    assert answer.spread == 7


@pytest.mark.parametrize("scores", [CPU, CPU + 0.001, CPU * 1.005])
def test_alike(scores: npt.NDArray[np.float32]) -> None:
    """What rounding explains is no difference."""
    assert differences(best(CPU), best(scores)) == []


@pytest.mark.parametrize("scores", [np.zeros((2, 3)), np.ones((2, 1))])
def test_without_spread(scores: npt.NDArray[np.float64]) -> None:
    """Scores that are all the same are no other than themselves."""
    assert differences(best(scores), best(scores)) == []


def test_one_score_of_two_devices() -> None:
    """A single score of each image differs by a share of what lies between those of all images."""
    one = np.array([[0.0], [10.0]])

    assert differences(best(one), best(one + 0.1)) == []
    assert differences(best(one), best(one + 1)) == [
        "The scores on the GPU differ from those on the CPU by up to 10% of their range."
    ]


def test_ties() -> None:
    """Two classes that are as good as equal may change places."""
    one, other = np.array([[0.5, 0.499, 0.0]]), np.array([[0.499, 0.5, 0.0]])

    assert differences(best(one), best(other)) == []


def test_other_class() -> None:
    """Another best class is counted."""
    other = CPU[:, ::-1].copy()
    other[0] = CPU[0]

    assert differences(best(CPU), best(other)) == [
        "The GPU predicts a different class than the CPU for 1 of 2 test images."
    ]


def test_other_scores() -> None:
    """The same class with quite another score is told, as a share of the range."""
    assert differences(best(CPU), best(np.where(CPU == 0.7, 0.76, CPU))) == [
        "The scores on the GPU differ from those on the CPU by up to 10% of their range."
    ]


def test_extremes() -> None:
    """Scores at the ends of what a number can be are compared as well."""
    wide = np.array([[1.7e308, -1.7e308]])

    assert differences(best(wide), best(wide)) == []
    assert len(differences(best(wide), best(-wide))) == 1


def test_other_form() -> None:
    """Answers that cannot be compared are pointed out, too."""
    assert differences(best(CPU), best(CPU[:, :2])) == [
        "The GPU gives a different number of scores than the CPU."
    ]
