"""Labels as text: a name on each line, alone or with its number or identifier."""

import csv
import re

from predictor.model import strict_text
from predictor.model.label_table import INDEX, Entries, complete, table

MAX_CLASSES = 100_000
"""Classes that a model may have."""

_MAX_QUOTED = 20_000
# WordNet's identifiers and those of Open Images.
_IDENTIFIED = re.compile(r"(n\d{8}|/[mg]/\w+)(?:\s*[,;:|]\s*|\s+)(\S.*)")
_NUMBERED = re.compile(r"(\d{1,9})(\s*[:,;\t]\s*|[.)]\s+|\s+(?![-\u2013=|]))(\S.*)")
# Marks that stand between a number and a name only if they do so in all lines; `0-2` is a range.
_MARKED = re.compile(r"(\d{1,9})\s*([=|]|[-\u2013](?!\s*\d))\s*(\S.*)")
_AFTER = (":", "=", "|", " -")
"""What stands between a name and a number after it, if no blank does."""
_CELL = re.compile(r'"(?:[^"]|"")*"')
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*\"""")


def entries(text: str) -> Entries:
    """The entries of a text with a name on each line, or of a CSV file.

    Raises:
        ValueError: the file has gaps; the sentence names the line or the entry.
    """
    lines = text.strip("\n\r \ufeff").splitlines()
    # No more is done with a text of which too many lines are left, were each second one a comment.
    lines = lines if len(lines) > 2 * MAX_CLASSES else _without_comments([line.strip() for line in lines])
    if not any(lines):
        raise ValueError("The list of labels is empty.")
    if len(lines) > MAX_CLASSES + 1:
        raise ValueError(f"The list has more than {MAX_CLASSES} lines.")
    if (rows := table(lines)) is not None:
        return rows
    if "" in lines:
        raise ValueError(f"Line {lines.index('') + 1} is empty.")
    if all(line.startswith("- ") for line in lines):
        return unquoted([line[2:].lstrip() for line in lines])
    readers = (_identified, _digits, _numbered, _named, _in_one_line)
    return next((found for read in readers if (found := read(lines))), None) or unquoted(lines)


def _without_comments(lines: list[str]) -> list[str]:
    """The lines that do not begin with `# `; if all of them do, they are names."""
    kept = [line for line in lines if not line.startswith("# ")]
    if len(kept) == len(lines) or not any(kept):
        return lines
    return "\n".join(kept).strip("\n").split("\n")


def _identified(lines: list[str]) -> Entries | None:
    """The names with the identifiers before them; None unless all lines have one."""
    matches = [match for match in map(_IDENTIFIED.fullmatch, lines) if match]
    if len(matches) < len(lines) or all(INDEX.fullmatch(match[2]) for match in matches):
        return None
    names = unquoted([match[2] for match in matches])
    return [{"id": match[1], "name": name} for match, name in zip(matches, names, strict=True)]


def _numbered(lines: list[str]) -> Entries | None:
    """The names by the numbers before them; None unless all lines have one, and the numbers are complete."""
    form = _MARKED if all(map(_MARKED.fullmatch, lines)) else _NUMBERED
    matches = [match for match in map(form.fullmatch, lines) if match]
    if len(matches) < len(lines) or not complete([int(match[1]) for match in matches]):
        return None
    marks = {match[2].strip() for match in matches}
    if form is _MARKED and len(marks) > 1:
        return None
    names = [one[3] for one in matches]
    names = [unquoted([name])[0] for name in names] if marks == {":"} else unquoted(names)
    if marks == {""} and _units(names):
        return None
    return {int(match[1]): name for match, name in zip(matches, names, strict=True)}


def _named(lines: list[str]) -> Entries | None:
    """The names by the numbers after them; None unless all lines have one, and the numbers are complete."""
    before = [line.rstrip("0123456789") for line in lines]
    numbers = [line[len(name) :] for line, name in zip(lines, before, strict=True)]
    if not all(map(INDEX.fullmatch, numbers)) or not complete(list(map(int, numbers))):
        return None
    blank = len(lines) > 1 and all(name.endswith((" ", "\t")) for name in before)
    before = [name.rstrip() for name in before]
    mark = next((mark for mark in _AFTER if all(name.endswith(mark) for name in before)), "")
    if not mark and (not blank or _units(before) or any(name.endswith(_AFTER) for name in before)):
        return None
    names = unquoted([name.removesuffix(mark).rstrip() for name in before])
    return dict(zip(map(int, numbers), names, strict=True))


def _units(names: list[str]) -> bool:
    """Whether the numbers beside names, with blanks between them, belong to the names.

    They do where two names would be equal without them but for a plural, as of `1 star` and `2 stars`.
    """
    return len({name.casefold().removesuffix("s") for name in names}) < len(names)


def _digits(lines: list[str]) -> Entries | None:
    """The names of a text of one line, if all of them are numbers."""
    found = _in_one_line(lines)
    return found if found and all(INDEX.fullmatch(str(name)) for name in found) else None


def _in_one_line(lines: list[str]) -> Entries | None:
    """The names of a text that has one line, with commas, semicolons or tabs between them; None if none."""
    delimiter = next((one for one in "\t;," if one in lines[0]), None)
    if len(lines) > 1 or delimiter is None:
        return None
    try:
        cells = next(csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return None
    names = [cell.strip() for cell in cells]
    return unquoted(names) if 1 < len(names) <= MAX_CLASSES and all(names) else None


def unquoted(names: list[str]) -> list[str]:
    """The names without the quotation marks around all of them, and without commas at the ends of all lines.

    Raises:
        ValueError: they are quoted as a program prints them, with a backslash that means nothing.
    """
    ends = [name.endswith(",") for name in names]
    bare = [name.rstrip(", ") for name in names] if len(names) > 1 and all(ends[:-1]) else names
    if not all(len(one) <= _MAX_QUOTED and _QUOTED.fullmatch(one) for one in bare):
        return _cells(names) or (bare if all(bare) else names)
    if not any("\\" in one for one in bare):
        return [one[1:-1].replace(one[0] * 2, one[0]) for one in bare]
    try:
        return list(strict_text.load_python(f"[{','.join(bare)}]"))
    except ValueError as error:
        raise ValueError("A label has an invalid backslash escape.") from error


def _cells(names: list[str]) -> list[str] | None:
    """The names of a CSV file of one column, where only those with commas are quoted; None if it is none."""
    if not any(map(_CELL.fullmatch, names)):
        return None
    try:
        rows = list(csv.reader(names, strict=True))
    except csv.Error:
        return None
    return [row[0] for row in rows] if all(len(row) == 1 for row in rows) else None
