"""The forms of the file that a run with shards leaves: how rows are written to a shard, and shards joined."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from predictor.bulk import parquet
from predictor.bulk.rows import FORMS, Form, Row
from predictor.errors import InvalidRequest


@dataclass(frozen=True)
class Output:
    """A form of a file of rows.

    Attributes:
        write: writes rows to a shard.
        join: writes the rows of shards to one file, with little memory.
    """

    write: Callable[[BinaryIO, Iterable[Row]], None]
    join: Callable[[BinaryIO, Iterable[Path]], None]


def of(path: Path) -> Output:
    """The form that the name of a file asks for.

    Raises:
        InvalidRequest: its ending is not known, or what writes this form is missing.
    """
    suffix = path.suffix.lower()
    if suffix in parquet.SUFFIXES:
        parquet.libraries()
        return Output(parquet.write, parquet.join)
    name = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(suffix)
    if name is None:
        raise InvalidRequest(
            f"{path.name} must end in .parquet, .csv or .jsonl, which says how it is written."
        )
    form = FORMS[name]
    return Output(partial(_write, form), partial(_join, form))


def _write(form: Form, file: BinaryIO, rows: Iterable[Row]) -> None:
    file.writelines("".join(f"{line}\n" for line in form.lines(row)).encode() for row in rows)


def _join(form: Form, file: BinaryIO, parts: Iterable[Path]) -> None:
    file.write(form.heading.encode())
    for part in parts:
        with part.open("rb") as rows:
            shutil.copyfileobj(rows, file)
