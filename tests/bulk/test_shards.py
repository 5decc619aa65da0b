"""A run in shards that is stopped at any moment is continued to one row for each input."""

import builtins
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from predictor.bulk import shards
from predictor.bulk.file import RowFile
from predictor.bulk.rows import FORMS, Row
from predictor.bulk.shards import Chunk
from predictor.errors import InvalidImage, InvalidRequest

NAMES = [f"{number}.jpg" for number in range(23)]
OPTIONS = {"--top-k": 1}

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


def rows(chunk: Chunk) -> list[Row]:
    """A row for each image; the seventh of each ten is bad."""
    return [
        Row(name, [], InvalidImage("It is bad.")) if name.endswith("7.jpg") else Row(name, [])
        for name in chunk.names
    ]


def opened(path: Path, names: Any = NAMES, *, anew: bool = False, **options: Any) -> Any:
    """Open a run with shards of five."""
    return shards.opened(
        path, shards.Form(shards.output_of(path), 5), {**OPTIONS, **options}, names, anew=anew
    )


def names_in(path: Path) -> list[str]:
    """The names in a file of JSON lines."""
    return [json.loads(line)["name"] for line in path.read_text().splitlines()]


def some(path: Path, most: int, *, backwards: bool = False) -> None:
    """Do at most so many chunks of a run, and leave it as a kill would leave it."""
    with opened(path) as run:
        left = list(run.chunks(2))
        for chunk in (left[::-1] if backwards else left)[:most]:
            run.add(chunk, rows(chunk))


@pytest.mark.parametrize("backwards", [False, True])
def test_stopped_after_any_piece(backwards: bool, tmp_path: Path) -> None:
    """Whatever was done, and in any order, each input has one row in the end, in the order of the inputs."""
    for most in range(13):
        path = tmp_path / f"{most}.jsonl"
        some(path, most, backwards=backwards)
        assert not path.exists()
        some(path, 1, backwards=not backwards)
        with opened(path, iter(())) as run:
            before = run.done
            assert sum(len(chunk.names) for chunk in run.chunks(3)) == len(NAMES) - before
            for chunk in run.chunks(3):
                run.add(chunk, rows(chunk))
            assert (run.done, sum(run.errors.values())) == (len(NAMES), 2)
            run.finish(path)
        assert names_in(path) == NAMES
        assert [entry.name for entry in tmp_path.iterdir() if entry.name.endswith(".parts")] == []


def test_half_of_a_file(tmp_path: Path) -> None:
    """A shard that was not whole when the process was killed does not count."""
    path = tmp_path / "rows.csv"
    some(path, 3)
    (shards.parts(path) / ".000001-0.new").write_text("half")

    with opened(path) as run:
        assert [chunk.names[0] for chunk in run.chunks(5)] == ["5.jpg", "10.jpg", "15.jpg", "20.jpg"]


def test_list_that_was_not_whole(tmp_path: Path) -> None:
    """A run that was killed while its inputs were listed begins again; one whose listing fails is gone."""
    path = tmp_path / "rows.csv"

    def broken() -> Iterator[str]:
        yield "a.jpg"
        raise InvalidRequest("It cannot be read.")

    with pytest.raises(InvalidRequest), opened(path, broken()):
        pass
    assert list(tmp_path.iterdir()) == []

    shards.parts(path).mkdir()
    (shards.parts(path) / "inputs").write_text('"old.jpg"\n')
    (shards.parts(path) / "000000-0").write_text("old.jpg\n")
    with opened(path) as run:
        assert next(chunk.names for chunk in run.chunks(100)) == tuple(NAMES[:5])
        assert run.done == 0


def test_inputs_are_listed_once(tmp_path: Path) -> None:
    """What is added to the inputs after the start of the run is not in it."""
    path = tmp_path / "rows.jsonl"
    some(path, 4)

    with opened(path, ["other.jpg"]) as run:
        assert run.inputs == len(NAMES)
        assert "other.jpg" not in [name for chunk in run.chunks(4) for name in chunk.names]


def test_names_of_any_letters(tmp_path: Path) -> None:
    """Names may hold ends of lines and bytes that are no text."""
    odd = ["a\nb.jpg", "\udcff.jpg", "é.jpg", ""]

    with opened(tmp_path / "rows.jsonl", odd) as run:
        assert [name for chunk in run.chunks(3) for name in chunk.names] == odd


def test_other_options(tmp_path: Path) -> None:
    """A run goes on only with its options; the sentence says which are others."""
    path = tmp_path / "rows.csv"
    some(path, 4)
    other: dict[str, Any] = {"--top-k": 2, "--threshold": 0.5}

    with (
        pytest.raises(InvalidRequest, match=r"another value of --threshold and --top-k\. .*rows\.csv\.parts"),
        opened(path, **other),
    ):
        pass
    with opened(path) as run:
        assert run.done == 5


def test_anew(tmp_path: Path) -> None:
    """A run that is to begin anew keeps nothing of the one that was stopped."""
    path = tmp_path / "rows.csv"
    some(path, 4)
    assert shards.has_rows(path)

    with opened(path, ["other.jpg"], anew=True) as run:
        assert (run.inputs, run.done) == (1, 0)
    assert not shards.has_rows(path)


def test_two_processes(tmp_path: Path) -> None:
    """Only one process at a time writes a file."""
    path = tmp_path / "rows.csv"

    with opened(path), pytest.raises(InvalidRequest, match=r"Another process writes rows\.csv"), opened(path):
        pass


def join(path: Path) -> None:
    """Write the shards, and join them to a file."""
    output = shards.output_of(path)
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
        shards.output_of(Path(name))


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow a sentence says what to install; nothing was predicted by then."""
    real: Callable[..., Any] = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)

    with pytest.raises(InvalidRequest, match=r"pip install 'image-prediction-api\[parquet\]'"):
        shards.output_of(Path("rows.parquet"))
