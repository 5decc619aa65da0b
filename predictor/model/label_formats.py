"""The forms in which people keep the names of a model's classes -> raw entries in order of their index.

JSON (lists, index to name, name to index, and files that hold one of these) and the dict that Python
prints are read here, CSV and plain text by `label_lines`. An entry is a text, a list or an object, as it
stood there.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any

from predictor.model import label_lines, strict_json
from predictor.model.label_lines import in_order

# Fields of larger files that hold the names, the surest first.
_INSIDE = (
    "id2label",
    "labels",
    "label_names",
    "class_names",
    "classes",
    "names",
    "categories",
    "class_to_idx",
    "label2id",
)
_PRINTED_ENTRY = re.compile(r"""\s*(\d{1,9})\s*:\s*('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")\s*""")
_INDEX = re.compile(r"\d{1,9}")


def entries(text: str) -> list[Any]:
    """The entries of a labels file, whichever form it has.

    Raises:
        ValueError: it has none of them, or has gaps; the sentence names the entry.
    """
    start = text.lstrip()[:1]
    if start == "{" and (printed := _printed(text)) is not None:
        return in_order(printed)
    if start in ("[", "{"):
        return _from_json(strict_json.loads(text))
    return label_lines.entries(text)


def _printed(text: str) -> dict[int, str] | None:
    """A dict from numbers to texts as Python prints it; None if it is none."""
    body = text.strip()
    if not re.match(r"\{\s*\d{1,9}\s*:\s*['\"]", body) or not body.endswith("}"):
        return None
    found, place = dict[int, str](), 1
    while match := _PRINTED_ENTRY.match(body, place):
        number = int(match[1])
        if number in found:
            raise ValueError(f"Label {number} is defined twice.")
        found[number] = match[2]
        place = match.end() + 1
        if body[match.end()] == "}":
            break
        if body[match.end()] != ",":
            raise ValueError(f"The text after label {number} cannot be parsed.")
    if body[place - 1 :].strip(" \n\r\t,") not in ("}", ""):
        raise ValueError("The text is not a list of numbers and names.")
    return dict(zip(found, _unquoted(list(found.values())), strict=True))


def _unquoted(printed: list[str]) -> list[str]:
    """Texts from the form in which Python prints them; each is known to be nothing but a text in quotes."""
    if not any("\\" in one for one in printed):
        return [one[1:-1] for one in printed]
    try:
        return list(ast.literal_eval(f"[{','.join(printed)}]"))
    except (SyntaxError, ValueError) as error:
        raise ValueError("A label has an invalid backslash escape.") from error


def inside(value: Mapping[str, Any]) -> list[Any] | dict[str, Any] | None:
    """The part of a tool's larger file that holds the names; None if nothing looks like it."""
    candidates = (value.get(name) for name in _INSIDE)
    return next((one for one in candidates if isinstance(one, list | dict) and one), None)


def _from_json(value: Any) -> list[Any]:
    if isinstance(value, list):
        return _from_list(value)
    if (inner := inside(value)) is not None:
        return _described(_from_json_at(inner), value)
    return _from_json_at(value)


def _from_json_at(value: Any) -> list[Any]:
    if isinstance(value, list):
        return _from_list(value)
    if not value:
        raise ValueError("The list of labels is empty.")
    if all(_INDEX.fullmatch(key) for key in value) and not all(type(one) is int for one in value.values()):
        return in_order({int(key): entry for key, entry in _different(value)})
    return _by_name(value)


def _different(value: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    seen = set[int]()
    for key, entry in value.items():
        if int(key) in seen:
            raise ValueError(f"Label {int(key)} is defined twice.")
        seen.add(int(key))
        yield key, entry


def _by_name(value: Mapping[str, Any]) -> list[Any]:
    found = dict[int, str]()
    for name, index in value.items():
        number = int(index) if isinstance(index, str) and _INDEX.fullmatch(index) else index
        if type(number) is not int:
            raise ValueError(f"{strict_json.shown(name)} is neither a class number nor maps to one.")
        if number in found:
            raise ValueError(f"Label {number} is defined twice.")
        found[number] = name
    return in_order(found)


def _from_list(value: list[Any]) -> list[Any]:
    """A list of entries, which may say their own indices."""
    if not value or not all(isinstance(entry, dict) for entry in value):
        return value
    for name in ("index", "id"):
        if all(type(entry.get(name)) is int for entry in value):
            numbers = [entry[name] for entry in value]
            if len(set(numbers)) < len(numbers):
                raise ValueError(f"Two labels have the same {name}.")
            return in_order({entry[name]: _without(entry, name) for entry in value})
    return value


def _without(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: one for key, one in entry.items() if key != name}


def _described(found: list[Any], value: Mapping[str, Any]) -> list[Any]:
    """The fields of timm keep identifiers as names and the names as their descriptions."""
    words = value.get("label_descriptions")
    if not isinstance(words, dict):
        return found
    return [
        {"name": words[one], "id": one} if isinstance(one, str) and one in words else one for one in found
    ]
