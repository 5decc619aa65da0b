"""JSON that says one thing only: no field twice, no NaN, no number that no machine computes with."""

import json
import math
import re
from typing import Any

_MAX_DIGITS = 100
_SHOWN = re.compile(r"[\w .,:/()+-]{1,64}")


def loads(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, or a field stands in it twice, or it holds NaN, an infinity or a whole
            number of more than 100 digits; the sentence is fit for the caller.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_not_a_number,
            parse_int=_whole,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"The JSON is invalid at line {error.lineno}.") from error
    except RecursionError as error:
        raise ValueError("The JSON is invalid: brackets are nested too deeply.") from error
    return value


def shown(name: object) -> str:
    """A name from a file, if it is fit to stand in a sentence."""
    text = str(name)
    return text if _SHOWN.fullmatch(text) else "one whose name cannot be shown"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen = set[str]()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"The field {shown(twice)} is defined twice.")
    return fields


def _not_a_number(name: str) -> float:
    raise ValueError(f"{name} is not a valid JSON number.")


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"A number has more than {_MAX_DIGITS} digits.")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("A number is too large.")
    return value
