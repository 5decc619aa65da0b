"""Label maps of TensorFlow's Object Detection API, in protobuf's text format."""

import re

from predictor.model.label_lines import unquoted
from predictor.model.label_table import INDEX, Entries

_ITEMS = re.compile(
    r"""[\s,;]*(?:\#[^\n]*|(?P<open>\w+\s*:?\s*\{)|(?P<close>\})|(?P<field>\w+)\s*:\s*(?P<value>"""
    r"""'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+"|[^\s,;{}'"]+))"""
)


def entries(text: str) -> Entries:
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
