"""Archives of strangers are read in bounded memory, and nothing in them leads to another place."""

import stat
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from predictor.archives import MAX_DEPTH, MAX_NAME, Unreadable, entries_of, is_archive, shown
from predictor.errors import InvalidRequest

MOST = 100
MEGA = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an archive is to lie."""
    return tmp_path / "set.zip"


def write(path: Path, *names: str, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """An archive of small files."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in names:
            archive.writestr(name, name.encode())
    return path


def names(path: Path, most: int = MOST) -> list[str]:
    """What lies in an archive."""
    return [entry.name for entry in entries_of(path, most)]


def patched(path: Path, old: bytes, new: bytes) -> Path:
    """The archive with other bytes in each place of some."""
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


def many(number: int, *, lie: bool = False) -> Iterator[bytes]:
    """An archive of so many empty files; if it lies, it says that it has three."""
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 33, 0, 0, 0, 6, 0)
    for one in range(number):
        yield local + b"%06d" % one
    start = number * (len(local) + 6)
    for one in range(number):
        place = one * (len(local) + 6)
        fixed = struct.pack(
            "<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, 6, 0, 0, 0, 0, 0, place
        )
        yield fixed + b"%06d" % one
    size = number * (46 + 6)
    said = 3 if lie else min(number, 0xFFFF)
    yield struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, said, said, size, start, 0)


def test_files(path: Path, tmp_path: Path) -> None:
    """Files are found in their order, without folders, and come out as they went in."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("onnx")
        archive.writestr("onnx/model.onnx", b"graph" * 1000)
        archive.writestr("./labels.txt", b"cat", zipfile.ZIP_STORED)
        archive.writestr("old\\windows.txt", b"dog")

    found = {entry.name: entry for entry in entries_of(path, MOST)}

    assert list(found) == ["onnx/model.onnx", "labels.txt", "old/windows.txt"]
    assert found["labels.txt"].read(10) == b"cat"
    assert found["onnx/model.onnx"].unpack(tmp_path / "out", 10**6) == 5000
    assert (tmp_path / "out").read_bytes() == b"graph" * 1000
    assert found["onnx/model.onnx"].read(3) == b"gra"


def test_long_form(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form for large archives is read as well; tools write it from 2 GB on."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 0)
    write(path, "a", "b")
    assert b"PK\x06\x06" in path.read_bytes()

    assert names(path) == ["a", "b"]
    with pytest.raises(InvalidRequest, match="more than 1 files"):
        entries_of(path, 1)


def test_recognised(path: Path) -> None:
    """An archive is known by its bytes."""
    assert is_archive(write(path, "a"))
    assert is_archive(write(path))
    path.write_bytes(b"\x08\x07no archive")
    assert not is_archive(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89PNG" * 10])
def test_no_archive(path: Path, content: bytes) -> None:
    """What only begins like an archive is refused."""
    path.write_bytes(content)

    with pytest.raises(InvalidRequest, match="not a valid ZIP"):
        entries_of(path, MOST)


@pytest.mark.parametrize(
    "name",
    ["../a", "a/../../b", "/etc/passwd", "\\\\server\\a", "..\\a", "C:\\a", "c:a", "a/..", "//a", "../a/"],
)
def test_outside(path: Path, name: str) -> None:
    """A path that leads out of the archive is refused, in the marks of any system."""
    with pytest.raises(InvalidRequest, match="outside of itself"):
        entries_of(write(path, "good.txt", name), MOST)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
@pytest.mark.parametrize("system", [0, 3, 19])
def test_links_and_devices(path: Path, kind: int, system: int) -> None:
    """Whatever is no plain file is refused by its name."""
    info = zipfile.ZipInfo("model.onnx")
    info.create_system, info.external_attr = system, (kind | 0o644) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, b"/etc/passwd")

    with pytest.raises(InvalidRequest, match=r"model\.onnx .* link or device"):
        entries_of(path, MOST)


@pytest.mark.parametrize("twin", ["a.txt", "./a.txt", ".\\a.txt", "a.txt\x00b"])
def test_twice(path: Path, twin: str) -> None:
    """A name that is there twice, or that is read as another one, is refused."""
    write(path, "a.txt", "#" * len(twin))
    patched(path, b"#" * len(twin), twin.encode())

    with pytest.raises(InvalidRequest, match=r"a\.txt is in the archive twice"):
        entries_of(path, MOST)


@pytest.mark.parametrize("name", ["x" * (MAX_NAME + 1), "d/" * (MAX_DEPTH + 1) + "x"])
def test_long_and_deep(path: Path, name: str) -> None:
    """Paths have bounds."""
    assert names(write(path, "x" * MAX_NAME, "d/" * MAX_DEPTH + "x"))
    with pytest.raises(InvalidRequest, match="too long or too deep"):
        entries_of(write(path, name), MOST)


def test_overlap(path: Path) -> None:
    """Entries that share their bytes are refused."""
    write(path, "a", "b", method=zipfile.ZIP_STORED)
    data = path.read_bytes()
    second = data.index(b"PK\x03\x04", 1).to_bytes(4, "little")
    path.write_bytes(data.replace(second, bytes(4)))

    with pytest.raises(InvalidRequest, match="overlap"):
        entries_of(path, MOST)


def test_encrypted(path: Path) -> None:
    """A file behind a password is refused when it is read."""
    write(path, "a")
    data = path.read_bytes()
    place = data.index(b"PK\x01\x02") + 8
    path.write_bytes(data[:place] + b"\x01" + data[place + 1 :])
    (entry,) = entries_of(path, MOST)

    with pytest.raises(Unreadable, match="without a password"):
        entry.read(10)


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")])
def test_other_methods(path: Path, method: int, name: str) -> None:
    """A file that could only be unpacked whole is not unpacked at all."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("bomb", bytes(30 * MEGA))
    (entry,) = entries_of(path, MOST)

    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match=f"deflate instead of {name}"):
            entry.unpack(path.with_name("out"), 10**9)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < MEGA


def test_bomb(path: Path) -> None:
    """No more is unpacked than is asked for, whatever the archive says, and a piece at a time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(100 * MEGA))
    patched(path, (100 * MEGA).to_bytes(4, "little"), (200 * MEGA).to_bytes(4, "little"))
    (entry,) = entries_of(path, MOST)
    out = path.with_name("out")

    tracemalloc.start()
    try:
        assert entry.unpack(out, 20 * MEGA) == 20 * MEGA
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert out.stat().st_size == 20 * MEGA
    assert peak < MEGA


def test_damaged(path: Path) -> None:
    """A file whose bytes are damaged is that file's error."""
    patched(write(path, "good", "bad", method=zipfile.ZIP_STORED), b"PK\x03\x04", b"PK\x03\x05")
    (good, _) = entries_of(path, MOST)

    with pytest.raises(Unreadable, match="damaged"):
        good.read(10)


@pytest.mark.parametrize("number", [MOST, MOST + 1])
def test_number(path: Path, number: int) -> None:
    """The number of entries has a bound."""
    path.write_bytes(b"".join(many(number)))

    if number <= MOST:
        assert len(names(path)) == number
    else:
        with pytest.raises(InvalidRequest, match="more than 100 files"):
            names(path)


@pytest.mark.parametrize("lie", [False, True])
def test_far_too_many(path: Path, lie: bool) -> None:
    """A list of 100 000 entries takes hardly any memory, although the archive says that there are three."""
    path.write_bytes(b"".join(many(100_000, lie=lie)))

    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match="more than 100 files"):
            entries_of(path, MOST)
        with pytest.raises(InvalidRequest, match="more than 65534 files"):
            entries_of(path, 65_534)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 20 * MEGA


def test_long_list(path: Path) -> None:
    """A list that is long because of its comments is not read, either."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(50):
            info = zipfile.ZipInfo(f"{number}")
            info.comment = b"x" * 65_000
            archive.writestr(info, b"")

    with pytest.raises(InvalidRequest, match="more than 100 files"):
        entries_of(path, MOST)


def test_closed(path: Path) -> None:
    """An archive that nobody knows any more is closed."""
    code = (
        "import pathlib, sys; from predictor import archives as a; a.entries_of(pathlib.Path(sys.argv[1]), 9)"
    )
    command = [sys.executable, "-W", "always", "-c", code, str(write(path, "a"))]

    said = subprocess.run(command, capture_output=True, check=True)

    assert said.stderr == b""


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a/ü.txt", "a/ü.txt"), ("a\nb\x1b[2J\u202e", "a?b?[2J?"), ("x" * 120, "..." + "x" * 100)],
)
def test_shown(name: str, expected: str) -> None:
    """A name in a sentence is short and holds nothing that a terminal would obey."""
    assert shown(name) == expected
