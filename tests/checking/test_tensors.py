"""Inputs that take no images and outputs that hold no numbers are named, with what to do."""

import pytest

from predictor.checking.report import Refused
from predictor.checking.tensors import check_tensors
from predictor.model.spec import Graph, Tensor

IMAGE = Tensor("x", "float32", (None, 3, 8, 8))
SCORES = Tensor("y", "float32", (None, 5))


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
            "among its inputs x [?, 3], z [7]. Export it with one input of four axes",
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
