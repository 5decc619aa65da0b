"""What makes confidences as high as the accuracy, and which of them are enough to name a class."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.errors import InvalidModel
from predictor.model import strict_text

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
"""Between these a temperature is searched, and accepted."""

_FIELDS = {"temperature", "temperatures", "threshold", "thresholds"}


@dataclass(frozen=True)
class Calibration:
    """The temperatures by which logits are divided, and the least confidences of classes that are named.

    Attributes:
        temperatures: one for all classes, or one for each.
        thresholds: none, one for all classes, or one for each; 0 to 1.
    """

    temperatures: tuple[float, ...] = (1.0,)
    thresholds: tuple[float, ...] = ()

    def threshold(self, index: int) -> float:
        """The least confidence with which a class is named."""
        if not self.thresholds:
            return 0.0
        return self.thresholds[index if len(self.thresholds) > 1 else 0]

    def scaled(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Logits divided by the temperatures, shape [..., classes]."""
        return np.asarray(logits / np.array(self.temperatures))

    def to_json(self) -> dict[str, Any]:
        """The form that `parse` reads: `temperature` or `temperatures`, `threshold` or `thresholds`."""
        found: dict[str, Any] = _one_or_many("temperature", self.temperatures)
        return found | (_one_or_many("threshold", self.thresholds) if self.thresholds else {})

    @classmethod
    def parse(cls, text: str, classes: int | None, *, independent: bool) -> "Calibration":
        """Read the JSON form.

        Args:
            text: a JSON object.
            classes: how many the model has; None if that is not known yet.
            independent: whether its confidences are independent, so that each may have a temperature.

        Raises:
            InvalidModel: it is of another form, or does not fit the model; the sentence says where.
        """
        try:
            value = strict_text.load_json(text)
        except ValueError as error:
            raise InvalidModel(f"The calibration cannot be read. {error}") from error
        if not isinstance(value, dict):
            raise InvalidModel("The calibration must be a JSON object.")
        if strange := sorted(value.keys() - _FIELDS):
            name = strict_text.shown(strange[0])
            raise InvalidModel(f"The calibration: {name} is not a field; use {', '.join(sorted(_FIELDS))}.")
        temperatures = _numbers(value, "temperature", classes, MIN_TEMPERATURE, MAX_TEMPERATURE) or (1.0,)
        if len(temperatures) > 1 and not independent:
            raise InvalidModel(
                "The calibration: temperatures are for models whose classes are independent; use temperature."
            )
        thresholds = _numbers(value, "threshold", classes, 0.0, 1.0)
        return cls(temperatures, thresholds)

    def text(self) -> str:
        """The JSON form as text."""
        return json.dumps(self.to_json(), indent=1) + "\n"


def _one_or_many(name: str, numbers: tuple[float, ...]) -> dict[str, Any]:
    return {name: numbers[0]} if len(numbers) == 1 else {f"{name}s": list(numbers)}


def _numbers(
    value: Mapping[str, Any], name: str, classes: int | None, least: float, most: float
) -> tuple[float, ...]:
    """One number, one for each class, or none."""
    one, many = value.get(name), value.get(f"{name}s")
    if one is not None and many is not None:
        raise InvalidModel(f"The calibration: give either {name} or {name}s.")
    if many is not None and (not isinstance(many, list) or len(many) != (classes or len(many))):
        count = f"{classes} numbers" if classes else "numbers"
        raise InvalidModel(f"The calibration: {name}s must be a list of {count}, one for each class.")
    found: list[Any] = many or ([] if one is None else [one])
    for number in found:
        if type(number) not in {int, float} or not least <= number <= most:
            raise InvalidModel(f"The calibration: each {name} must be a number from {least:g} to {most:g}.")
    return tuple(map(float, found))
