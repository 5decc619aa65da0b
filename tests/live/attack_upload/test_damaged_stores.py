"""Whatever lies in the data folder, the service starts, and serves the last good version."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.models import FIRST, SECOND, label, labels, upload
from tests.live.service import Service
from tests.patience import PATIENCE

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three versions, of which the third is live."""
    data = tmp_path_factory.mktemp("sound") / "data"
    with Service(data, workers=1, cache="off") as running:
        assert upload(running, FIRST).status_code == 200
        assert upload(running, SECOND).status_code == 200
    return data


def _state(data: Path) -> None:
    for name in ("state.json", "state.copy.json"):
        (data / name).write_bytes(b'{"sha256": "", "state": "{}"}')


def _folder_for_a_state(data: Path) -> None:
    for name in ("state.json", "state.copy.json"):
        (data / name).unlink()
        (data / name).mkdir()


def _truncated(data: Path) -> None:
    path = data / "models/default/3/model.onnx"
    path.write_bytes(path.read_bytes()[:100])


def _manifest(data: Path) -> None:
    (data / "models/default/3/manifest.json").write_text(json.dumps({"model": 7}))


def _all_versions(data: Path) -> None:
    for path in data.glob("models/default/*/model.onnx"):
        path.write_bytes(b"rotten")


def _nothing_but_files(data: Path) -> None:
    for name in ("models", "workers", "incoming", "cache"):
        shutil.rmtree(data / name, ignore_errors=True)
        (data / name).write_bytes(b"a file")


def _stamp(data: Path) -> None:
    (data / "stamp").write_bytes(b"\xff" * 5000)


def _locks(data: Path) -> None:
    for name in ("publish.lock", "gate.lock", "check.lock", "device.lock", "stamp"):
        (data / name).unlink(missing_ok=True)
        (data / name).mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "state": (_state, {"second"}),
    "folder for a state": (_folder_for_a_state, {"second"}),
    "missing model": (lambda data: (data / "models/default/3/model.onnx").unlink(), {"first"}),
    "missing version": (lambda data: shutil.rmtree(data / "models/default/3"), {"first"}),
    "truncated model": (_truncated, {"first"}),
    "manifest": (_manifest, {"first"}),
    "all versions": (_all_versions, {"tiger cat"}),
    "files for folders": (_nothing_but_files, {"tiger cat", "not_ready"}),
    "stamp": (_stamp, {"second"}),
    "folders for locks": (_locks, {"second", "not_ready"}),
}
"""What is done to the store, and what the service may say afterwards."""
UNWRITABLE = {"folder for a state", "files for folders", "folders for locks"}
"""Where a person has to put things right before models can be changed again."""


@pytest.mark.promise("U12")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_store(sound: Path, tmp_path: Path, cat: Path, damage: str) -> None:
    """The service starts once and stays, alive, with the last good version or with the reason for none."""
    data = tmp_path / "data"
    shutil.copytree(sound, data)
    damaging, expected = DAMAGES[damage]
    damaging(data)

    with Service(data, workers=1, cache="off", ready=False) as running:
        deadline = time.monotonic() + PATIENCE
        while running.get("/readyz").status_code != 200 and "not_ready" not in expected:
            assert time.monotonic() < deadline, running.log
            time.sleep(0.05)
        workers = running.workers()
        found = label(running, cat)
        ready = running.get("/readyz").status_code
        change = upload(running, SECOND)
        after = label(running, cat)
        time.sleep(0.5)

        assert found in expected
        assert ready == (503 if found == "not_ready" else 200)
        assert change.status_code in ({200, 503, 507} if damage in UNWRITABLE else {200}), change.text
        assert after == ("second" if change.ok else found)
        assert running.get("/healthz").status_code == 200
        assert running.alive
        assert running.workers() == workers
        assert running.log.count("Booting worker") == 1


@pytest.mark.promise("U7")
def test_restart_with_leftovers(tmp_path: Path, cat: Path) -> None:
    """A service whose processes were all killed in the middle of an upload starts with what was live."""
    with Service(tmp_path / "data", workers=1) as running:
        assert upload(running, FIRST).status_code == 200
        running.post("/models/default/rollback")
    left = tmp_path / "data" / "incoming" / "0123456789abcdef"
    left.mkdir()
    (left / "part-0").write_bytes(b"half")
    (tmp_path / "data" / "models" / "default" / "9").mkdir()
    (tmp_path / "data" / "state.json").write_bytes(b"half")

    with Service(tmp_path / "data", workers=1) as running:
        assert label(running, cat) == "tiger cat"
        assert upload(running, SECOND).status_code == 200
        assert labels(running, cat) == {"second"}
        assert not left.exists()
