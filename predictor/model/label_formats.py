"""The forms in which people keep the names of a model's classes -> raw entries in order of their index.

JSON and YAML (lists, index to name, name to index, and files that hold one of these) are read here, what
Python prints, label maps in protobuf's text format, CSV and plain text by the modules beside this one. An
entry is a text, a list or an object, as it stood there.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from predictor.model import label_lines, label_texts, strict_text
from predictor.model.label import NAMES
from predictor.model.label_table import NUMBER_NAMES, Entries, complete

INSIDE = (
    "id2label",
    "labels",
    "label_names",
    "class_names",
    "classes",
    "names",
    "categories",
    "class_to_idx",
    "label2id",
    "label_list",
    "label_map",
    "class_indices",
    "idx_to_class",
)
"""Fields of larger files, and keys of metadata, that hold the names, the surest first."""
_INDEX = re.compile(r"\d{1,9}")
_COMMENTS = re.compile(r"(?:\s*(?:#|//)[^\n]*+\n)*+")
# How a YAML file begins that is more than a list of lines: a field, or an entry that has fields.
_YAML_START = re.compile(r"(?:---|%YAML|[A-Za-z_][\w.-]*\s*:(?:\s|$)|- )")
_YAML_NAMES = re.compile(rf"^(?:{'|'.join(INSIDE)})\s*:\s*(?:[\[{{#&*!|>].*)?$", re.MULTILINE)
_NO_NAMES = "The file has no list of class names, such as names, labels or id2label."
_PBTXT_START = re.compile(r"item\s*:?\s*\{")


def entries(text: str) -> tuple[list[Any], int]:
    """The entries of a labels file, whichever form it has, and the number that its first class has.

    Raises:
        ValueError: it has none of them, or has gaps; the sentence names the entry.
    """
    found = _read(text.strip("\n\r \ufeff"))
    return (found, 0) if isinstance(found, list) else in_order(found)


def in_order(found: Mapping[int, Any]) -> tuple[list[Any], int]:
    """The entries by their numbers, and the first number: 0, or 1 if people counted them.

    Raises:
        ValueError: the numbers are not 0, 1, 2 and so on, or 1, 2, 3; the sentence names the first that is
            missing.
    """
    if not found:
        raise ValueError("The list of labels is empty.")
    first = 0 if 0 in found or not complete(found.keys()) else 1
    missing = next((index for index in range(first, first + len(found)) if index not in found), None)
    if missing is not None:
        last = max(found)
        raise ValueError(f"Label {missing} is missing, although label {last} is defined.")
    return [found[index] for index in range(first, first + len(found))], first


def inside(value: Mapping[str, Any]) -> list[Any] | dict[str, Any] | None:
    """The part of a tool's larger file that holds the names; None if nothing looks like it.

    It may be one level deeper, but not in the configuration of another network, such as `text_config`. Lobe
    has it in `classes.Label`, PaddleX in `PostProcess`, by the name of the step.
    """
    candidates = (one for where in _places(value) for name in INSIDE for one in _of(where, name))
    found = next((one for one in candidates if isinstance(one, list | dict) and one), None)
    if isinstance(found, dict) and isinstance(found.get("Label"), list):
        return list(found["Label"])
    return found


def _places(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The objects in which the names may be: the outermost, those in it, and PaddleX's steps."""
    steps = value.get("PostProcess")
    deeper = [one for name, one in value.items() if not name.endswith("config")]
    deeper += steps.values() if isinstance(steps, dict) else ()
    return [value, *(one for one in deeper if isinstance(one, dict))]


def _of(value: Mapping[str, Any], name: str) -> Iterable[Any]:
    """A field by its name, which configurations in capitals have as well."""
    return (value[one] for one in (name, name.upper()) if one in value)


def are_numbers(entries: Collection[Any]) -> bool:
    """Whether these are the numbers of all classes, each once, as numbers or as texts."""
    texts = [str(one) for one in entries if isinstance(one, str) or type(one) is int]
    return (
        len(texts) == len(entries) and all(map(_INDEX.fullmatch, texts)) and complete(list(map(int, texts)))
    )


def _read(text: str) -> Entries:
    plain = label_texts.bare(_COMMENTS.sub("", text, count=1).lstrip())
    if (printed := label_texts.of_printed(plain)) is not None:
        return printed
    if plain[:1] in ("[", "{"):
        return _from_value(_json_or_yaml(plain))
    if _PBTXT_START.match(plain):
        return label_texts.of_label_map(plain)
    if _YAML_START.match(plain) and (found := _from_yaml(plain)) is not None:
        return found
    return label_lines.entries(text)


def _json_or_yaml(text: str) -> Any:
    """The value of JSON, or of the lists and mappings in brackets that YAML has besides."""
    try:
        return strict_text.load_json(text)
    except ValueError as error:
        if not isinstance(error.__cause__, json.JSONDecodeError):
            raise
        try:
            return strict_text.load_yaml(text, texts=True)
        except ValueError:
            raise error from None


def _from_yaml(text: str) -> Entries | None:
    """The entries of a YAML file that holds names among other things, or of one of its lists; None if none.

    Raises:
        ValueError: it does, but cannot be read.
    """
    surely = _YAML_NAMES.search(text) is not None or text.startswith(("---", "%YAML"))
    try:
        value = strict_text.load_yaml(text, texts=True)
    except ValueError:
        if surely:
            raise
        return None
    if isinstance(value, list):
        return _from_yaml_list(value)
    nested = isinstance(value, dict) and any(isinstance(one, list | dict) for one in value.values())
    return _from_value(value) if surely or nested else None


def _from_yaml_list(value: list[Any]) -> Entries | None:
    """Names, or mappings that have one; None for anything else, which is no YAML then but lines of text."""
    if all(isinstance(entry, str) for entry in value):
        return value
    if all(isinstance(entry, dict) and {"name", "label"} & entry.keys() for entry in value):
        return _from_list([_numbered(entry) for entry in value])
    return None


def _from_value(value: Any) -> Entries:
    if isinstance(value, list):
        return _from_list(value)
    if not isinstance(value, dict):
        raise ValueError(_NO_NAMES)  # noqa: TRY004 - one error for every bad form
    if (inner := inside(value)) is not None:
        return _described(_from_list(inner) if isinstance(inner, list) else _from_mapping(inner), value)
    return _from_mapping(value)


def _from_mapping(value: Mapping[str, Any]) -> Entries:
    if not value:
        raise ValueError("The list of labels is empty.")
    if all(_INDEX.fullmatch(key) for key in value) and not all(type(one) is int for one in value.values()):
        return {int(key): entry for key, entry in _different(value)}
    return _by_name(value)


def _different(value: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    seen = set[int]()
    for key, entry in value.items():
        if int(key) in seen:
            raise ValueError(f"Label {int(key)} is defined twice.")
        seen.add(int(key))
        yield key, entry


def _by_name(value: Mapping[str, Any]) -> dict[int, Any]:
    if any(isinstance(one, list | dict) for one in value.values()):
        raise ValueError(_NO_NAMES)
    found = dict[int, str]()
    for name, index in value.items():
        number = int(index) if isinstance(index, str) and _INDEX.fullmatch(index) else index
        if type(number) is not int:
            raise ValueError(f"{strict_text.shown(name)} is neither a class number nor maps to one.")
        if number in found:
            raise ValueError(f"Label {number} is defined twice.")
        found[number] = name
    return found


def _from_list(value: list[Any]) -> Entries:
    """A list of entries, which may say their own indices; numbers alone are names, as of digits."""
    if all(type(entry) is int for entry in value):
        return list(map(str, value))
    if not value or not all(isinstance(entry, dict) for entry in value):
        return value
    if (numbers := _complete_numbers(value)) is None:
        numbers = next(
            (name for name in NUMBER_NAMES if all(type(one.get(name)) is int for one in value)), None
        )
    if numbers is None:
        return value
    found = {int(entry[numbers]): _without(entry, numbers) for entry in value}
    if len(found) < len(value):
        raise ValueError(f"Two labels have the same {numbers}.")
    return found


def _complete_numbers(entries: list[dict[str, Any]]) -> str | None:
    """The field with the number of each class, whatever its name. Returns None if no field has that."""
    named = next((name for name in NAMES if name in entries[0]), None)
    for field in (*NUMBER_NAMES, *entries[0]):
        if not all(field in entry for entry in entries):
            continue
        values = [entry[field] for entry in entries]
        # Digits may be names.
        if are_numbers(values) and (field != named or type(values[0]) is int):
            return field
    return None


def _numbered(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a YAML list, where numbers are texts as well, with its own number as one."""
    return {
        key: int(one) if key in NUMBER_NAMES and _INDEX.fullmatch(str(one)) else one
        for key, one in entry.items()
    }


def _without(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: one for key, one in entry.items() if key != name}


def _described(found: Entries, value: Mapping[str, Any]) -> Entries:
    """The fields of timm keep identifiers as names and the names as their descriptions."""
    words = value.get("label_descriptions")
    if not isinstance(words, dict) or not isinstance(found, list):
        return found
    return [
        {"name": words[one], "id": one} if isinstance(one, str) and one in words else one for one in found
    ]
