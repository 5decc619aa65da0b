"""Weights are written down once as the processor wants them, and shared; else, models load anyway."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from predictor.config import BUNDLED_MODEL
from predictor.errors import Internal, InvalidModel
from predictor.inference import shared_weights
from predictor.inference.job import Array
from predictor.inference.shared_weights import SharedWeights
from predictor.model.device import Device
from predictor.model.session import Session, load
from predictor.store.registry import ModelVersion
from tools import sample_models

PICTURE = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), np.uint8)


@pytest.fixture
def version(tmp_path: Path) -> ModelVersion:
    """The bundled model as if it had been uploaded."""
    path = tmp_path / "model.onnx"
    path.write_bytes(BUNDLED_MODEL.read_bytes())
    return ModelVersion("default", 2, path, "sha256:0")


def answer(session: Session, _: ModelVersion) -> Array:
    """What a session says of a picture."""
    return session.run(PICTURE[:1])


def written(version: ModelVersion) -> Path:
    """The folder of what was written down beside a version."""
    (folder,) = version.path.parent.glob("optimised-*")
    return folder


@pytest.fixture
def make(version: ModelVersion) -> Callable[..., SharedWeights]:
    """Build what writes beside the version."""

    def build(answer: Callable[[Session, ModelVersion], Array] = answer, **options: int) -> SharedWeights:
        return SharedWeights(lambda _: version.path.parent, answer, **options)

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


def test_same_answers(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """Who writes and who reads what was written give, bit by bit, the answers of the model's own file."""
    expected = load(version.path, Device("cpu")).run(PICTURE)

    sessions = [make().session(version) for _ in range(2)]

    assert all(np.array_equal(session.run(PICTURE), expected) for session in sessions)
    assert sessions[1].graph == load(version.path, Device("cpu")).graph


def test_shared(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """The weights are pages of one file, which running the model does not copy."""
    sessions = [make().session(version) for _ in range(2)]
    for session in sessions:
        session.run(PICTURE)

    resident, own = mapped(os.getpid(), written(version) / "model.weights")

    # The file holds some smaller weights in two layouts.
    assert resident > version.path.stat().st_size
    assert own == 0


def test_read_without_the_original(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """The second session is made from what was written, not from the model's own file."""
    make().session(version)
    expected = load(version.path, Device("cpu")).run(PICTURE)
    version.path.write_bytes(bytes(version.path.stat().st_size))

    assert np.array_equal(make().session(version).run(PICTURE), expected)


@pytest.mark.parametrize("name", ["model.onnx", "model.weights", "facts.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_damaged(version: ModelVersion, make: Callable[..., SharedWeights], name: str, damage: str) -> None:
    """What is damaged is not used, and written anew."""
    expected = make().session(version).run(PICTURE)
    path = written(version) / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        half = len(content) // 2
        path.write_bytes(
            content[:half] if damage == "cut" else content[:half] + b"\x07" + content[half + 1 :]
        )

    answers = [make().session(version).run(PICTURE) for _ in range(2)]

    assert all(np.array_equal(found, expected) for found in answers)
    assert (written(version) / "model.weights").stat().st_size > version.path.stat().st_size


@pytest.mark.parametrize(
    "facts", [None, b"{", b"[]", b'{"begun": "x"}', b'{"files": ["model.onnx"]}', b'{"files": {"a": 1}}']
)
def test_written_anew(version: ModelVersion, make: Callable[..., SharedWeights], facts: bytes | None) -> None:
    """Where its facts are damaged it is written anew, and who has the old one mapped keeps it."""
    first = make().session(version)
    expected, weights = first.run(PICTURE), written(version) / "model.weights"
    old = weights.stat().st_ino
    held = weights.open("rb")
    path = written(version) / "facts.json"
    path.unlink() if facts is None else path.write_bytes(facts)

    second = make().session(version)

    assert weights.stat().st_ino != old
    assert held.read(1)
    held.close()
    assert np.array_equal(first.run(PICTURE), expected)
    assert np.array_equal(second.run(PICTURE), expected)


def test_unexpected(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """Whatever fails, the version's own file is loaded."""

    def fail(_: Session, __: ModelVersion) -> Array:
        raise MemoryError

    assert make(fail).session(version).run(PICTURE).shape == make().session(version).run(PICTURE).shape


def test_other_answers(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """An optimised graph that answers differently is not used, by nobody and for a while."""
    calls = list[Session]()

    def differently(session: Session, _: ModelVersion) -> Array:
        calls.append(session)
        return np.array([len(calls)])

    sessions = [make(differently).session(version) for _ in range(2)]
    wrong = calls.pop()
    del calls[:]

    assert wrong not in sessions
    assert mapped(os.getpid(), written(version) / "model.weights") == (0, 0)
    assert {path.name for path in written(version).iterdir()} == {"facts.json", "lock"}


def test_whoever_began_may_have_died(
    version: ModelVersion, make: Callable[..., SharedWeights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a process began and did not come to an end, it is tried again only after a time."""
    make().session(version)
    facts = written(version) / "facts.json"
    begun = json.loads(facts.read_text())
    facts.write_text(json.dumps({"begun": facts.stat().st_mtime}))

    make().session(version)
    soon = json.loads(facts.read_text())
    monkeypatch.setattr(shared_weights, "RETRY_SECONDS", 0.0)
    make().session(version)

    assert "begun" in soon
    assert json.loads(facts.read_text()) == begun


def test_many_at_once(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """Of those who load at the same time one writes, and all share what it wrote."""
    answers = list[Session]()

    def counted(session: Session, version: ModelVersion) -> Array:
        answers.append(session)
        return answer(session, version)

    with ThreadPoolExecutor(6) as pool:
        sessions = list(pool.map(lambda _: make(counted).session(version), range(6)))

    expected = sessions[0].run(PICTURE)
    assert len(answers) == 2
    assert all(np.array_equal(session.run(PICTURE), expected) for session in sessions)


def test_small(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """A small file is loaded as it is."""
    make(min_bytes=version.path.stat().st_size + 1).session(version)

    assert list(version.path.parent.iterdir()) == [version.path]


def test_no_room(
    version: ModelVersion, make: Callable[..., SharedWeights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk is nearly full nothing is written, and the model loads."""
    usage = type("Usage", (), {"free": version.path.stat().st_size})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)

    assert make().session(version).run(PICTURE).shape == (2, 1000)
    assert not (written(version) / "model.weights").exists()


def test_too_large(
    version: ModelVersion, make: Callable[..., SharedWeights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are much larger than the model's file are not kept."""
    monkeypatch.setattr(shared_weights, "_ROOM", 2)

    assert make().session(version).run(PICTURE).shape == (2, 1000)
    assert {path.name for path in written(version).iterdir()} == {"facts.json", "lock"}


def test_failure_leaves_nothing(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """Where the attempt fails on its way, the model loads and no half-written file stays."""

    def fail(*_: object) -> Array:
        raise Internal("The model failed on this image.")

    assert make(fail).session(version).run(PICTURE).shape == (2, 1000)
    assert {path.name for path in written(version).iterdir()} == {"facts.json", "lock"}


def test_unwritable(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """Where nothing can be written, the model loads."""
    hindrance = version.path.parent / make()._name
    hindrance.write_text("no folder")

    assert make().session(version).run(PICTURE).shape == (2, 1000)


def test_bad_model(version: ModelVersion, make: Callable[..., SharedWeights]) -> None:
    """A file that the runtime cannot load is said to be one, as without all this."""
    version.path.write_bytes(bytes(5_000_000))

    with pytest.raises(InvalidModel):
        make().session(version)


def test_other_processor(
    version: ModelVersion, make: Callable[..., SharedWeights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a change of the runtime or the processor it is written anew, and the old one goes."""
    make().session(version)
    before = written(version)
    monkeypatch.setattr(shared_weights, "RUNTIME", "another release")

    make().session(version)

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
    sessions = [make(lambda session, _: session.run(picture), min_bytes=0).session(small) for _ in range(2)]

    expected = load(path, Device("cpu")).run(picture)

    assert all(np.array_equal(session.run(picture), expected) for session in sessions)
    assert (written(small) / "facts.json").exists()
