"""What a model is: its tensors, preprocessing, activation and labels, as one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from predictor.errors import InvalidModel
from predictor.image.preprocess import Preprocessing
from predictor.model.calibration import Calibration
from predictor.model.labels import Label
from predictor.model.strict_text import shown, some

Activation = Literal["none", "softmax", "sigmoid"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
Evidence = Literal["given", "seen", "assumed"]
Last = Literal["softmax", "sigmoid", "linear"]
_MAX_LISTED = 4


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

    @property
    def columns(self) -> int | None:
        """Numbers that an output holds for each image of a batch; None if the file does not say."""
        return next((length for length in self.shape[1:] if length != 1), 1)

    @property
    def is_flat(self) -> bool:
        """Whether an output has one axis beside that of the batch, and else only axes of length 1."""
        return len(self.shape) > 1 and sum(length != 1 for length in self.shape[1:]) <= 1

    def to_json(self) -> dict[str, Any]:
        """Name, dtype and shape; -1 marks a free axis, as the Open Inference Protocol has it."""
        return {"name": self.name, "dtype": self.dtype, "shape": [-1 if n is None else n for n in self.shape]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Tensor":
        """Read the form that `to_json` writes.

        Raises:
            KeyError, TypeError, ValueError: the value is of another form.
        """
        shape = tuple(None if n == -1 else int(n) for n in value["shape"])
        return cls(str(value["name"]), str(value["dtype"]), shape)


@dataclass(frozen=True)
class Graph:
    """What an ONNX file says of itself: its tensors and its metadata."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Structure:
    """What the nodes of a graph show; None where they show nothing.

    Attributes:
        layout: whether the channels of the image's input are its last axis or its second.
        channels: how many channels the image's input has.
        factor: what the graph multiplies each channel of its input with before the first layer that learns.
        offset: what it adds to each channel then.
        backwards: whether the first layer that learns gets the channels of the input in reverse.
        last: for each output, the kind of the operator that makes it: `softmax`, `sigmoid` or `linear`.
        chosen: for each output that tells no scores but the best classes (`ArgMax`, `TopK`) or integers that
            stand for scores, the tensor with the scores that it was made of.
        warnings: sentences for the uploader about operators that are in training mode.
        tensorflow: whether the file was converted from TensorFlow, whose tools stretch images.
    """

    layout: Literal["NCHW", "NHWC"] | None = None
    channels: int | None = None
    factor: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None
    backwards: bool = False
    last: Mapping[str, Last] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    tensorflow: bool = False


NOTHING_SEEN = Structure()
"""Nobody looked at the nodes, or they show nothing."""


@dataclass(frozen=True)
class ModelSpec:
    """How to feed a model and how to read its answer.

    Attributes:
        image: the input that takes the image.
        scores: the output that holds one score for each class, shape [batch, classes], perhaps with more
            axes of length 1; a single one, shape [batch] or [batch, 1], is that of the second of two.
        preprocessing: how an image becomes the input.
        activation: what is still to be applied to the scores; `none` if they are confidences already.
        labels: the classes in order of their index; empty while nothing says how many there are.
        reasons: for each of these choices, one sentence saying where it came from.
        multi_label: whether the confidences are independent, so that any number of classes may apply.
        binary: whether a single score tells two classes apart.
        warnings: sentences for the uploader, such as that something had to be assumed.
        evidence: where the activation came from: `given` by the uploader, `seen` in the graph's nodes or
            `assumed`. It matters only while a model is tried, and is not part of the JSON form.
        calibration: what makes calibrated confidences of the scores; None for none. It is kept apart from the
            rest, and not part of the JSON form.
    """

    image: Tensor
    scores: Tensor
    preprocessing: Preprocessing
    activation: Activation
    labels: tuple[Label, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)
    multi_label: bool = False
    binary: bool = False
    warnings: tuple[str, ...] = ()
    evidence: Evidence = field(default="given", compare=False)
    calibration: Calibration | None = None

    @property
    def independent(self) -> bool:
        """Whether each class has a confidence of its own, which a sigmoid makes of its logit."""
        return not self.binary and (self.multi_label or self.activation == "sigmoid")

    @property
    def batch(self) -> int | None:
        """The graph's fixed batch size; None if any number of images may run together."""
        return self.image.shape[0]

    @property
    def names(self) -> tuple[str, str]:
        """The names of the input that takes the image and of the output that holds the scores."""
        return self.image.name, self.scores.name

    def to_json(self) -> dict[str, Any]:
        """The spec for people and scripts: without the labels, which can be many, but with their count."""
        return {
            "inputs": [self.image.to_json()],
            "outputs": [self.scores.to_json()],
            "preprocessing": self.preprocessing.to_json(),
            "activation": self.activation,
            "multi_label": self.multi_label,
            "binary": self.binary,
            "classes": len(self.labels),
            "reasons": dict(self.reasons),
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], labels: tuple[Label, ...]) -> "ModelSpec":
        """Read the form that `to_json` writes.

        Args:
            value: the JSON form.
            labels: the classes, which are kept elsewhere.

        Raises:
            InvalidModel: the value is of another form, or there are not as many labels as it says.
        """
        try:
            spec = cls(
                image=Tensor.from_json(value["inputs"][0]),
                scores=Tensor.from_json(value["outputs"][0]),
                preprocessing=Preprocessing.from_json(value["preprocessing"]),
                activation=_activation(value["activation"]),
                labels=labels,
                reasons={str(what): str(why) for what, why in value.get("reasons", {}).items()},
                multi_label=bool(value.get("multi_label", False)),
                binary=bool(value.get("binary", False)),
                warnings=tuple(map(str, value.get("warnings", ()))),
            )
            classes = value["classes"]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise InvalidModel("The stored description of the model is invalid.") from error
        if classes != len(labels):
            raise InvalidModel(f"The model has {classes} classes, but {len(labels)} labels came with it.")
        return spec


def _activation(name: object) -> Activation:
    if name not in ACTIVATIONS:
        raise ValueError("activation is unknown")
    return name


def calibrated(spec: ModelSpec, text: str | None) -> ModelSpec:
    """A spec with the calibration that a text says, if there is one.

    Raises:
        InvalidModel: the text cannot be read, or does not fit the model.
    """
    if text is None:
        return spec
    found = Calibration.parse(text, len(spec.labels), independent=spec.independent)
    return replace(spec, calibration=found)


def listed(tensors: Sequence[Tensor]) -> str:
    """A few tensors with the lengths of their axes, as they stand in a sentence."""
    return some([f"{shown(tensor.name)} {lengths(tensor)}" for tensor in tensors], _MAX_LISTED)


def lengths(tensor: Tensor) -> str:
    """The lengths of a tensor's axes, a question mark for one that is free."""
    return f"[{', '.join('?' if length is None else str(length) for length in tensor.shape)}]"
