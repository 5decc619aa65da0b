"""Words of a command line become names of images, lazily and in a fixed order."""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from predictor.bulk.inputs import Reader, named, names
from predictor.config import Settings
from predictor.errors import FetchBlocked, ImageTooLarge, InvalidImage, InvalidRequest
from tests.patience import PATIENCE


def put(folder: Path, *files: str) -> None:
    """Write files whose bytes are their names."""
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(name.encode())


def test_folder(tmp_path: Path) -> None:
    """A folder stands for the images below it, without hidden ones and other files; a file for itself."""
    put(tmp_path, "b/2.JPG", "a.png", ".hidden/3.jpg", "b/.4.jpg", "notes.txt", "b.jpg", "x.jpg/1.webp")
    expected = [str(tmp_path / name) for name in ("a.png", "b/2.JPG", "b.jpg", "x.jpg/1.webp")]

    assert list(names([f"{tmp_path}/"])) == expected
    assert list(names(["HTTPS://a.test/x", str(tmp_path / "notes.txt"), str(tmp_path)])) == [
        "HTTPS://a.test/x",
        str(tmp_path / "notes.txt"),
        *expected,
    ]


def test_links(tmp_path: Path) -> None:
    """A link to a file is an image, also where that is gone; one to a folder may lead in a circle."""
    put(tmp_path, "deep/1.jpg")
    (tmp_path / "deep" / "2.jpg").symlink_to(tmp_path / "deep" / "1.jpg")
    (tmp_path / "deep" / "circle").symlink_to(tmp_path)
    (tmp_path / "deep" / "gone.jpg").symlink_to(tmp_path / "nothing")

    assert [Path(name).name for name in names([str(tmp_path)])] == ["1.jpg", "2.jpg", "gone.jpg"]


def test_no_images(tmp_path: Path) -> None:
    """A folder without images is refused by its name, before any image of another is given."""
    put(tmp_path, "full/1.jpg", "empty/notes.txt")

    with pytest.raises(InvalidRequest, match="folder empty"):
        names([str(tmp_path / "full"), str(tmp_path / "empty")])


def test_lazy(tmp_path: Path) -> None:
    """A folder is read when its first name is taken."""
    put(tmp_path, "a/1.jpg", "b/1.jpg")
    found = names([str(tmp_path)])
    first = list(itertools.islice(found, 1))
    put(tmp_path, "b/2.jpg")

    assert [*first, *found] == [str(tmp_path / name) for name in ("a/1.jpg", "b/1.jpg", "b/2.jpg")]


def test_folder_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder that cannot be read has its own name, and its row says so."""
    put(tmp_path, "a.jpg", "closed/b.jpg")
    found = names([str(tmp_path)])
    assert next(found) == str(tmp_path / "a.jpg")
    for file in (tmp_path / "closed").iterdir():
        file.unlink()
    (tmp_path / "closed").rmdir()

    assert list(found) == [str(tmp_path / "closed")]


def test_read(tmp_path: Path) -> None:
    """Files are read and URLs downloaded as the settings say; what cannot be read says so."""
    put(tmp_path, "a.jpg")
    reader = Reader(Settings())

    assert reader.read(str(tmp_path / "a.jpg")) == b"a.jpg"
    for name in (str(tmp_path), "a\0b.jpg"):
        with pytest.raises(InvalidImage, match="cannot be read"):
            reader.read(name)
    with pytest.raises(InvalidImage, match=r"There is no file gone\.jpg\."):
        reader.read(str(tmp_path / "gone.jpg"))
    with pytest.raises(FetchBlocked, match="of its own environment decide"):
        reader.read("http://127.0.0.1/x.jpg")


def test_pipe(tmp_path: Path) -> None:
    """A pipe, whose end may never come, is refused, unless a run that ends without progress reads it."""
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(InvalidImage, match="is a pipe or a device, not a regular file"):
        Reader(Settings()).read(str(tmp_path / "a.jpg"))
    with pytest.raises(InvalidImage, match="is a pipe or a device"):
        Reader(Settings()).read("/dev/null")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(Reader(Settings(), pipes=True).read, str(tmp_path / "a.jpg"))
        (tmp_path / "a.jpg").write_bytes(b"cat")
        assert read.result(PATIENCE) == b"cat"


def test_own_streams() -> None:
    """What the shell names for the output of another command is read to its end."""
    reading, writing = os.pipe()
    os.write(writing, b"cat")
    os.close(writing)

    assert Reader(Settings()).read(f"/dev/fd/{reading}") == b"cat"
    os.close(reading)


def test_large_file(tmp_path: Path) -> None:
    """A file is not read beyond what an image may have."""
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(ImageTooLarge):
        Reader(Settings()).read(str(tmp_path / "large.jpg"))


def test_link_to_itself(tmp_path: Path) -> None:
    """A link that leads nowhere is one image with an error."""
    (tmp_path / "a.jpg").symlink_to("a.jpg")
    put(tmp_path, "b.jpg")

    assert list(names([str(tmp_path)])) == [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")]
    with pytest.raises(InvalidImage):
        Reader(Settings()).read(str(tmp_path / "a.jpg"))


def put_list(path: Path, data: str | bytes) -> Path:
    """Write a file."""
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_list(tmp_path: Path) -> None:
    """A list has a name a line; empty lines do not count."""
    path = put_list(tmp_path / "x.TXT", "\ufeffa.jpg\r\n\n  b c.jpg \nhttps://a.test/x,y\n")

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
        ("x.csv", "\n \nfile\na.jpg\n", None, ["a.jpg"]),
        ("x.csv", '"two\nlines",file\n1,a.jpg\n', None, ["a.jpg"]),
    ],
)
def test_tables(name: str, text: str, column: str | None, expected: list[str], tmp_path: Path) -> None:
    """Each row of a table is a name; a row without one is an empty name, so that no row is lost."""
    assert list(named(put_list(tmp_path / name, text), column)) == expected


def test_row_without_a_name() -> None:
    """An empty name is an image that cannot be read, as its row names none."""
    with pytest.raises(InvalidImage, match="The row names no file"):
        Reader(Settings()).read("")


@pytest.mark.parametrize(("name", "heading"), [("x.txt", b""), ("x.csv", b"file\n")])
def test_names_that_are_no_text(name: str, heading: bytes, tmp_path: Path) -> None:
    """A list says names with bytes that are no UTF-8 as `find` writes them, and has other names beside."""
    (tmp_path / name).write_bytes(heading + b"a\xff.jpg\nb.jpg\n")

    assert list(names([str(tmp_path / name)])) == [
        os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.jpg"),
        str(tmp_path / "b.jpg"),
    ]


def test_empty_table(tmp_path: Path) -> None:
    """A table without a heading has no images."""
    (tmp_path / "x.csv").write_text("")

    with pytest.raises(InvalidRequest, match=r"There are no images in x\.csv\."):
        names([str(tmp_path / "x.csv")])


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
        ("x.csv", "url\na.jpg\n".encode("utf-16"), None, "x.csv is no UTF-8 text; UTF-16 is not read."),
        ("x.csv", "url\n" + "a" * 200_000, None, "x.csv cannot be read as a list or table"),
        ("x.txt", "a.jpg\n".encode("utf-16"), None, "x.txt is no UTF-8 text; UTF-16 is not read."),
    ],
)
def test_not_readable(name: str, data: Any, column: str | None, sentence: str, tmp_path: Path) -> None:
    """What cannot be read is named, and so is what can be done."""
    with pytest.raises(InvalidRequest) as raised:
        list(named(put_list(tmp_path / name, data), column))

    assert sentence in raised.value.detail


def test_missing(tmp_path: Path) -> None:
    """A list that is not there is named."""
    with pytest.raises(InvalidRequest, match=r"gone\.txt cannot be read"):
        list(named(tmp_path / "gone.txt", None))


def test_paths(tmp_path: Path) -> None:
    """A path that is not absolute begins where the list lies; URLs are as they are."""
    path = put_list(tmp_path / "x.txt", "a.jpg\n/b.jpg\nhttp://a.test/c.jpg\ns3://bucket/d.jpg\n")

    assert list(names([str(path)])) == [
        str(tmp_path / "a.jpg"),
        "/b.jpg",
        "http://a.test/c.jpg",
        "s3://bucket/d.jpg",
    ]


def test_empty(tmp_path: Path) -> None:
    """A list without names is refused by its name."""
    with pytest.raises(InvalidRequest, match=r"There are no images in x\.txt"):
        names([str(put_list(tmp_path / "x.txt", "\n"))])


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
        list(named(put_list(tmp_path / "y.parquet", b"PAR1"), None))
