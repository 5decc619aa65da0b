"""What a configuration declares of a preprocessing, and how its fields are read and checked."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from predictor.image.validators import MAX_SIDE
from predictor.model.spec import Activation
from predictor.model.strict_text import nearest, shown


@dataclass(frozen=True)
class DeclaredPreprocessing:
    """What was declared about a model; what is left out was not declared.

    Attributes:
        source: where it was declared, as it stands in a sentence.
        values: fields of `Preprocessing` by their names, but `size` for height and width, and perhaps
            `crop_pct`, the part of the resized image that the cut keeps, in place of `resize_to`.
            `mean` and `std` may have one number for all channels.
        names: how the source calls those of these fields that it calls otherwise.
        exact: whether the values describe the tensor itself, so that they hold whatever the graph does
            with it. The configurations of other tools describe what the network was trained on.
        output: the output that holds the class scores.
        activation: what is to be applied to them.
        multi_label: whether any number of classes may apply.
        warnings: sentences for the uploader.
        foreign: whether another tool wrote it into the model, so that the model is served without it if it
            cannot be used.
    """

    source: str
    values: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)
    exact: bool = False
    output: str | None = None
    activation: Activation | None = None
    multi_label: bool | None = None
    warnings: tuple[str, ...] = ()
    foreign: bool = False

    @property
    def silent(self) -> bool:
        """Whether nothing was declared of the images."""
        return not self.values

    def name(self, value: str) -> str:
        """How the source calls a field."""
        return self.names.get(value, value)


EMPTY = DeclaredPreprocessing("nothing", {})
"""Nothing was declared."""


Triple = tuple[float, float, float]

IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of ImageNet's images; torchvision's."""

HALF: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Shifts the pixels to -1 to 1; called Inception's."""

CLIP: tuple[Triple, Triple] = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)
"""Of CLIP's images."""

CAFFE_MEAN: Triple = (103.939, 116.779, 123.68)
"""Of ImageNet's pixels from 0 to 255, blue first."""

SCALE = 1 / 255
"""Brings pixels to 0 to 1."""
OWN = (
    '{"size": 224, "resize": "stretch", "interpolation": "linear", "scale": 0.00392156862745098, '
    '"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]} is A.Resize(224, 224), A.Normalize()'
)
"""How to say in our own JSON what albumentations do by default, for sentences."""


class Record:
    """The fields of an object. A field that is null counts as left out, whatever its name.

    Args:
        value: the object.
        known: the names that its fields may have.
        within: the name of the field that holds the object, if it is not the outermost.

    Raises:
        ValueError: a field is unknown. Every method raises it if a field is of another kind than is asked
            for; the sentence begins with the field's name.
    """

    def __init__(self, value: Mapping[str, Any], known: Collection[str], within: str = "") -> None:
        self._prefix = f"{within}." if within else ""
        for name, entry in value.items():
            if name not in known and entry is not None:
                near = nearest(str(name), map(str, known))
                hint = f"; did you mean {self._prefix}{near}?" if near else "."
                raise ValueError(f"{self._prefix}{shown(name)} is unknown{hint}")
        self._value = {name: entry for name, entry in value.items() if entry is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def get(self, name: str, default: Any = None) -> Any:
        """The field as it stands."""
        return self._value.get(name, default)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return value

    def text(self, name: str, default: str, choices: Collection[str] = ()) -> str:
        """A text, perhaps one of a few, which are compared in lower case."""
        value = self.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, "must be a string")
        if choices and value.lower() not in choices:
            raise self.wrong(name, f"must be one of {', '.join(choices)}")
        return value.lower() if choices else value

    def number(self, name: str, default: float) -> float:
        """A finite number."""
        value = self.get(name, default)
        if not _is_number(value):
            raise self.wrong(name, "must be a number")
        return float(value)

    def part(self, name: str, default: float) -> float:
        """A part of a side that leaves at least a pixel: 1 at most."""
        value = self.number(name, default)
        if not 1 / MAX_SIDE <= value <= 1:
            raise self.wrong(name, f"must be from 1/{MAX_SIDE} to 1")
        return value

    def numbers(self, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """One to four finite numbers; a single one may stand without brackets."""
        value = self.get(name, list(default))
        values = value if isinstance(value, list) else [value]
        if not 1 <= len(values) <= 4 or not all(map(_is_number, values)):
            raise self.wrong(name, "must be a list of a number for each channel")
        return tuple(map(float, values))

    def side(self, name: str) -> int:
        """A length in pixels; the field must be there."""
        if name not in self:
            raise self.wrong(name, "is missing")
        return self.as_side(name, self.get(name))

    def as_side(self, name: str, value: object) -> int:
        """A value of the field as a length in pixels."""
        if type(value) is not int or not 1 <= value <= MAX_SIDE:
            raise self.wrong(name, f"must be a whole number from 1 to {MAX_SIDE}")
        return value

    def sides(self, name: str) -> tuple[int, ...]:
        """One to three lengths in pixels; a single one may stand without brackets."""
        value = self.get(name)
        values = value if isinstance(value, list) else [value]
        if not 1 <= len(values) <= 3:
            raise self.wrong(name, "must be a length, or a list of height and width")
        return tuple(self.as_side(name, side) for side in values)

    def wrong(self, name: str, what: str) -> ValueError:
        """The exception that says what is wrong with a field."""
        return ValueError(f"{self._prefix}{name} {what}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
