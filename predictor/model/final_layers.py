"""How a network ends whose scores are a linear layer of averaged features; more outputs for a model."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

# Protocol Buffers: the numbers of `ModelProto.graph`, `GraphProto.output` and `ValueInfoProto.name`.
_GRAPH, _OUTPUT, _NAME = 7, 12, 1
_BYTES = 2


@dataclass(frozen=True)
class FinalLayers:
    """The names of the tensors at the end of a network that averages its features over all places.

    Attributes:
        features: what is averaged, of shape [batch, channels, height, width] or [batch, height, width,
            channels].
        last: whether the channels are the last axis.
        logits: the scores before an activation.
        weights: of the linear layer; None where the averages are the scores themselves.
        by_channel: whether the first axis of the weights is that of the channels, and not that of the
            classes.
        missing: those of these tensors that are no outputs of the graph yet.
    """

    features: str
    last: bool
    logits: str
    weights: str | None = None
    by_channel: bool = False
    missing: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tensors that a session must have as outputs: logits, features and weights, if there are any."""
        return (self.logits, self.features, *([] if self.weights is None else [self.weights]))

    def beside(self, outputs: Collection[str]) -> "FinalLayers":
        """The same for a graph that has these outputs."""
        return replace(self, missing=tuple(name for name in self.outputs if name not in outputs))

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "FinalLayers":
        """Read the form that `to_json` writes.

        Raises:
            TypeError, KeyError: a field is missing or unknown.
        """
        return cls(**{**value, "missing": tuple(value["missing"])})


def with_outputs(model: bytes, names: Iterable[str]) -> bytes:
    """An ONNX model with more of its tensors as outputs.

    Two messages of Protocol Buffers one after the other are read as one that has the fields of both, and the
    lists of the second after those of the first. So a model is not taken apart for that, which would need
    much more memory.

    Args:
        model: the bytes of a file.
        names: of tensors that are no outputs yet; the runtime finds their types itself.
    """
    outputs = (_field(_OUTPUT, _field(_NAME, name.encode())) for name in names)
    return model + _field(_GRAPH, b"".join(outputs))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _whole_number(len(content)) + content


def _whole_number(value: int) -> bytes:
    """A number of seven bits a byte, the lowest first; the highest bit says that more follow."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _whole_number(rest) if rest else bytes([low])
