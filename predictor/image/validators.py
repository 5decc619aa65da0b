"""Checks of the fields that a preprocessing has; each sentence begins with the field's name."""

from typing import Any

MAX_SIDE = 4096
# What float32 can hold, by IEEE 754.
_LARGEST = (2 - 2**-23) * 2.0**127


def check_side(name: str, value: object) -> None:
    """Raise ValueError unless the value is a length in pixels."""
    if type(value) is not int or not 1 <= value <= MAX_SIDE:
        raise ValueError(f"{name} must be a whole number from 1 to {MAX_SIDE}.")


def check_numbers(name: str, values: tuple[object, ...], count: int) -> None:
    """Raise ValueError unless there are `count` numbers that float32 can hold."""
    if len(values) != count:
        raise ValueError(f"{name} must have {count} number{'s' if count > 1 else ''}.")
    if not all(_is_number(value) for value in values):
        raise ValueError(f"{name} must be finite, as a 32-bit floating-point number.")


def check_colour(values: tuple[object, ...]) -> None:
    """Raise ValueError unless the values are red, green and blue, 0 to 255."""
    if len(values) != 3 or not all(type(value) is int and 0 <= value <= 255 for value in values):
        raise ValueError("fill must be three whole numbers from 0 to 255.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def sequence(name: str, value: object) -> tuple[Any, ...]:
    """A JSON list as a tuple; ValueError if it is none."""
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list.")  # noqa: TRY004 - one error for every bad form
    return tuple(value)


def pair(name: str, value: object) -> tuple[Any, Any]:
    """A JSON list of height and width; ValueError if it is none."""
    if len(both := sequence(name, value)) != 2:
        raise ValueError(f"{name} must be a list of height and width.")
    return both[0], both[1]
