"""JSON that says one thing only: no field twice, no NaN, no half of a character."""

import json
import re
from typing import Any

_SHOWN = re.compile(r"[\w .,:/()+-]{1,64}")


def loads(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, or a field stands in it twice, or it holds NaN or an infinity; the
            sentence is fit for the caller.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_not_a_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"It is not valid JSON, see line {error.lineno}.") from error
    except RecursionError as error:
        raise ValueError("It is not valid JSON: too many brackets lie inside each other.") from error
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
        raise ValueError(f"The field {shown(twice)} stands in it twice.")
    return fields


def _not_a_number(name: str) -> float:
    raise ValueError(f"{name} is not a number that JSON knows.")
