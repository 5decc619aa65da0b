"""Labels as text: a name on each line, alone or with its number or synset, a CSV file, or a label map."""

import ast
import csv
import re
from collections.abc import Collection
from typing import Any

MAX_CLASSES = 100_000
"""Classes that a model may have."""

_MAX_COLUMNS = 100
_MAX_QUOTED = 20_000
_INDEX = re.compile(r"\d{1,9}")
_SYNSET = re.compile(r"(n\d{8})\s+(\S.*)")
_NUMBERED = re.compile(r"(\d{1,9})(\s*[:,;\t]\s*|[.)]\s+|\s+)(\S.*)")
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*\"""")
_ITEMS = re.compile(
    r"""[\s,;]*(?:\#[^\n]*|(?P<open>\w+\s*:?\s*\{)|(?P<close>\})|(?P<field>\w+)\s*:\s*(?P<value>"""
    r"""'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+"|[^\s,;{}'"]+))"""
)
_INDEX_COLUMNS = ("index", "id", "idx", "class_id", "class_index", "label_id", "class_idx", "")
NAME_COLUMNS = ("label", "name", "class", "class_name", "display_name", "label_name", "labels", "names")
_ID_COLUMNS = ("mid", "synset", "wnid", "synset_id")


Entries = list[Any] | dict[int, Any]
"""Entries in the order in which they stood, or by the numbers that they have."""


def entries(text: str) -> Entries:
    """The entries of a text with a name on each line, or of a CSV file.

    Raises:
        ValueError: the file has gaps; the sentence names the line or the entry.
    """
    lines = _without_comments([line.strip() for line in text.strip("\n\r \ufeff").splitlines()])
    if not any(lines):
        raise ValueError("The list of labels is empty.")
    if len(lines) > MAX_CLASSES + 1:
        raise ValueError(f"The list has more than {MAX_CLASSES} lines.")
    if (rows := _table(lines)) is not None:
        return rows
    if "" in lines:
        raise ValueError(f"Line {lines.index('') + 1} is empty.")
    if all(synsets := [_SYNSET.fullmatch(line) for line in lines]):
        return [{"id": match[1], "name": match[2]} for match in synsets if match]
    if all(line.startswith("- ") for line in lines):
        return unquoted([line[2:].lstrip() for line in lines])
    return _numbered(lines) or _named(lines) or unquoted(lines)


def _without_comments(lines: list[str]) -> list[str]:
    """The lines that do not begin with `# `; if all of them do, they are names."""
    kept = [line for line in lines if not line.startswith("# ")]
    if len(kept) == len(lines) or not any(kept):
        return lines
    return "\n".join(kept).strip("\n").split("\n")


def _numbered(lines: list[str]) -> dict[int, str] | None:
    """The names by the numbers before them; None unless all lines have one, and the numbers are complete.

    Blanks alone may stand between a number and a unit: where two names would be equal without their numbers
    but for a plural, as of `1 star` and `2 stars`, the numbers belong to the names.
    """
    matches = [match for match in map(_NUMBERED.fullmatch, lines) if match]
    if len(matches) < len(lines) or not complete([int(match[1]) for match in matches]):
        return None
    each = all(":" in match[2] for match in matches)
    names = [one[3] for one in matches]
    names = [unquoted([name])[0] for name in names] if each else unquoted(names)
    words = {name.casefold().removesuffix("s") for name in names}
    if not any(match[2].strip() for match in matches) and len(words) < len(names):
        return None
    return {int(match[1]): name for match, name in zip(matches, names, strict=True)}


def _named(lines: list[str]) -> dict[int, str] | None:
    """The names by the numbers after them and a colon; None unless all lines are like that."""
    parts = [line.rpartition(":") for line in lines]
    numbers = [number.strip() for _, _, number in parts]
    if not all(map(_INDEX.fullmatch, numbers)) or not complete(list(map(int, numbers))):
        return None
    names = unquoted([name.strip() for name, _, _ in parts])
    return dict(zip(map(int, numbers), names, strict=True))


def complete(numbers: Collection[int], firsts: tuple[int, ...] = (0, 1)) -> bool:
    """Whether these are 0, 1, 2 and so on, or 1, 2, 3 and so on, each once, in any order."""
    return any(set(numbers) == set(range(first, first + len(numbers))) for first in firsts)


def unquoted(names: list[str]) -> list[str]:
    """The names without the quotation marks around all of them, and without commas at the ends of all lines.

    Raises:
        ValueError: they are quoted as a program prints them, with a backslash that means nothing.
    """
    ends = [name.endswith(",") for name in names]
    bare = [name.rstrip(", ") for name in names] if len(names) > 1 and all(ends[:-1]) else names
    if not all(len(one) <= _MAX_QUOTED and _QUOTED.fullmatch(one) for one in bare):
        return bare if all(bare) else names
    if not any("\\" in one for one in bare):
        return [one[1:-1].replace(one[0] * 2, one[0]) for one in bare]
    try:
        return list(ast.literal_eval(f"[{','.join(bare)}]"))
    except (SyntaxError, ValueError) as error:
        raise ValueError("A label has an invalid backslash escape.") from error


def _table(lines: list[str]) -> Entries | None:
    """The rows of a CSV file; None if the text is none."""
    delimiter = next((one for one in "\t;," if one in lines[0]), None)
    if delimiter is None:
        return None
    try:
        rows = list(csv.reader((line for line in lines if line), delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    if len(rows[0]) > _MAX_COLUMNS:
        return None
    header = [cell.strip().lower() for cell in rows[0]]
    if len({len(row) for row in rows}) > 1:
        if _column(header, NAME_COLUMNS) is None or _column(header, _INDEX_COLUMNS) is None:
            return None
        number = next(number for number, row in enumerate(rows, 1) if len(row) != len(header))
        raise ValueError(
            f"Line {number} has {len(rows[number - 1])} fields, but the first line has {len(header)}."
        )
    name = _column(header, NAME_COLUMNS)
    if name is not None:
        return _with_header(rows[1:], header, name)
    return _without_header(rows)


def _column(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _with_header(rows: list[list[str]], header: list[str], name: int) -> Entries:
    index = next(
        (place for place, cell in enumerate(header) if place != name and cell in _INDEX_COLUMNS), None
    )
    if index is None and rows and (numbers := _index_column(rows, (0,))) is not None and numbers != name:
        index = numbers
    identifier = _column(header, _ID_COLUMNS)
    found = [_entry(row[name], None if identifier is None else row[identifier]) for row in rows]
    if index is None:
        return found
    return _by_index([row[index] for row in rows], found, first_line=2)


def _without_header(rows: list[list[str]]) -> Entries | None:
    index = _index_column(rows, (0, 1))
    if index is None:
        return None
    others = [place for place in range(len(rows[0])) if place != index]
    if len(others) == 1:
        found = [_entry(row[others[0]], None) for row in rows]
    elif len(others) == 2:
        found = [_entry(row[others[1]], row[others[0]]) for row in rows]
    else:
        return None
    return _by_index([row[index] for row in rows], found, first_line=1)


def _index_column(rows: list[list[str]], firsts: tuple[int, ...]) -> int | None:
    """The column that has each of the numbers from one of these on once; None if there is none."""
    for place in range(len(rows[0])):
        cells = [row[place].strip() for row in rows]
        if all(map(_INDEX.fullmatch, cells)) and complete(list(map(int, cells)), firsts):
            return place
    return None


def _entry(name: str, identifier: str | None) -> Any:
    return name.strip() if not identifier else {"name": name.strip(), "id": identifier.strip()}


def _by_index(cells: list[str], found: list[Any], first_line: int) -> dict[int, Any]:
    numbered = dict[int, Any]()
    for line, (cell, entry) in enumerate(zip(cells, found, strict=True), first_line):
        if not _INDEX.fullmatch(cell.strip()):
            raise ValueError(f"Line {line} has no class number.")
        if int(cell) in numbered:
            raise ValueError(f"Label {int(cell)} is defined twice.")
        numbered[int(cell)] = entry
    return numbered


def label_map(text: str) -> Entries:
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
    if not all(_INDEX.fullmatch(item.get("id", "")) for item in items):
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
