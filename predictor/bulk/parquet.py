"""Parquet: rows out, a column in. The only user of pyarrow, which may be missing."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from predictor.archives import shown
from predictor.bulk.rows import Row, fields
from predictor.errors import InvalidRequest

SUFFIXES = (".parquet", ".pq")
"""What the names of such files end in, in lower case."""
_GROUP = 50_000  # rows that are compressed together, and the most that are held at a time


def heading(path: Path) -> list[str]:
    """The names of a file's columns.

    Raises:
        InvalidRequest: it cannot be read, or pyarrow is missing.
    """
    with _opened(path) as file:
        return list(file.schema_arrow.names)


def column(path: Path, name: str) -> Iterator[str]:
    """The texts of a column, in pieces of little memory; an empty one for each that is null.

    Raises:
        InvalidRequest: it does not hold texts, or the file is damaged.
    """
    arrow, _ = libraries()
    with _opened(path) as file:
        try:
            for batch in file.iter_batches(columns=[name], batch_size=_GROUP):
                for value in batch.column(0).cast(arrow.string()).to_pylist():
                    yield value or ""
        except (arrow.ArrowException, OSError) as error:
            raise InvalidRequest(f"The column {shown(name)} of {shown(path.name)} cannot be read.") from error


def write(file: BinaryIO, rows: Iterable[Row]) -> None:
    """Write rows: a line of the table for each, with the fields of JSON lines."""
    arrow, parquet = libraries()
    parquet.write_table(arrow.Table.from_pylist([fields(row) for row in rows], _schema(arrow)), file)


def join(file: BinaryIO, parts: Iterable[Path]) -> None:
    """Write the rows of several files to one, with the memory of a few."""
    arrow, parquet = libraries()
    with parquet.ParquetWriter(file, _schema(arrow)) as writer:
        held: list[Any] = []
        for part in parts:
            held.append(parquet.read_table(part))
            if sum(map(len, held)) >= _GROUP:
                writer.write_table(arrow.concat_tables(held))
                held = []
        if held:
            writer.write_table(arrow.concat_tables(held))


def libraries() -> tuple[Any, Any]:
    """The modules `pyarrow` and `pyarrow.parquet`.

    Raises:
        InvalidRequest: they are missing.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise InvalidRequest(
            "Parquet needs pyarrow: pip install 'image-prediction-api[parquet]', or give CSV or JSON lines."
        ) from error
    return pa, parquet


def _opened(path: Path) -> Any:
    arrow, parquet = libraries()
    try:
        return parquet.ParquetFile(path)
    except arrow.ArrowException as error:
        raise InvalidRequest(f"{shown(path.name)} is not a Parquet file.") from error


def _schema(arrow: Any) -> Any:
    text = arrow.string()
    one = [("label", text), ("index", arrow.int64()), ("confidence", arrow.float64()), ("id", text)]
    return arrow.schema(
        [
            ("name", text),
            ("predicted_label", text),
            ("confidence", arrow.float64()),
            ("predictions", arrow.list_(arrow.struct([*one, ("synonyms", arrow.list_(text))]))),
            ("abstained", arrow.bool_()),
            ("error", arrow.struct([("code", text), ("detail", text)])),
        ]
    )
