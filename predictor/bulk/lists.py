"""Lists and tables that name images -> the names, one after the other."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from predictor.archives import shown
from predictor.bulk import parquet
from predictor.errors import InvalidRequest
from predictor.evaluation.tables import SUFFIXES as _TEXT_TABLES

_LISTS = (".txt", ".lst")
SUFFIXES = (*_LISTS, *_TEXT_TABLES, *parquet.SUFFIXES)
"""What the names of lists and tables end in, in lower case."""
_COLUMNS = (
    "url", "image_url", "uri", "image_uri", "file", "filename", "file_name", "path", "image", "image_path",
    "name",
)  # fmt: skip


def named(path: Path, column: str | None) -> Iterator[str]:
    """What a list or a table says, in its order; the file is read as names are taken.

    Args:
        path: a text of a name a line, whose empty lines do not count, or a table as CSV or Parquet, of which
            each row is a name, an empty one too.
        column: the table's column; by default the first that has one of the usual headings.

    Raises:
        InvalidRequest: the file cannot be read, or it has no such column.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in parquet.SUFFIXES:
            heading = parquet.heading(path)
            yield from parquet.column(path, heading[_number(path, heading, column)])
            return
        with path.open(encoding="utf-8-sig", newline="" if suffix in _TEXT_TABLES else None) as file:
            yield from _lines(file) if suffix in _LISTS else _cells(path, file, column)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequest(f"{shown(path.name)} cannot be read as a list or table of images.") from error


def _lines(file: Iterator[str]) -> Iterator[str]:
    for line in file:
        if name := line.strip():
            yield name


def _cells(path: Path, file: Iterator[str], column: str | None) -> Iterator[str]:
    first = next(file, "")
    separator = max(",;\t", key=first.count)
    number = _number(path, next(csv.reader([first], delimiter=separator), []), column)
    for row in csv.reader(file, delimiter=separator):
        if row:
            yield row[number].strip() if number < len(row) else ""


def _number(path: Path, heading: Sequence[str], column: str | None) -> int:
    """The number of the column with the names."""
    found = [name.strip().lower() for name in heading]
    wanted = _COLUMNS if column is None else (column.strip().lower(),)
    for name in wanted:
        if name in found:
            return found.index(name)
    which = f"{shown(column)} is not a column" if column is not None else "None of the usual columns is one"
    raise InvalidRequest(f"{which} of {shown(path.name)}; give --column one of: {shown(', '.join(heading))}.")
