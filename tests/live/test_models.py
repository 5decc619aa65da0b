"""Models are switched under load, killed, crashed and broken, and the service goes on."""

import io
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from predictor.config import BUNDLED_MODEL
from tests.live.load import Sent
from tests.live.service import Service
from tests.live.steady import steady
from tools import bad_models, external_models
from tools.sample_models import classifier

pytestmark = pytest.mark.live
JPEG = {"Content-Type": "image/jpeg"}
# Two models that always answer with their own label.
FIRST = classifier(["first", "other"], winner=0, seed=1)
SECOND = classifier(["second", "other"], winner=0, seed=2)


def upload(service: Service, model: bytes, name: str = "my.onnx", **data: str) -> requests.Response:
    """Send a model."""
    return service.post("/upload", files={"model": (name, model)}, data=data)


def label(service: Service, cat: Path, query: str = "") -> str:
    """What the service says of the cat, or the code of the error, on a connection of its own."""
    headers = JPEG | {"Connection": "close"}
    answer = service.post(f"/predict{query}", data=cat.read_bytes(), headers=headers).json()
    return str(answer.get("predicted_label", answer.get("code")))


def labels(service: Service, cat: Path, times: int = 16) -> set[str]:
    """What the service says when it is asked often enough for all workers to answer."""
    with ThreadPoolExecutor(4) as pool:
        return set(pool.map(lambda _: label(service, cat), range(times)))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A service with a store of its own and two workers."""
    with Service(tmp_path / "data", cache="off") as running:
        yield running


def eventually(condition: Any, seconds: float = 30) -> None:
    """Wait until a condition holds; fail if it does not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not become true"
        time.sleep(0.05)


def _possible(request: Sent, done: list[tuple[float, str]]) -> set[str]:
    """What may answer: the model whose upload was answered last before the request, or the next one."""
    before = [name for moment, name in done if moment <= request.sent]
    after = [name for moment, name in done if moment > request.sent][:1]
    return {*(before[-1:] or ["tiger cat"]), *after}


def test_switch_under_load(fresh: Service, cat: Path) -> None:
    """Ten uploads under load: no request fails, and none sent after an answer gets an older model."""
    done: list[tuple[float, str]] = []
    with steady(fresh, cat, rate=30) as sent:
        time.sleep(1)
        for number in range(10):
            model, name = ((FIRST, "first"), (SECOND, "second"))[number % 2]
            answer = upload(fresh, model)
            assert answer.status_code == 200, answer.text
            done.append((time.time(), name))
        time.sleep(0.5)

    assert len(sent) > 30
    assert [request for request in sent if request.status != 200] == []
    stale = [request for request in sent if request.label not in _possible(request, done)]
    assert stale == []
    assert {request.label for request in sent} >= {"first", "second"}
    assert labels(fresh, cat) == {"second"}


def test_many_at_once(fresh: Service, cat: Path) -> None:
    """Eight uploads at once: each is served or told to try again, and no two get the same number."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: upload(fresh, (FIRST, SECOND)[number % 2]), range(8)))

    assert {answer.status_code for answer in answers} <= {200, 409}
    versions = [answer.json()["version"] for answer in answers if answer.status_code == 200]
    assert versions
    assert len(set(versions)) == len(versions)
    shown = fresh.get("/models/default").json()
    assert shown["live"] == max(versions)
    uploads = [event["version"] for event in shown["history"]]
    assert uploads == sorted(uploads)
    assert len(labels(fresh, cat)) == 1


def test_killed_workers(fresh: Service, cat: Path) -> None:
    """Whichever worker is killed at whatever moment of an upload, one model serves everywhere, old or new."""
    chance = random.Random(7)
    serving = "tiger cat"
    for number in range(12):
        model, name = ((FIRST, "first"), (SECOND, "second"))[number % 2]
        answers = list[int]()

        def send(model: bytes = model, answers: list[int] = answers) -> None:
            try:
                answers.append(upload(fresh, model).status_code)
            except requests.ConnectionError:
                answers.append(0)

        sender = threading.Thread(target=send)
        sender.start()
        time.sleep(chance.uniform(0, 0.8))
        os.kill(chance.choice(fresh.workers()), signal.SIGKILL)
        sender.join(60)
        eventually(lambda: len(fresh.workers()) == 2)
        eventually(lambda: fresh.get("/readyz").status_code == 200)

        found = labels(fresh, cat)

        assert len(found) == 1, f"{answers}: {found}"
        assert found <= {serving, name}
        assert answers != [200] or found == {name}
        serving = found.pop()

    eventually(lambda: not list((fresh.data / "incoming").iterdir()))
    shown = fresh.get("/models/default").json()
    kept = {str(version["version"]) for version in shown["versions"]} - {"1"}
    assert {path.name for path in (fresh.data / "models" / "default").iterdir()} == kept
    assert all(version["quarantined"] is None for version in shown["versions"])


def test_killed_while_it_starts(fresh: Service, cat: Path) -> None:
    """A worker that starts during an upload serves the new model from its first answer."""
    os.kill(fresh.workers()[0], signal.SIGKILL)

    assert upload(fresh, FIRST).status_code == 200

    for _ in range(20):
        assert labels(fresh, cat, times=4) == {"first"}
    eventually(lambda: len(fresh.workers()) == 2)


REFUSED = {
    "text": bad_models.TEXT,
    "truncated": bad_models.truncated(),
    "constant": bad_models.huge_constant(),
    "functions": bad_models.chained_functions(),
    "not finite": bad_models.not_finite(),
    "no image": bad_models.no_image(),
    "strings": bad_models.strings(),
    "labels": bad_models.wrong_labels(),
    "loop": bad_models.troubled("loop"),
    "crash": bad_models.troubled("crash"),
    "external": external_models.external_data("../weights.bin"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(service: Service, cat: Path, kind: str) -> None:
    """What must not be served is refused with a reason, and no worker notices."""
    before, workers = label(service, cat), service.workers()

    answer = upload(service, REFUSED[kind])

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_model")
    assert len(problem["detail"]) > 20
    assert str(service.data) not in answer.text
    assert service.workers() == workers
    assert label(service, cat) == before


def hot() -> bytes:
    """A picture that sets a time bomb off."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), bad_models.HOT, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("trouble", ["crash", "kernel"])
def test_time_bomb(tmp_path: Path, cat: Path, trouble: Any) -> None:
    """A model that passes its check and brings workers down later is quarantined at the second death."""
    with Service(tmp_path / "data", cache="off", run_seconds=1) as running:
        assert upload(running, bad_models.time_bomb(trouble)).status_code == 200
        assert label(running, cat) in bad_models.COLOURS
        master = running.master

        for _ in range(2):
            with pytest.raises(requests.ConnectionError):
                running.post("/predict", data=hot(), headers={"Content-Type": "image/png"})
            eventually(lambda: len(running.workers()) == 2)

        eventually(lambda: running.get("/models/default").json()["live"] == 1)
        eventually(lambda: labels(running, cat) == {"tiger cat"})
        shown = running.get("/models/default").json()["versions"][0]
        assert "brought workers" in shown["quarantined"]
        again = running.post("/models/default/activate", json={"version": shown["version"]})
        assert (again.status_code, again.json()["code"]) == (409, "model_conflict")
        assert running.master == master
        assert running.alive


def test_endless_loop(tmp_path: Path, cat: Path) -> None:
    """A run that never ends but heeds the request to stop costs its own request, and no worker."""
    with Service(tmp_path / "data", cache="off", run_seconds=1, allow_loops="on") as running:
        assert upload(running, bad_models.time_bomb("loop")).status_code == 200
        workers = running.workers()

        answer = running.post("/predict", data=hot(), headers={"Content-Type": "image/png"})

        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert running.workers() == workers
        assert label(running, cat) in bad_models.COLOURS


def resident(pid: int) -> int:
    """Bytes of memory that a process has of its own."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_", "Shared_Dirty")))


def test_large_upload(tmp_path: Path) -> None:
    """A file of 500 MB is written as it comes: the worker's memory hardly grows, and nothing is left."""
    with Service(tmp_path / "data", workers=1, max_model_mb=500) as running:
        (worker,) = running.workers()
        before, most = resident(worker), list[int]()
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.05):
                most.append(resident(worker))

        watcher = threading.Thread(target=watch)
        watcher.start()
        boundary = b'--b\r\nContent-Disposition: form-data; name="model"; filename="m.onnx"\r\n\r\n'

        def body() -> Iterator[bytes]:
            yield boundary
            for _ in range(499):
                yield bytes(1_000_000)
            yield b"\r\n--b--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = running.post("/upload", data=body(), headers=headers)
        ended.set()
        watcher.join()

        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_model")
        assert max(most) - before < 32_000_000
        assert list((running.data / "incoming").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_full_disk(tmp_path: Path, cat: Path) -> None:
    """On a full disk changes are refused as such, and the former model serves until there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        with Service(disk / "data") as running:
            assert upload(running, FIRST).status_code == 200
            filler = disk / "filler"
            subprocess.run(["dd", "if=/dev/zero", f"of={filler}"], stderr=subprocess.DEVNULL, check=False)
            workers = running.workers()

            answer = upload(running, BUNDLED_MODEL.read_bytes())
            rollback = running.post("/models/default/rollback")

            assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
            assert (rollback.status_code, rollback.json()["code"]) == (507, "storage_full")
            assert labels(running, cat) == {"first"}
            assert running.workers() == workers
            assert list((running.data / "incoming").iterdir()) == []
            filler.unlink()
            assert upload(running, SECOND).status_code == 200
            assert labels(running, cat) == {"second"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


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
