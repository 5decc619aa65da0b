"""A file of rows that was cut at any byte is continued without loss and without a second row."""

import os
from pathlib import Path

import pytest

from predictor.bulk.file import Done, Options, RowFile, done
from predictor.bulk.rows import FORMS, Row
from predictor.errors import InvalidImage, InvalidRequest

TOP = 2
CLASSES = [
    {"label": 'cat, "tabby"', "index": 281, "confidence": 0.75},
    {"label": "dog", "index": 7, "confidence": 0.25},
]
ROWS = [
    Row("a.jpg", CLASSES),
    Row('odd "name",\nof two lines.jpg', CLASSES),
    Row("é.jpg", CLASSES[:1]),
    Row("bad.jpg", [], InvalidImage('It is "empty".')),
    Row("none.jpg", [], abstained=True),
    Row("a.jpg", CLASSES),
]
NAMES = [row.name for row in ROWS]


def write(path: Path, form: str, rows: list[Row], kept: Done | None = None) -> None:
    """Write rows."""
    with RowFile(path, FORMS[form], kept) as file:
        for row in rows:
            file.write(row)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_cut_anywhere(form: str, tmp_path: Path) -> None:
    """Whatever is left of a file, what is missing makes it the whole file again."""
    whole, path = tmp_path / "whole", tmp_path / "cut"
    write(whole, form, ROWS)
    data = whole.read_bytes()

    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        kept = done(path, FORMS[form], TOP)
        rest = list(kept.rest(NAMES))
        assert rest == NAMES[len(NAMES) - len(rest) :]
        write(path, form, ROWS[len(NAMES) - len(rest) :], kept)
        assert path.read_bytes() == data, size


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_nothing_left(form: str, tmp_path: Path) -> None:
    """A whole file has a row for each name, and says how many have an error."""
    write(tmp_path / "x", form, ROWS)

    found = done(tmp_path / "x", FORMS[form], TOP)

    assert list(found.rest(NAMES)) == []
    assert list(found.rest(["new.jpg", *NAMES, "a.jpg"])) == ["new.jpg", "a.jpg"]
    assert (found.failed, found.size) == (1, (tmp_path / "x").stat().st_size)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A name of bytes that are no text is found again under the name that was written."""
    name = os.fsdecode(b"\xff.jpg")
    write(tmp_path / "x", "csv", [Row(name.encode(errors="backslashreplace").decode(), CLASSES)])

    assert list(done(tmp_path / "x", FORMS["csv"], TOP).rest([name])) == []


def test_no_file(tmp_path: Path) -> None:
    """Where there is no file, everything is left."""
    assert list(done(tmp_path / "x", FORMS["csv"], TOP).rest(NAMES)) == NAMES


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize(
    "data", [b"path,label\nx,y\n", b"name,rank,label\n", b"\xff\xfe\n", b"[1]\n", b'{"a": 1}\n', b"\0\0\n"]
)
def test_other_files(form: str, data: bytes, tmp_path: Path) -> None:
    """A file that something else wrote is refused and stays as it is."""
    path = tmp_path / "x.csv"
    path.write_bytes(data)

    with pytest.raises(InvalidRequest, match=r"x\.csv is not a file of this form"):
        done(path, FORMS[form], TOP)

    assert path.read_bytes() == data


def test_csv_with_other_lines(tmp_path: Path) -> None:
    """So is one with the right heading and other lines."""
    for line in ("x\n", "a,one,b,c,d,e\n", "\n", 'a"b"c,"d"e,,,,\n'):
        (tmp_path / "x").write_text(FORMS["csv"].heading + line)
        with pytest.raises(InvalidRequest):
            done(tmp_path / "x", FORMS["csv"], TOP)


def test_other_options(tmp_path: Path) -> None:
    """The sentence names the options that are others, and how to begin again."""
    out = tmp_path / "rows.csv"
    out.touch()
    Options(out).keep({"--top-k": 1, "--exact": False, "--model": ["a"]})

    Options(out).check({"--top-k": 1, "--exact": False, "--model": ["a"]})
    with pytest.raises(InvalidRequest) as caught:
        Options(out).check({"--top-k": 2, "--exact": False, "--url": "http://x"})

    assert caught.value.detail == (
        "The run for rows.csv was begun with another value of --model and --top-k and --url. "
        "Give the options of that run, or leave out --resume to begin again."
    )


def test_nothing_kept(tmp_path: Path) -> None:
    """A file of an older release, which kept no options, is continued with any."""
    Options(tmp_path / "rows.csv").check({"--top-k": 2})


def test_no_regular_file() -> None:
    """Beside a device nothing is written."""
    Options(Path("/dev/null")).keep({"--top-k": 2})

    assert not Path("/dev/.null.run").exists()
