"""What was sent lies in the folder file by file, within bounds, and no name leads anywhere."""

import zipfile
from pathlib import Path

import pytest

from predictor.errors import InvalidRequest, ModelTooLarge
from predictor.importing.unpacking import MAX_FILES, Sent, unpacked

MOST = 1_000_000


def sent(folder: Path, name: str, content: bytes, *, model: bool = False) -> Sent:
    """A file as it came."""
    path = folder / f"part-{len(list(folder.iterdir()))}"
    path.write_bytes(content)
    return Sent(name, path, model)


def archive(folder: Path, name: str, *files: tuple[str, bytes], model: bool = False) -> Sent:
    """A ZIP as it came."""
    path = folder / f"part-{len(list(folder.iterdir()))}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as written:
        for inner, content in files:
            written.writestr(inner, content)
    return Sent(name, path, model)


def contents(files: dict[str, Path]) -> dict[str, bytes]:
    """What the files hold."""
    return {name: path.read_bytes() for name, path in files.items()}


def test_archive(tmp_path: Path) -> None:
    """In the place of an archive lie its files, under names of our own, and the archive is gone."""
    both = archive(tmp_path, "m.bin", ("onnx/m.onnx", b"model"), ("labels.txt", b"cat"), model=True)

    files = unpacked([both, sent(tmp_path, "more.json", b"{}")], tmp_path, MOST)

    assert contents(files) == {"onnx/m.onnx": b"model", "labels.txt": b"cat", "more.json": b"{}"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["entry-0", "entry-1", "part-1"]


@pytest.mark.parametrize(
    ("name", "opened"),
    [("all.ZIP", True), ("weights.npz", False), ("checkpoint.pt", False), ("folder/old.zip", False)],
)
def test_other_archives(tmp_path: Path, name: str, opened: bool) -> None:
    """Among more files a ZIP is opened, but not what a tool packed for itself, or what lies in a folder."""
    files = unpacked([archive(tmp_path, name, ("inner.onnx", b"model"))], tmp_path, MOST)

    assert list(files) == ["inner.onnx" if opened else name]


def test_nested(tmp_path: Path) -> None:
    """An archive in an archive stays closed."""
    inner = archive(tmp_path, "", ("m.onnx", b"model")).path.read_bytes()

    files = unpacked([archive(tmp_path, "m.zip", ("inner.zip", inner), model=True)], tmp_path, MOST)

    assert contents(files) == {"inner.zip": inner}


def test_bomb(tmp_path: Path) -> None:
    """No more is unpacked than all files together may have."""
    bomb = archive(tmp_path, "m.zip", ("m.onnx", bytes(100 * MOST)), model=True)

    with pytest.raises(ModelTooLarge, match="at most 1 MB together"):
        unpacked([sent(tmp_path, "a", bytes(MOST // 2)), bomb], tmp_path, MOST)

    assert (tmp_path / "entry-1").stat().st_size == MOST // 2 + 1


def test_sum(tmp_path: Path) -> None:
    """The bound is one on the sum of all files."""
    parts = [sent(tmp_path, name, bytes(MOST // 2)) for name in "ab"]

    assert list(unpacked(parts, tmp_path, MOST)) == ["a", "b"]
    with pytest.raises(ModelTooLarge):
        unpacked([*parts, sent(tmp_path, "c", b"x")], tmp_path, MOST)


def test_twice(tmp_path: Path) -> None:
    """Of two files of one name neither is taken, wherever they came from."""
    with pytest.raises(InvalidRequest, match=r"Two files are named labels\.txt"):
        unpacked(
            [
                archive(tmp_path, "m.zip", ("labels.txt", b"cat"), model=True),
                sent(tmp_path, "labels.txt", b"dog"),
            ],
            tmp_path,
            MOST,
        )


def test_too_many(tmp_path: Path) -> None:
    """The files have a bound, those of archives included."""
    most = archive(tmp_path, "m.zip", *((str(number), b"") for number in range(MAX_FILES)), model=True)

    with pytest.raises(InvalidRequest, match="at most 1000 files"):
        unpacked([most, sent(tmp_path, "one more", b"")], tmp_path, MOST)


def test_damaged(tmp_path: Path) -> None:
    """A file that cannot be unpacked is named."""
    path = tmp_path / "part-0"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as written:
        written.writestr("onnx/m.onnx", b"model")

    with pytest.raises(InvalidRequest, match=r"onnx/m\.onnx: The file cannot be extracted: .* LZMA"):
        unpacked([Sent("m.zip", path, model=True)], tmp_path, MOST)
