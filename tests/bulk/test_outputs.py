"""A file of rows is joined of shards: CSV and JSON lines as without shards, Parquet with the same fields."""

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from predictor.bulk import outputs
from predictor.bulk.file import RowFile
from predictor.bulk.rows import FORMS, Row
from predictor.errors import InvalidImage, InvalidRequest

BEST = {"label": 'cat, "tabby"', "index": 281, "confidence": 0.75}
SHARDS = [
    [
        Row("a.jpg", [{**BEST, "id": "n02123045", "synonyms": ["tabby", "cat"]}, {**BEST, "index": 7}]),
        Row('odd "name",\nof two lines.jpg', [BEST]),
    ],
    [
        Row("bad.jpg", [], InvalidImage('It is "empty".')),
        Row("none.jpg", [], abstained=True),
        Row("sure.jpg", [BEST], abstained=False),
    ],
]


def join(path: Path) -> None:
    """Write the shards, and join them to a file."""
    output = outputs.of(path)
    parts = [path.with_name(f"part-{number}") for number in range(len(SHARDS))]
    for part, rows in zip(parts, SHARDS, strict=True):
        with part.open("wb") as file:
            output.write(file, rows)
    with path.open("wb") as file:
        output.join(file, parts)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_texts(form: str, tmp_path: Path) -> None:
    """The file has the same bytes as one that is written row by row."""
    with RowFile(tmp_path / "one", FORMS[form]) as file:
        for row in (row for rows in SHARDS for row in rows):
            file.write(row)

    join(tmp_path / f"rows.{form}")

    assert (tmp_path / f"rows.{form}").read_bytes() == (tmp_path / "one").read_bytes()


def test_parquet(tmp_path: Path) -> None:
    """A table has a line for each image with the fields of JSON lines, null where those have none."""
    parquet = pytest.importorskip("pyarrow.parquet")
    join(tmp_path / "rows.jsonl")
    join(tmp_path / "rows.parquet")

    read = parquet.read_table(tmp_path / "rows.parquet").to_pylist()

    expected = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [without_nulls(row) for row in read] == [without_nulls(row) for row in expected]


def without_nulls(value: Any) -> Any:
    """A JSON value without the fields that are null."""
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", ["rows", "rows.json", "rows.xlsx"])
def test_other_endings(name: str) -> None:
    """The ending of the file says the form, and another one is refused."""
    with pytest.raises(InvalidRequest, match=rf"{name} must end in \.parquet, \.csv or \.jsonl"):
        outputs.of(Path(name))


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow a sentence says what to install; nothing was predicted by then."""
    real: Callable[..., Any] = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)

    with pytest.raises(InvalidRequest, match=r"pip install 'image-prediction-api\[parquet\]'"):
        outputs.of(Path("rows.parquet"))
