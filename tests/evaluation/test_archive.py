"""Archives are read without unpacking them, and hostile ones do no harm."""

import tracemalloc
import zipfile
from pathlib import Path

import pytest

from predictor.errors import ImageTooLarge, InvalidImage, InvalidRequest
from predictor.evaluation.archive import files_of

KILO = 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive of two class folders."""
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("cat")
        archive.writestr("cat/a.jpg", b"meow")
        archive.writestr("../../dog/b.jpg", b"woof")
        archive.writestr("bomb.png", bytes(100 * KILO))
    return path


def test_files(path: Path, tmp_path: Path) -> None:
    """Each file is read by its name, which is never a path of ours."""
    files = files_of(path, KILO)

    assert {name: files[name]() for name in ("cat/a.jpg", "../../dog/b.jpg")} == {
        "cat/a.jpg": b"meow",
        "../../dog/b.jpg": b"woof",
    }
    assert "cat/" not in files
    assert sorted(tmp_path.iterdir()) == [path]


def test_windows(tmp_path: Path) -> None:
    """An archive with the folders' mark of Windows has folders, too."""
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.writestr("cat\\a.jpg", b"meow")

    assert list(files_of(tmp_path / "w.zip", KILO)) == ["cat/a.jpg"]


def test_bomb(path: Path) -> None:
    """A file that unpacks to more than is allowed is refused, and no more than that is unpacked."""
    with pytest.raises(ImageTooLarge):
        files_of(path, KILO)["bomb.png"]()


def test_lying_size(path: Path) -> None:
    """The size that the archive says is not believed."""
    data = path.read_bytes().replace((100 * KILO).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)

    with pytest.raises((ImageTooLarge, InvalidImage)):
        files_of(path, KILO)["bomb.png"]()


def test_damaged(path: Path) -> None:
    """A damaged file is that file's error."""
    data = bytearray(path.read_bytes())
    place = data.index(b"cat/a.jpg") + len("cat/a.jpg")
    data[place : place + 3] = b"\xff\xff\xff"
    path.write_bytes(data)

    with pytest.raises(InvalidImage):
        files_of(path, KILO)["cat/a.jpg"]()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n" * 10])
def test_no_archive(path: Path, content: bytes) -> None:
    """Whatever is no archive is refused."""
    path.write_bytes(content)

    with pytest.raises(InvalidRequest):
        files_of(path, KILO)


def test_long_form(path: Path) -> None:
    """The form for archives of any length is refused before its list is read."""
    data = path.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    record = b"PK\x06\x06" + (44).to_bytes(8, "little") + bytes(44)
    locator = b"PK\x06\x07" + bytes(4) + end.to_bytes(8, "little") + (1).to_bytes(4, "little")
    path.write_bytes(data[:end] + record + locator + data[end:])

    with pytest.raises(InvalidRequest, match="ZIP64"):
        files_of(path, KILO)


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")])
def test_other_methods(tmp_path: Path, method: int, name: str) -> None:
    """A file that could only be unpacked whole is refused by its compression's name, and not unpacked."""
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", method) as archive:
        archive.writestr("cat/bomb.png", bytes(30 * KILO * KILO))
    read = files_of(tmp_path / "bomb.zip", KILO)["cat/bomb.png"]

    tracemalloc.start()
    try:
        with pytest.raises(InvalidImage, match=f"deflate instead of {name}"):
            read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < KILO * KILO


def test_unknown_method(path: Path) -> None:
    """So is a file whose compression has no name here."""
    data = path.read_bytes()
    entry = data.rindex(b"PK\x01\x02", 0, data.index(b"cat/a.jpg", data.index(b"PK\x01\x02")))
    path.write_bytes(data[: entry + 10] + (98).to_bytes(2, "little") + data[entry + 12 :])

    with pytest.raises(InvalidImage, match="another method"):
        files_of(path, KILO)["cat/a.jpg"]()
