"""Weights are written once as the processor wants them, and shared; else, models load anyway."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictor.config import BUNDLED_MODEL
from predictor.errors import InvalidModel
from predictor.inference import shared_weights
from predictor.inference.job import Array
from predictor.inference.shared_weights import SharedWeights, fill
from predictor.model.device import Device
from predictor.model.session import load
from predictor.store.registry import ModelVersion
from tools import sample_models

PICTURE = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), np.uint8)


@pytest.fixture
def version(tmp_path: Path) -> ModelVersion:
    """The bundled model as if it had been uploaded."""
    path = tmp_path / "model.onnx"
    path.write_bytes(BUNDLED_MODEL.read_bytes())
    return ModelVersion("default", 2, path, "sha256:0")


def written(version: ModelVersion) -> Path:
    """The folder of what was written down beside a version."""
    (folder,) = version.path.parent.glob("optimised-*")
    return folder


@pytest.fixture
def make(version: ModelVersion) -> Callable[..., SharedWeights]:
    """Build what writes beside the version."""

    def build(**options: Any) -> SharedWeights:
        return SharedWeights(lambda _: version.path.parent, **options)

    return build


def mapped(pid: int, file: Path) -> tuple[int, int]:
    """Bytes of a file that are in a process's memory, and those of them that are its own copy."""
    resident = own = 0
    here = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, value = line.partition(":")
        if "-" in name.split()[0]:
            here = line.endswith(str(file))
        elif here and name == "Rss":
            resident += 1024 * int(value.split()[0])
        elif here and name == "Anonymous":
            own += 1024 * int(value.split()[0])
    return resident, own


def own_answers(version: ModelVersion) -> Array:
    """The answers of the model's own file."""
    return load(version.path, Device("cpu")).run(PICTURE)


def test_same_answers(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """What was written gives, bit by bit, the answers of the model's own file, which is not read any more."""
    expected, graph = own_answers(version), load(version.path, Device("cpu")).graph

    make().write(version)
    version.path.unlink()
    session = make().session(version)

    assert np.array_equal(session.run(PICTURE), expected)
    assert session.graph == graph


def test_shared(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """The weights are pages of one file, which running the model does not copy."""
    make().write(version)
    sessions = [make().session(version) for _ in range(2)]
    for session in sessions:
        session.run(PICTURE)

    resident, own = mapped(os.getpid(), written(version) / "model.weights")

    # The file holds some smaller weights in two layouts.
    assert resident > version.path.stat().st_size
    assert own == 0


@pytest.mark.parametrize("name", ["model.onnx", "model.weights", "digests.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_damaged(version: ModelVersion, make: Callable[..., SharedWeights], name: str, damage: str) -> None:
    """What is damaged is not used; the next start writes it anew."""
    expected = own_answers(version)
    make().write(version)
    path = written(version) / name
    content, half = path.read_bytes(), path.stat().st_size // 2
    # Never in place: whoever has the file mapped would end.
    path.unlink()
    if damage != "missing":
        path.write_bytes(
            content[:half] if damage == "cut" else content[:half] + b"\x07" + content[half + 1 :]
        )

    assert np.array_equal(make().session(version).run(PICTURE), expected)
    assert mapped(os.getpid(), written(version) / "model.weights")[0] == 0

    make().write(version)
    session = make().session(version)

    assert np.array_equal(session.run(PICTURE), expected)
    assert mapped(os.getpid(), written(version) / "model.weights")[0] > 0


@pytest.mark.parametrize(
    "digests",
    [
        b"{", b"[]", b"{}", b"7", b'["model.onnx"]', b'{"model.onnx": 1}',
        b'{"version": "sha256:0", "model.onnx": 1}',
    ],
)  # fmt: skip
def test_written_anew(version: ModelVersion, make: Callable[..., SharedWeights], digests: bytes) -> None:
    """Where the digests are damaged it is written anew, and who has the old one mapped keeps it."""
    make().write(version)
    first = make().session(version)
    expected, weights = first.run(PICTURE), written(version) / "model.weights"
    old = weights.stat().st_ino
    held = weights.open("rb")
    (written(version) / "digests.json").write_bytes(digests)

    make().write(version)

    assert weights.stat().st_ino != old
    assert held.read(1)
    held.close()
    assert np.array_equal(first.run(PICTURE), expected)
    assert np.array_equal(make().session(version).run(PICTURE), expected)


def test_next_release(version: ModelVersion, make: Callable[..., SharedWeights], tmp_path: Path) -> None:
    """Where a release brings another model under the same number, what the last one wrote is not used."""
    make().write(version)
    other = ModelVersion("default", 2, tmp_path / "other.onnx", "sha256:1")
    other.path.write_bytes(sample_models.classifier(["cat", "dog"], size=224, layout="NHWC", dtype="uint8"))
    expected = own_answers(other)

    assert np.array_equal(make().session(other).run(PICTURE), expected)

    make(min_bytes=0).write(other)
    session = make().session(other)

    assert (written(other) / "model.onnx").stat().st_size < 10 * other.bytes
    assert np.array_equal(session.run(PICTURE), expected)


def test_written_once(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """What is there and whole stays."""
    make().write(version)
    before = (written(version) / "model.onnx").stat().st_ino

    make().write(version)

    assert (written(version) / "model.onnx").stat().st_ino == before


def test_small(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """A small file is loaded as it is."""
    make(min_bytes=version.path.stat().st_size + 1).write(version)

    assert list(version.path.parent.iterdir()) == [version.path]


def test_no_room(
    version: ModelVersion, make: Callable[..., SharedWeights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk is nearly full nothing is written, and the model loads."""
    usage = type("Usage", (), {"free": version.path.stat().st_size})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)

    make().write(version)

    assert list(version.path.parent.iterdir()) == [version.path]
    assert make().session(version).run(PICTURE).shape == (2, 1000)


@pytest.mark.parametrize(
    "code",
    [
        "os.kill(os.getpid(), signal.SIGSEGV)",
        "sys.exit(1)",
        "pass",
        "open(folder + '/digests.json', 'w').write('{}')",
    ],
    ids=["crash", "error", "nothing", "no files"],
)
def test_failure_leaves_nothing(version: ModelVersion, make: Callable[..., SharedWeights], code: str) -> None:
    """Where the process that writes fails on its way, nothing of it stays, and the model loads."""
    read = "import json, os, signal, sys; folder = json.load(sys.stdin)['folder']; "

    make(command=(sys.executable, "-c", f"{read}open(folder + '/half', 'w'); {code}")).write(version)

    assert list(version.path.parent.iterdir()) == [version.path]
    assert make().session(version).run(PICTURE).shape == (2, 1000)


def test_nothing_of_the_environment(
    version: ModelVersion, make: Callable[..., SharedWeights], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The process that writes knows no token of the service."""
    monkeypatch.setenv("PREDICTOR_ADMIN_TOKEN", "secret")
    seen = tmp_path / "seen"

    make(command=(sys.executable, "-c", f"import os; open({str(seen)!r}, 'w').write(str(os.environ))")).write(
        version
    )

    assert "PYTHONPATH" in seen.read_text()
    assert "secret" not in seen.read_text()


def test_other_answers(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    """An optimised graph that answers differently is not kept."""
    folder = version.path.parent / "new"
    folder.mkdir()
    other = load(BUNDLED_MODEL, Device("cpu"))
    monkeypatch.setattr(other, "run", lambda *_: np.zeros((1, 1000), np.float32))
    monkeypatch.setattr(shared_weights, "load_optimised", lambda _: other)

    with pytest.raises(InvalidModel, match="different scores"):
        fill(version.path, version.digest, folder, None, 10**9)

    assert not (folder / "digests.json").exists()


def test_too_large(version: ModelVersion) -> None:
    """Weights that are much larger than the model's file are not kept."""
    folder = version.path.parent / "new"
    folder.mkdir()

    with pytest.raises(InvalidModel, match="too large"):
        fill(version.path, version.digest, folder, None, 1_000_000)


def test_unwritable(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """Where nothing can be written, the model loads."""
    weights = make()
    weights.write(version)
    place = written(version)
    shutil.rmtree(place)
    place.write_text("no folder")

    weights.write(version)

    assert weights.session(version).run(PICTURE).shape == (2, 1000)


def test_bad_model(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """A file that the runtime cannot load is said to be one, as without all this."""
    version.path.write_bytes(bytes(5_000_000))
    make().write(version)

    with pytest.raises(InvalidModel):
        make().session(version)


def test_other_processor(
    version: ModelVersion, make: Callable[..., SharedWeights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a change of the runtime or the processor it is written anew, and the old one goes."""
    make().write(version)
    before = written(version)
    monkeypatch.setattr(shared_weights, "release", lambda: "another release")

    make().write(version)

    assert written(version) != before


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_kinds(
    tmp_path: Path,
    dtype: sample_models.DType,
    layout: sample_models.Layout,
    make: Callable[..., SharedWeights],
) -> None:
    """Models of every type and layout answer the same."""
    path = tmp_path / "model.onnx"
    path.write_bytes(sample_models.classifier(["red", "green"], layout=layout, dtype=dtype))
    small = ModelVersion("small", 1, path, "sha256:1")
    shape = (1, 3, 32, 32) if layout == "NCHW" else (1, 32, 32, 3)
    picture = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    weights = make(min_bytes=0)
    expected = load(path, Device("cpu")).run(picture)

    weights.write(small)
    path.unlink()

    assert np.array_equal(weights.session(small).run(picture), expected)
