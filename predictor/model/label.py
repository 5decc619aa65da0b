"""One class of a model: its name, identifier and synonyms, from an entry of a labels file.

Entries stand in JSON and YAML, in TensorFlow's label maps, and in dicts as Python prints them; the last two
are read here.
"""

import contextlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from predictor.errors import InvalidModel
from predictor.model.label_lines import INDEX, Entries, unquoted

LONGEST = 200
"""Characters of a name that are kept."""

_NAMES = ("name", "label", "display_name", "class_name")
_MAX_CHARACTERS = 10_000
# Marks that turn the direction of the text around them; a page would show something else than stands there.
_TURNING = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}

_ITEMS = re.compile(
    r"""[\s,;]*(?:\#[^\n]*|(?P<open>\w+\s*:?\s*\{)|(?P<close>\})|(?P<field>\w+)\s*:\s*(?P<value>"""
    r"""'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+"|[^\s,;{}'"]+))"""
)

_PRINTED_ENTRY = re.compile(r"""\s*(\d{1,9})\s*:\s*('(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")\s*""")
_PRINTED_START = re.compile(r"\{?\s*\d{1,9}\s*:\s*['\"]")
# The name of a variable, or the length that fastai prints, before what Python prints of a list or a dict.
_ASSIGNED = re.compile(r"(?:\w{1,100}\s*=|\(#\d{1,9}\))\s*(?=[\[({])")
_TUPLE = re.compile(r"\(\s*['\"]")


@dataclass(frozen=True)
class Label:
    """One class of a model.

    Attributes:
        name: what people read.
        id: the class's identifier in its data set, such as an ImageNet synset; None if it has none.
        synonyms: other names of the same class.
    """

    name: str
    id: str | None = None
    synonyms: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The form that `parse` reads back."""
        value: dict[str, Any] = {"name": self.name}
        if self.id is not None:
            value["id"] = self.id
        if self.synonyms:
            value["synonyms"] = list(self.synonyms)
        return value


def read_entry(index: int, entry: object) -> Label:
    """The class that an entry of a labels file describes.

    Args:
        index: of the class, for the sentence of a refusal.
        entry: a name, a list of an identifier and a name, or an object with a name.

    Raises:
        InvalidModel: the entry is none of these, or a text in it cannot be shown.
    """
    if isinstance(entry, str):
        return Label(_name(index, entry))
    if isinstance(entry, list):
        return _from_list(index, entry)
    name = next((entry[key] for key in _NAMES if key in entry), None) if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(name, str):
        raise InvalidModel(f"Label {index} must be a string, or an object with a name.")
    identifier, synonyms = entry.get("id"), entry.get("synonyms", [])
    if not isinstance(identifier, str | None):
        raise InvalidModel(f"The id of label {index} must be a string.")
    if not isinstance(synonyms, list) or not all(isinstance(one, str) for one in synonyms):
        raise InvalidModel(f"The synonyms of label {index} must be a list of strings.")
    others = tuple(_name(index, one) for one in synonyms)
    return Label(_name(index, name), identifier and _name(index, identifier), others)


def _from_list(index: int, entry: list[object]) -> Label:
    """Keras and TorchServe put the identifier first and the name last."""
    texts = [one for one in entry if isinstance(one, str)]
    if not 1 <= len(texts) == len(entry) <= 2:
        raise InvalidModel(f"Label {index} must be a name, or a list of an identifier and a name.")
    return Label(_name(index, texts[-1]), _name(index, texts[0]) if len(texts) == 2 else None)


def _name(index: int, text: str) -> str:
    name = " ".join(text.split())
    if not name:
        raise InvalidModel(f"Label {index} is empty.")
    if len(name) > _MAX_CHARACTERS:
        raise InvalidModel(f"Label {index} has more than {_MAX_CHARACTERS} characters.")
    if not name.isprintable() and any(map(_is_hidden, name)):
        raise InvalidModel(f"Label {index} has a character that cannot be displayed.")
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _is_hidden(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in ("Cc", "Cs")


def of_label_map(text: str) -> Entries:
    """The items of a label map of TensorFlow's Object Detection API, in protobuf's text format.

    Raises:
        ValueError: it is damaged, or two items have the same number.
    """
    items, place, depth = list[dict[str, str]](), 0, 0
    while match := _ITEMS.match(text, place):
        place = match.end()
        depth += bool(match["open"]) - bool(match["close"])
        if match["open"] and depth == 1:
            items.append({})
        elif match["field"] and depth == 1:
            items[-1][match["field"]] = match["value"]
    if text[place:].strip() or depth or not items:
        raise ValueError("The label map is damaged or incomplete.")
    found = [_item(index, item) for index, item in enumerate(items)]
    if not all(INDEX.fullmatch(item.get("id", "")) for item in items):
        return found
    numbers = [int(item["id"]) for item in items]
    if len(set(numbers)) < len(numbers):
        raise ValueError("Two items of the label map have the same id.")
    return dict(zip(numbers, found, strict=True))


def _item(index: int, item: dict[str, str]) -> dict[str, str]:
    """An item as an entry: what is displayed is its name, and its name is its identifier then."""
    words = [item[word] for word in ("name", "display_name") if word in item]
    if not words:
        raise ValueError(f"Item {index} of the label map has neither a name nor a display_name.")
    first, last = (unquoted([word])[0] for word in (words[0], words[-1]))
    return {"name": last} if first == last else {"name": last, "id": first}


def bare(text: str) -> str:
    """A value without the name of its variable; a tuple becomes a list."""
    if assigned := _ASSIGNED.match(text):
        text = text[assigned.end() :]
    return f"[{text[1:-1]}]" if _TUPLE.match(text) and text.endswith(")") else text


def of_printed(text: str) -> dict[int, str] | None:
    """The entries of a dict from numbers to texts, perhaps without its braces; None if the text is none.

    Raises:
        ValueError: it is one, but is damaged or has a number twice.
    """
    if not _PRINTED_START.match(text):
        return None
    if text[0] == "{":
        return _printed(text)
    with contextlib.suppress(ValueError):
        return _printed(f"{{{text}}}")
    return None


def _printed(text: str) -> dict[int, str] | None:
    """A dict from numbers to texts as Python prints it; None if it is none."""
    if not text.endswith("}"):
        return None
    found, place = dict[int, str](), 1
    while match := _PRINTED_ENTRY.match(text, place):
        number = int(match[1])
        if number in found:
            raise ValueError(f"Label {number} is defined twice.")
        found[number] = match[2]
        place = match.end() + 1
        if text[match.end()] == "}":
            break
        if text[match.end()] != ",":
            raise ValueError(f"The text after label {number} cannot be parsed.")
    if text[place - 1 :].strip(" \n\r\t,") not in ("}", ""):
        raise ValueError("The text is not a list of numbers and names.")
    return dict(zip(found, unquoted(list(found.values())), strict=True))
