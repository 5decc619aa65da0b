"""Labels as tools write them: TensorFlow's label maps, and lists and dicts as Python prints them."""

import contextlib
import re

from predictor.model.label_lines import unquoted
from predictor.model.label_table import INDEX, Entries

# Nothing is tried twice: the time would grow with the square of the white space behind a word.
_ITEMS = re.compile(
    r"""[\s,;]*+(?:\#[^\n]*|(?P<open>\w++\s*+:?\s*+\{)|(?P<close>\})|(?P<field>\w++)\s*+:\s*+(?P<value>"""
    r"""'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+"|[^\s,;{}'"]+))"""
)

_PRINTED_ENTRY = re.compile(r"""\s*(\d{1,9})\s*:\s*('(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")\s*""")
_PRINTED_START = re.compile(r"\{?\s*\d{1,9}\s*:\s*['\"]")
# The name of a variable, or the length that fastai prints, before what Python prints of a list or a dict.
_ASSIGNED = re.compile(r"(?:\w{1,100}\s*=|\(#\d{1,9}\))\s*(?=[\[({])")
_TUPLE = re.compile(r"\(\s*['\"]")
_QUOTED = r"""(?:'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")"""
# What NumPy, pandas, dicts and Hugging Face's ClassLabel print around a list.
_AROUND = re.compile(
    r"(?:\w{1,100}\s*=\s*)?[A-Za-z][\w.]{0,99}\(\s*(?:names\s*=\s*)?"
    r"(\[\s*(?:['\"]|np\.)[^\[\]]*\])\s*(?:,[^\[\](){}]{0,200})?\)"
)
_NUMPY_TEXT = re.compile(rf"np\.str_\(({_QUOTED})\)")
_WITHOUT_COMMAS = re.compile(rf"\[\s*(?:{_QUOTED}\s+)+{_QUOTED}\s*\]")


def of_label_map(text: str) -> Entries:
    """The items of a label map of TensorFlow's Object Detection API, in protobuf's text format.

    Raises:
        ValueError: it is damaged, or two items have the same number.
    """
    items, place, depth = list[dict[str, str]](), 0, 0
    while match := _ITEMS.match(text, place):
        place, kind = match.end(), match.lastgroup
        if kind == "value" and depth == 1:
            items[-1][match["field"]] = match["value"]
        elif kind == "open":
            depth += 1
            items.extend([{}] if depth == 1 else [])
        elif kind == "close":
            depth -= 1
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
    """A value without the name of its variable or type; a tuple or an array becomes a list."""
    if assigned := _ASSIGNED.match(text):
        text = text[assigned.end() :]
    if around := _AROUND.fullmatch(text):
        text = around[1]
    text = _NUMPY_TEXT.sub(r"\1", text)
    if _WITHOUT_COMMAS.fullmatch(text):
        return f"[{', '.join(re.findall(_QUOTED, text))}]"
    return f"[{text[1:-1]}]" if _TUPLE.match(text) and text.endswith(")") else text


def of_printed(text: str) -> dict[int, str] | None:
    """The entries of a dict from numbers to texts, perhaps without its braces; None for any other text.

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
    """A dict from numbers to texts as Python prints it; None for any other text."""
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
