"""Tables that say the classes of images -> their rows, within bounds that all tables of a set share."""

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from predictor.archives import shown
from predictor.errors import ImageError, InvalidRequest
from predictor.evaluation.image_files import SUFFIXES as IMAGE_SUFFIXES

SUFFIXES = (".csv", ".tsv")
"""What the names of tables end in, in lower case."""
MAX_TABLES = 1000
"""Tables of one set."""
MAX_ROWS = 500_000
"""Rows of all tables of a set together, empty ones included."""
MAX_BYTES = 100_000_000
"""Bytes of all tables of a set together, unpacked."""

_PIECE = 1000
_WHOLE = re.compile(r"^(-?\d+)\.0+$")
# The names of columns, with underscores between their words.
_FILE_COLUMNS = (
    "file", "filename", "filenames", "file_name", "file_names", "file_path", "filepath", "filepaths", "path",
    "paths", "image", "images", "image_path", "image_name", "image_file", "image_filename", "image_id",
    "image_index", "img", "img_path", "img_name", "img_id", "picture", "photo", "id_code", "name",
)  # fmt: skip
# The surest first: a name may stand for two classes, an index cannot.
_CLASS_COLUMNS = (
    "index", "class_index", "label_index", "class_id", "label_id", "category_id", "synset", "wnid", "label",
    "labels", "class", "classes", "class_name", "class_label", "label_name", "category", "category_name",
    "truth", "ground_truth", "target", "finding_labels", "diagnosis", "dx", "breed", "species", "tag", "tags",
    "id",
)  # fmt: skip
# Columns of tables of predictions, such as the rows of `predict --csv`: their labels are a model's own.
_OF_PREDICTIONS = {"rank", "confidence"}
# What is never a prediction; the labels beside it may be.
_TRUTHS = {"truth", "ground_truth"}
# A cell of a column for one class: whether that applies.
_FLAGS = {"0": False, "1": True, "-1": False, "false": False, "true": True}


NO_CLASS = ("",)
"""What a row with an empty label says: no class applies."""


class UnreadableTable(InvalidRequest):
    """A table is no text, or no CSV."""


class Row(NamedTuple):
    """What a row says: an image's path, and what may name its class, the surest first; or `NO_CLASS`."""

    image: str
    truth: tuple[str, ...]


class _Bound:
    """Counts what is read, up to a bound."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._sum = 0

    def add(self, number: int = 1) -> None:
        self._sum += number
        if self._sum > self._most:
            raise InvalidRequest(
                f"There are more than {self._most} {self._what}; leave out the tables that name no images."
            )


def rows_of(
    tables: Mapping[str, Callable[[], bytes]], still_wanted: Callable[[], None] = lambda: None
) -> Iterator[tuple[str, Iterator[Row]]]:
    """Each table with its rows; the next table is read when it is asked for.

    Args:
        tables: what reads each table, by its path.
        still_wanted: called before each table and each thousand rows; raises if nobody waits any more.

    Raises:
        InvalidRequest: a table cannot be read, or there are too many tables, rows or bytes.
    """
    number = _Bound(MAX_TABLES, "tables")
    size = _Bound(MAX_BYTES, "bytes in the tables")
    length = _Bound(MAX_ROWS, "rows in the tables")
    for table, read in tables.items():
        still_wanted()
        number.add()
        data = _read(table, read)
        size.add(len(data))
        yield table, _rows(data, length, still_wanted)


def _read(table: str, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except ImageError as error:
        raise InvalidRequest(f"The table {shown(table)} cannot be read: {error.detail}") from error


def _rows(data: bytes, length: _Bound, still_wanted: Callable[[], None]) -> Iterator[Row]:
    try:
        yield from _columns(_cells(data, length, still_wanted))
    except UnicodeDecodeError as error:
        raise UnreadableTable("The table must be UTF-8 text.") from error
    except csv.Error as error:
        raise UnreadableTable("The table is not valid CSV.") from error


def _cells(data: bytes, length: _Bound, still_wanted: Callable[[], None]) -> Iterator[list[str]]:
    """The rows of a table that are not empty, the heading included."""
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="\n")
    separator = max(",;\t", key=text.readline().count)
    text.seek(0)
    for number, row in enumerate(csv.reader(text, delimiter=separator), 1):
        if number % _PIECE == 0:
            still_wanted()
        length.add()
        if any(row):
            yield row


def _columns(rows: Iterator[list[str]]) -> Iterator[Row]:
    first = list(itertools.islice(rows, 2))
    heading = [name.strip() for name in first[0]] if first else []
    names = [re.sub(r"[\s\-]+", "_", name.lower()) for name in heading]
    file = next((names.index(name) for name in _FILE_COLUMNS if name in names), None)
    if headed := file is not None:
        del first[0]
    else:
        # The first row may be a heading all the same: it names no image then.
        file = next((row.index(cell) for row in first for cell in row if _is_image(cell)), 0)
    classes = [names.index(name) for name in _CLASS_COLUMNS if name in names and names.index(name) != file]
    truths = [column for column in classes if names[column] in _TRUTHS]
    if truths or set(names) >= _OF_PREDICTIONS:
        classes = truths
    if not classes and headed and len(names) > 2:
        said = partial(_flagged, _flags(heading, first, file))
    else:
        beside = file - 1 if file and file + 1 >= len(names) else file + 1
        said = partial(_one, classes or [beside])
    for row in itertools.chain(first, rows):
        if len(row) > file:
            yield from (Row(row[file], truth) for truth in said(row))


def _is_image(cell: str) -> bool:
    return cell.strip().lower().endswith(tuple(IMAGE_SUFFIXES))


def _flags(heading: list[str], first: list[list[str]], file: int) -> dict[int, str]:
    """The columns that say whether a class applies, and which; none if the first row has others."""
    cells = [cell for row in first[:1] for column, cell in enumerate(row) if column != file]
    if len(cells) != len(heading) - 1 or any(_flag(cell) is None for cell in cells):
        return {}
    return {column: name for column, name in enumerate(heading) if column != file}


def _flag(cell: str) -> bool | None:
    return _FLAGS.get(_WHOLE.sub(r"\1", cell.strip().lower()))


def _flagged(flags: Mapping[int, str], row: list[str]) -> list[tuple[str, ...]]:
    """The classes that apply by a row; `NO_CLASS` if none does, nothing without such columns."""
    named = [(name,) for column, name in flags.items() if column < len(row) and _flag(row[column])]
    return [*named] or [NO_CLASS if flags else ()]


def _one(columns: Iterable[int], row: list[str]) -> list[tuple[str, ...]]:
    """What may name the class of a row."""
    return [_some(row, columns)]


def _some(row: list[str], columns: Iterable[int]) -> tuple[str, ...]:
    """The cells of a row, in these columns, that are there and not empty; `NO_CLASS` if all are empty."""
    # Programs write whole numbers with a point where another row has none.
    cells = [_WHOLE.sub(r"\1", row[column].strip()) for column in columns if column < len(row)]
    return tuple(filter(None, cells)) or NO_CLASS[: len(cells)]


def grouped(rows: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, list[tuple[str, ...]]]:
    """What is said of each image, in order of its first row; a row may say nothing, or the same again.

    That no class applies counts where no row names one.
    """
    found: dict[str, list[tuple[str, ...]]] = {}
    for image, truth in rows:
        said = found.setdefault(image, [])
        if truth not in said:
            said.append(truth)
    return {image: _named(said) or [max(said)] for image, said in found.items()}


def _named(said: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [one for one in said if any(one)]
