"""Lists and tables name images; the column of a table is found or given."""

from pathlib import Path
from typing import Any

import pytest

from predictor.bulk.inputs import names
from predictor.bulk.lists import named
from predictor.errors import InvalidRequest


def put(path: Path, data: str | bytes) -> Path:
    """Write a file."""
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_list(tmp_path: Path) -> None:
    """A list has a name a line; empty lines do not count."""
    path = put(tmp_path / "x.TXT", "\ufeffa.jpg\r\n\n  b c.jpg \nhttps://a.test/x,y\n")

    assert list(named(path, None)) == ["a.jpg", "b c.jpg", "https://a.test/x,y"]


@pytest.mark.parametrize(
    ("name", "text", "column", "expected"),
    [
        (
            "x.csv",
            "id,url\n1,http://a.test/1\n2,http://a.test/2\n",
            None,
            ["http://a.test/1", "http://a.test/2"],
        ),
        ("x.csv", "path;where\na.jpg;b.jpg\n", "Where", ["b.jpg"]),
        ("x.tsv", 'image\tn\n"a\tb\nc.jpg"\t1\n', None, ["a\tb\nc.jpg"]),
        ("x.csv", "n,file\n1,a.jpg\n\n2\n3,\n", None, ["a.jpg", "", ""]),
        ("x.csv", "url\n", None, []),
    ],
)
def test_tables(name: str, text: str, column: str | None, expected: list[str], tmp_path: Path) -> None:
    """Each row of a table is a name; a row without one is an empty name, so that no row is lost."""
    assert list(named(put(tmp_path / name, text), column)) == expected


@pytest.mark.parametrize(
    ("name", "data", "column", "sentence"),
    [
        (
            "x.csv",
            "n,m\n1,2\n",
            None,
            "None of the usual columns is one of x.csv; give --column one of: n, m",
        ),
        ("x.csv", "url\n1\n", "link", "link is not a column of x.csv; give --column one of: url"),
        ("x.csv", b"url\n\xff\n", None, "x.csv cannot be read as a list or table"),
        ("x.csv", "url\n" + "a" * 200_000, None, "x.csv cannot be read as a list or table"),
        ("x.txt", b"\xff\n", None, "x.txt cannot be read as a list or table"),
    ],
)
def test_not_readable(name: str, data: Any, column: str | None, sentence: str, tmp_path: Path) -> None:
    """What cannot be read is named, and so is what can be done."""
    with pytest.raises(InvalidRequest) as raised:
        list(named(put(tmp_path / name, data), column))

    assert sentence in raised.value.detail


def test_missing(tmp_path: Path) -> None:
    """A list that is not there is named."""
    with pytest.raises(InvalidRequest, match=r"gone\.txt cannot be read"):
        list(named(tmp_path / "gone.txt", None))


def test_paths(tmp_path: Path) -> None:
    """A path that is not absolute begins where the list lies; URLs are as they are."""
    path = put(tmp_path / "x.txt", "a.jpg\n/b.jpg\nhttp://a.test/c.jpg\ns3://bucket/d.jpg\n")

    assert list(names([str(path)])) == [
        str(tmp_path / "a.jpg"),
        "/b.jpg",
        "http://a.test/c.jpg",
        "s3://bucket/d.jpg",
    ]


def test_empty(tmp_path: Path) -> None:
    """A list without names is refused by its name."""
    with pytest.raises(InvalidRequest, match=r"There are no images in x\.txt"):
        names([str(put(tmp_path / "x.txt", "\n"))])


def test_parquet(tmp_path: Path) -> None:
    """A column of a Parquet file gives its texts, and an empty one for each that is null."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "x.parquet"
    table = {"id": [1, 2, 3], "URL": ["http://a.test/1", None, "b.jpg"], "raw": [b"\xff", b"", b""]}
    parquet.write_table(arrow.table(table), path)

    assert list(named(path, None)) == ["http://a.test/1", "", "b.jpg"]
    assert list(named(path, "url")) == ["http://a.test/1", "", "b.jpg"]
    with pytest.raises(InvalidRequest, match="The column raw of"):
        list(named(path, "raw"))
    with pytest.raises(InvalidRequest, match="is not a Parquet file"):
        list(named(put(tmp_path / "y.parquet", b"PAR1"), None))
