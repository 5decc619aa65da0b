"""Labels as text: a name on each line, alone or with its number or synset, or a CSV file."""

import csv
import re
from collections.abc import Mapping
from typing import Any

MAX_CLASSES = 100_000
"""Classes that a model may have."""

_MAX_COLUMNS = 100
_INDEX = re.compile(r"\d{1,9}")
_SYNSET = re.compile(r"(n\d{8})\s+(\S.*)")
_NUMBERED = re.compile(r"(\d{1,9})(?:\s*[:,;\t]\s*|\s+)(\S.*)")
_INDEX_COLUMNS = ("index", "id", "idx", "class_id", "class_index", "label_id", "class_idx", "")
NAME_COLUMNS = ("label", "name", "class", "class_name", "display_name", "label_name", "labels", "names")
_ID_COLUMNS = ("mid", "synset", "wnid", "synset_id")


def in_order(found: Mapping[int, Any]) -> list[Any]:
    """The entries by their indices.

    Raises:
        ValueError: the indices are not 0, 1, 2 and so on; the sentence names the first that is missing.
    """
    if not found:
        raise ValueError("The list of labels is empty.")
    missing = next((index for index in range(len(found)) if index not in found), None)
    if missing is not None:
        last = max(found)
        raise ValueError(f"Label {missing} is missing, although label {last} is defined.")
    return [found[index] for index in range(len(found))]


def entries(text: str) -> list[Any]:
    """The entries of a text with a name on each line, or of a CSV file.

    Raises:
        ValueError: the file has gaps; the sentence names the line or the entry.
    """
    lines = [line.strip() for line in text.strip("\n\r \ufeff").splitlines()]
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
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if {int(match[1]) for match in numbered if match} == set(range(len(lines))):
        return in_order({int(match[1]): match[2] for match in numbered if match})
    return list(lines)


def _table(lines: list[str]) -> list[Any] | None:
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


def _with_header(rows: list[list[str]], header: list[str], name: int) -> list[Any]:
    index = next(
        (place for place, cell in enumerate(header) if place != name and cell in _INDEX_COLUMNS), None
    )
    if index is None and rows and (numbers := _index_column(rows)) is not None and numbers != name:
        index = numbers
    identifier = _column(header, _ID_COLUMNS)
    found = [_entry(row[name], None if identifier is None else row[identifier]) for row in rows]
    if index is None:
        return found
    return _by_index([row[index] for row in rows], found, first_line=2)


def _without_header(rows: list[list[str]]) -> list[Any] | None:
    index = _index_column(rows)
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


def _index_column(rows: list[list[str]]) -> int | None:
    """The column that has each of the numbers 0, 1, 2 and so on once; None if there is none."""
    wanted = set(range(len(rows)))
    for place in range(len(rows[0])):
        cells = [row[place].strip() for row in rows]
        if all(map(_INDEX.fullmatch, cells)) and set(map(int, cells)) == wanted:
            return place
    return None


def _entry(name: str, identifier: str | None) -> Any:
    return name.strip() if not identifier else {"name": name.strip(), "id": identifier.strip()}


def _by_index(cells: list[str], found: list[Any], first_line: int) -> list[Any]:
    numbered = dict[int, Any]()
    for line, (cell, entry) in enumerate(zip(cells, found, strict=True), first_line):
        if not _INDEX.fullmatch(cell.strip()):
            raise ValueError(f"Line {line} has no class number.")
        if int(cell) in numbered:
            raise ValueError(f"Label {int(cell)} is defined twice.")
        numbered[int(cell)] = entry
    return in_order(numbered)
