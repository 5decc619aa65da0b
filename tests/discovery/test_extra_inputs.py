"""Constants that an exporter left among the inputs are named, and the way to mend that works."""

import numpy as np
import onnxruntime
import pytest
from onnx import numpy_helper, parser

from predictor.discovery.signature import image_input
from predictor.errors import InvalidModel
from predictor.model.spec import Graph, Tensor

IMAGE = Tensor("keras_tensor", "float32", (None, 224, 224, 3))
MEAN = Tensor("functional/normalization/Sub/y:0", "float32", (1, 1, 1, 3))
DEVIATION = Tensor("functional/normalization/Sqrt/x:0", "float32", (1, 1, 1, 3))


def refusal(*inputs: Tensor) -> str:
    """What is said of a graph with these inputs."""
    with pytest.raises(InvalidModel) as raised:
        image_input(Graph(inputs, ()))
    assert len(raised.value.detail) < 500
    return raised.value.detail


@pytest.mark.parametrize("inputs", [(IMAGE, MEAN, DEVIATION), (MEAN, IMAGE, DEVIATION)])
def test_constants(inputs: tuple[Tensor, ...]) -> None:
    """The input for images is told from the others, which are named wherever they stand."""
    sentence = refusal(*inputs)

    assert f"beside {IMAGE.name} it has {MEAN.name}, {DEVIATION.name}." in sentence
    assert "model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))" in sentence


def test_initializers() -> None:
    """With an initializer of its name, an input need not be given, and is none any more."""
    graph = "g (float[N,4,4,3] image, float[1,1,1,3] mean) => (float[N,4,4,3] y) { y = Sub(image, mean) }"
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {graph}')

    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 1, 1, 3), np.float32), "mean"))

    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert [one.name for one in session.get_inputs()] == ["image"]


def test_more_than_are_named() -> None:
    """Two names are enough, however long they are."""
    others = [Tensor(str(number) * 64, "float32", (3,)) for number in range(9)]

    assert f"it has {others[0].name}, {others[1].name} and 7 more. " in refusal(IMAGE, *others)


def test_several_images() -> None:
    """Of several inputs for images none is preferred."""
    assert refusal(IMAGE, Tensor("right", "float32", (None, 3, 64, 64))).endswith(
        "but has 2: keras_tensor, right."
    )


def test_names_that_cannot_be_shown() -> None:
    """What is no name is not repeated."""
    assert "it has one whose name cannot be shown. " in refusal(IMAGE, Tensor("<b>", "float32", (3,)))


def test_no_images() -> None:
    """A batch of no images is nothing to try a model with."""
    assert refusal(Tensor("image", "float32", (0, 3, 8, 8))).startswith("The model's input takes 0 images.")
