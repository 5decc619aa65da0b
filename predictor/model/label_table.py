"""Labels as a CSV file: names in one column, and perhaps their numbers or identifiers in others."""

import csv
import re
from collections.abc import Collection
from typing import Any

INDEX = re.compile(r"\d{1,9}")
"""The number of a class."""

_MAX_COLUMNS = 100
NUMBER_NAMES = ("index", "id", "idx", "class_id", "class_index", "label_id", "class_idx")
"""What people call the number of a class, in a table and in objects."""
_INDEX_COLUMNS = (*NUMBER_NAMES, "")
NAME_COLUMNS = (
    *("label", "name", "class", "class_name", "display_name", "label_name", "labels", "names", "category"),
)
_ID_COLUMNS = ("mid", "synset", "wnid", "synset_id")

Entries = list[Any] | dict[int, Any]
"""Entries in the order in which they stood, or by the numbers that they have."""


def table(lines: list[str]) -> Entries | None:
    """The rows of a CSV file; None for any other text."""
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
    if index is None and (texts := _texts_beside(rows, name)) is not None:
        index, name = name, texts
    if index is None and rows:
        index = _index_column(rows, name)
    identifier = _column(header, _ID_COLUMNS)
    found = [_entry(row[name], None if identifier is None else row[identifier]) for row in rows]
    if index is None:
        return found
    return _by_index([row[index] for row in rows], found, first_line=2)


def _texts_beside(rows: list[list[str]], numbers: int) -> int | None:
    """The only column of texts beside one that has the number of each class; None if there is none.

    pandas users call encoded classes `label`, and the names otherwise, such as `breed`.
    """
    if len(rows) < 2 or _index_column([[row[numbers]] for row in rows]) is None:
        return None
    others = [place for place in range(len(rows[0])) if place != numbers]
    texts = [place for place in others if not all(INDEX.fullmatch(row[place].strip()) for row in rows)]
    return texts[0] if len(texts) == 1 else None


def _without_header(rows: list[list[str]]) -> Entries | None:
    index = _index_column(rows)
    if index is None and len(rows) > 2 and len(rows[0]) == 2 and _index_column(rows[1:]) is not None:
        # A heading of other words.
        return _without_header(rows[1:])
    digits = len(rows) == 1 and all(INDEX.fullmatch(cell.strip()) for cell in rows[0])
    if index is None or digits:
        return None
    others = [place for place in range(len(rows[0])) if place != index]
    if len(others) == 1:
        found = [_entry(row[others[0]], None) for row in rows]
    elif len(others) == 2:
        found = [_entry(row[others[1]], row[others[0]]) for row in rows]
    else:
        return None
    return _by_index([row[index] for row in rows], found, first_line=1)


def _index_column(rows: list[list[str]], names: int | None = None) -> int | None:
    """The column beside that of the names that has the number of each class; None if there is none."""
    for place in range(len(rows[0])):
        cells = [row[place].strip() for row in rows]
        if place != names and all(map(INDEX.fullmatch, cells)) and complete(list(map(int, cells))):
            return place
    return None


def _entry(name: str, identifier: str | None) -> Any:
    return name.strip() if not identifier else {"name": name.strip(), "id": identifier.strip()}


def _by_index(cells: list[str], found: list[Any], first_line: int) -> dict[int, Any]:
    numbered = dict[int, Any]()
    for line, (cell, entry) in enumerate(zip(cells, found, strict=True), first_line):
        if not INDEX.fullmatch(cell.strip()):
            raise ValueError(f"Line {line} has no class number.")
        if int(cell) in numbered:
            raise ValueError(f"Label {int(cell)} is defined twice.")
        numbered[int(cell)] = entry
    return numbered


def complete(numbers: Collection[int]) -> bool:
    """Whether these are 0, 1, 2 and so on, or 1, 2, 3 and so on, each once, in any order."""
    return any(set(numbers) == set(range(first, first + len(numbers))) for first in (0, 1))
