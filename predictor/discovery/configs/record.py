"""A JSON object of a known form, whose fields are checked as they are read."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from predictor.image.validators import MAX_SIDE
from predictor.model.strict_json import shown


class Record:
    """The fields of an object. A field that is null counts as left out.

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
        for name in value:
            if name not in known:
                raise ValueError(f"{self._prefix}{shown(name)} is unknown.")
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
