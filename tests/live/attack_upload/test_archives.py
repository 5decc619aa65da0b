"""Archives made to harm are refused with a sentence, at hardly any memory, and nothing is left behind."""

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.memory import growth
from tests.live.models import FIRST, label
from tests.live.service import Service

pytestmark = pytest.mark.live
MOST = 64_000_000
MEGA = 1_000_000
LIMIT_MB = 200


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one worker that takes models of up to 200 MB."""
    data = tmp_path_factory.mktemp("archives") / "data"
    with Service(data, workers=1, cache="off", max_model_mb=LIMIT_MB) as running:
        yield running


def packed(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP of files beside a good model."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in (*files, ("m.onnx", FIRST)):
            archive.writestr(name, content)
    return out.getvalue()


def special(kind: int) -> bytes:
    """A ZIP with a link or a device that is called like labels."""
    info = zipfile.ZipInfo("labels.txt")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    out = io.BytesIO(packed())
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(info, b"/etc/passwd")
    return out.getvalue()


def encrypted() -> bytes:
    """A ZIP whose first file says that it has a password."""
    data = packed(("labels.txt", b"a"))
    local, listed = data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8
    return data[:local] + b"\x01" + data[local + 1 : listed] + b"\x01" + data[listed + 1 :]


def crowd(number: int, said: int) -> bytes:
    """A ZIP of so many empty files, which says that it has others."""
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 33, 0, 0, 0, 6, 0)
    fixed = struct.pack("<4s6H3I5HI", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, 6, 0, 0, 0, 0, 0)
    files = b"".join(local + b"%06d" % one for one in range(number))
    listed = b"".join(fixed + struct.pack("<I", one * 36) + b"%06d" % one for one in range(number))
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, said, said, len(listed), len(files), 0)
    return files + listed + end


def shared() -> bytes:
    """A ZIP of 900 entries that all unpack the same 50 MB."""
    core = packed(("a", bytes(50 * MEGA)))
    (first,) = [core[core.index(b"PK\x01\x02") :][: 46 + 1]]
    files = core[: core.index(b"PK\x01\x02")]
    listed = b"".join(first[:28] + struct.pack("<H", 4) + first[30:46] + b"%04d" % one for one in range(900))
    return files + listed + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 900, 900, len(listed), len(files), 0)


def names(number: int) -> bytes:
    """A ZIP of entries with the longest names there may be."""
    return packed(*((f"{one:05}" + "x" * 65_000, b"") for one in range(number)))


def zipped_again() -> bytes:
    """A ZIP in a ZIP."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("inner.zip", packed())
    return out.getvalue()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "parent": (lambda: packed(("../../labels.txt", b"a")), "outside of itself"),
    "absolute": (lambda: packed(("/etc/cron.d/labels.txt", b"a")), "outside of itself"),
    "drive": (lambda: packed(("C:\\labels.txt", b"a")), "outside of itself"),
    "backslash": (lambda: packed(("..\\..\\labels.txt", b"a")), "outside of itself"),
    "link": (lambda: special(stat.S_IFLNK), "link or device"),
    "device": (lambda: special(stat.S_IFCHR), "link or device"),
    "pipe": (lambda: special(stat.S_IFIFO), "link or device"),
    "password": (encrypted, "without a password"),
    "bzip2": (
        lambda: packed(("labels.txt", bytes(200 * MEGA)), method=zipfile.ZIP_BZIP2),
        "instead of bzip2",
    ),
    "lzma": (lambda: packed(("labels.txt", bytes(100 * MEGA)), method=zipfile.ZIP_LZMA), "instead of LZMA"),
    "bomb": (lambda: packed(("labels.txt", bytes(400 * MEGA))), "at most 200 MB together"),
    "bomb of many": (
        lambda: packed(*((f"{one}.bin", bytes(10 * MEGA)) for one in range(30))),
        "at most 200 MB together",
    ),
    "overlap": (shared, "overlap"),
    "crowd": (lambda: crowd(100_000, 0xFFFF), "more than 1000 files and folders"),
    "lying crowd": (lambda: crowd(100_000, 3), "more than 1000 files and folders"),
    "larger crowd": (lambda: crowd(900_000, 3), "more than 1000 files and folders"),
    "long names": (lambda: names(900), "more than 1000 files and folders"),
    "deep": (lambda: packed(("d/" * 40 + "labels.txt", b"a")), "too long or too deep"),
    "nested": (zipped_again, "There is no .onnx file, but one that is an archive"),
    "no list": (lambda: packed()[:-30], "not a valid ZIP"),
}


@pytest.mark.promise("U13")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archive(alone: Service, kind: str, cat: Path) -> None:
    """An archive of each kind of harm is refused by its reason; the worker hardly grows."""
    make, words = HOSTILE[kind]
    content = make()
    around = {path for path in alone.data.parent.rglob("*") if path.is_file() and "metrics" not in path.parts}

    with growth(alone.workers()) as grown:
        answer = alone.post("/upload", files={"model": ("m.zip", content)})

    assert answer.status_code in {400, 413, 422}, answer.text
    assert words in answer.json()["detail"]
    assert grown.most < MOST
    assert list((alone.data / "incoming").iterdir()) == []
    after = {path for path in alone.data.parent.rglob("*") if path.is_file() and "metrics" not in path.parts}
    assert {path for path in after - around if path.name not in {"gate.lock", "check.lock"}} == set()
    assert label(alone, cat) == "tiger cat"


@pytest.mark.promise("U13")
@pytest.mark.parametrize("path", ["/evaluate", "/tune"])
@pytest.mark.parametrize("kind", ["crowd", "lying crowd", "larger crowd", "parent", "link", "overlap"])
def test_hostile_images(alone: Service, path: str, kind: str) -> None:
    """So is one of images."""
    content = HOSTILE[kind][0]()

    with growth(alone.workers()) as grown:
        answer = alone.post(path, files={"pictures": ("set.zip", content)})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), answer.text
    assert grown.most < MOST
    assert list((alone.data / "incoming").iterdir()) == []


@pytest.mark.promise("U13")
def test_data_of_another_name(alone: Service, cat: Path) -> None:
    """Whatever lies beside a model that keeps all its weights changes nothing, and is not kept."""
    names = ("m.onnx.data", "model.onnx_data", "manifest.json", "data-0", "part-0", "../../model.onnx.data")
    files = [("files", (name, b"x" * 1000)) for name in names]

    answer = alone.post("/upload", files=[("model", ("m.onnx", FIRST)), *files])

    assert answer.status_code == 200, answer.text
    uses = {one["name"]: one["use"] for one in answer.json()["report"]["files"]}
    assert set(uses.values()) == {"model", "not used"}
    folder = alone.data / "models" / "default" / str(answer.json()["version"])
    assert {path.name for path in folder.iterdir() if path.is_file()} == {"model.onnx", "manifest.json"}
    assert label(alone, cat) == "first"
    assert alone.post("/models/default/activate", json={"version": 1}).status_code == 200
