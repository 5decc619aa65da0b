"""What a model is: its tensors, preprocessing, activation and labels, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from predictor.image.preprocess import Preprocessing
from predictor.model.labels import Label

Activation = Literal["none", "softmax", "sigmoid"]
ACTIVATIONS: tuple[Activation, ...] = ("none", "softmax", "sigmoid")


@dataclass(frozen=True)
class Tensor:
    """An input or output of the graph.

    Attributes:
        name: its name in the graph.
        dtype: element type as numpy names it, such as `uint8` or `float32`.
        shape: lengths of the axes; None where an axis is free.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def to_json(self) -> dict[str, Any]:
        """Name, dtype and shape; -1 marks a free axis, as the Open Inference Protocol has it."""
        return {"name": self.name, "dtype": self.dtype, "shape": [-1 if n is None else n for n in self.shape]}


@dataclass(frozen=True)
class Graph:
    """What an ONNX file says of itself: its tensors and its metadata."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """How to feed a model and how to read its answer.

    Attributes:
        image: the input that takes the picture.
        scores: the output that holds one score for each class, shape [batch, classes].
        preprocessing: how a picture becomes the input.
        activation: what is still to be applied to the scores; `none` if they are probabilities.
        labels: the classes in order of their index.
        reasons: for each of these choices, one sentence saying where it came from.
    """

    image: Tensor
    scores: Tensor
    preprocessing: Preprocessing
    activation: Activation
    labels: tuple[Label, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def batch(self) -> int | None:
        """The graph's fixed batch size; None if any number of pictures may run together."""
        return self.image.shape[0]

    def to_json(self) -> dict[str, Any]:
        """The spec for people and scripts: without the labels, which can be many, but with their count."""
        return {
            "inputs": [self.image.to_json()],
            "outputs": [self.scores.to_json()],
            "preprocessing": self.preprocessing.to_json(),
            "activation": self.activation,
            "classes": len(self.labels),
            "reasons": dict(self.reasons),
        }
