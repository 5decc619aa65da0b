"""Three machines with two workers each on one bucket: they change together, whatever fails."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.live.models import FIRST, SECOND, eventually, label, labels, upload, upload_as
from tests.live.service import ROOT, Service, free_port
from tests.patience import PATIENCE
from tests.web.colours import archive, colours, picture
from tools.sample_models import classifier

pytestmark = pytest.mark.live

POLL_SECONDS = 0.1
PURE = {
    "red/1.png": picture((220, 20, 20)),
    "green/1.png": picture((20, 220, 20)),
    "blue/1.png": picture((20, 20, 220)),
}
EXTRAS = {"model_signing", "obstore", "opentelemetry", "pyarrow", "ray"}
CLOUD = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
}


def other(name: str, seed: int) -> bytes:
    """A model that always answers with a name."""
    return classifier([name, "other"], winner=0, seed=seed)


class Store:
    """A server with the S3 protocol that can be stopped, killed and started again.

    Attributes:
        folder: where its objects are files.
    """

    def __init__(self, folder: Path, command: Callable[[Path, int], list[str]]) -> None:
        self.folder = folder
        (folder / "bucket").mkdir(parents=True)
        self.port = free_port()
        self._command = command(folder, self.port)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it can be connected to."""
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            env=os.environ | {"NANIO_ACCESS_KEY": "test", "NANIO_SECRET_KEY": "test"},
        )

        def listens() -> bool:
            assert self._process.poll() is None, "the store has ended"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        eventually(listens)

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def machine(self, data: Path, **settings: object) -> Service:
        """A machine that shares this store, not started yet."""
        given: dict[str, Any] = {
            "store": "s3://bucket/models",
            "store_seconds": POLL_SECONDS,
            "cache": "off",
            **settings,
        }
        service = Service(data, **given)
        service.environment = CLOUD | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}
        return service


def localbucket(folder: Path, port: int) -> list[str]:
    """A server that keeps its word."""
    return [sys.executable, "-m", "localbucket", str(folder), "--port", str(port)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that keeps its word."""
    made = Store(tmp_path_factory.mktemp("store"), localbucket)
    yield made
    made.send(signal.SIGCONT)
    made.stop()


@pytest.fixture(scope="module")
def three(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Service]]:
    """Three machines of that store."""
    with ExitStack() as running, ThreadPoolExecutor(3) as pool:
        made = [store.machine(tmp_path_factory.mktemp(name) / "data", machine=name) for name in "abc"]
        yield list(pool.map(running.enter_context, made))


@pytest.mark.promise("C1")
def test_together(three: list[Service], cat: Path) -> None:
    """After an upload to any machine every worker of every machine serves it, and all say so."""
    for number, (author, model, answer) in enumerate(
        [(three[0], FIRST, "first"), (three[1], SECOND, "second")], 1
    ):
        uploaded = upload(author, model).json()
        assert uploaded["machines"] == {"serving": 3, "of": 3}
        assert [labels(one, cat, 8) for one in three] == [{answer}] * 3
        shown = [one.get("/models").json() for one in three]
        assert [found["serial"] for found in shown] == [number] * 3
    assert [one["name"] for one in shown[2]["machines"] if one["this"]] == ["c"]
    metrics = three[2].get("/metrics").text
    assert "predictor_store_serial 2.0" in metrics
    assert "predictor_machines 3.0" in metrics
    assert "Machines" in three[0].get("/upload").text


@pytest.mark.promise("C7")
def test_nothing_of_it_in_the_master(three: list[Service]) -> None:
    """The library of the bucket does not survive a fork: no master has loaded it, and workers have."""

    def has(process: int) -> bool:
        return "_obstore" in Path(f"/proc/{process}/maps").read_text()

    for one in three:
        assert not has(one.master)
        assert all(map(has, one.workers()))


@pytest.mark.promise("C1")
def test_changes_without_an_upload(three: list[Service], cat: Path) -> None:
    """A rollback and a deletion on one machine are those of all."""
    answer = three[2].post("/models/default/rollback").json()
    assert answer["machines"] == {"serving": 3, "of": 3}
    assert [label(one, cat) for one in three] == ["first"] * 3

    deleted = requests.delete(f"{three[0].url}/models/default/versions/3", timeout=PATIENCE)
    assert deleted.json()["machines"]["of"] == 3
    found = [one.get("/models/default").json()["versions"] for one in three]
    assert [[version["version"] for version in one] for one in found] == [[2, 1]] * 3


@pytest.mark.promise("C1", "C5")
def test_golden_images(three: list[Service], store: Store, tmp_path: Path) -> None:
    """Golden images that one machine got refuse worse uploads at all, until they are removed on any."""
    a, b, _ = three
    worse = colours(9.0, (1, 0, 2))
    assert upload_as(a, colours(), "colours").status_code == 200
    kept = a.post("/models/colours/golden", files={"pictures": ("set.zip", archive(PURE)[0])}).json()
    assert (kept["least"], kept["machines"]) == (3, {"serving": 3, "of": 3})

    with store.machine(tmp_path / "data", machine="e", workers=1) as late:
        refused = [upload_as(one, worse, "colours") for one in (b, late)]
        assert [(one.status_code, len(one.json()["wrong"])) for one in refused] == [(422, 2)] * 2

        removed = requests.delete(f"{b.url}/models/colours/golden", timeout=PATIENCE).json()
        assert (removed["images"], removed["machines"]) == ([], {"serving": 4, "of": 4})
        assert [one.get("/models/colours/golden").json()["images"] for one in (a, late)] == [[]] * 2
        assert upload_as(a, worse, "colours").status_code == 200


@pytest.mark.promise("C2")
def test_author_is_killed(three: list[Service], store: Store, cat: Path) -> None:
    """Both workers of a machine die between announcing and deciding: nothing changes, nobody is blocked."""
    author, slow, third = three
    for worker in slow.workers():
        os.kill(worker, signal.SIGSTOP)
    pending = store.folder / "bucket" / "models" / "pending"
    known = set(pending.iterdir())
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(upload, author, other("lost", 7))
        eventually(lambda: set(pending.iterdir()) - known)
        for worker in author.workers():
            os.kill(worker, signal.SIGKILL)
        with pytest.raises(requests.ConnectionError):
            lost.result(PATIENCE)
    for worker in slow.workers():
        os.kill(worker, signal.SIGCONT)

    assert upload(third, other("next", 8)).status_code == 200
    eventually(lambda: [label(one, cat) for one in three] == ["next"] * 3)


@pytest.mark.promise("C3")
def test_hanging_store(three: list[Service], store: Store, cat: Path) -> None:
    """While the store hangs, predictions go on and changes get 507; afterwards changes are made again."""
    store.send(signal.SIGSTOP)
    refused = upload(three[0], other("no", 9))
    assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
    assert [label(one, cat) for one in three] == ["next"] * 3
    eventually(lambda: "store" in three[1].get("/readyz").json()["degraded"])
    store.send(signal.SIGCONT)

    eventually(lambda: three[1].get("/readyz").json()["degraded"] == {})
    assert upload(three[1], other("again", 10)).json()["machines"] == {"serving": 3, "of": 3}
    assert [labels(one, cat, 4) for one in three] == [{"again"}] * 3


@pytest.mark.promise("C3")
def test_restart_without_the_store(three: list[Service], store: Store, cat: Path) -> None:
    """A machine that is started while the store is down serves its own copy, and is ready."""
    store.stop()
    three[2].stop()
    with three[2]:
        assert label(three[2], cat) == "again"
        store.start()
        eventually(lambda: three[2].get("/readyz").json()["degraded"] == {})
        assert upload(three[2], other("back", 11)).json()["machines"] == {"serving": 3, "of": 3}
        assert [label(one, cat) for one in three] == ["back"] * 3


@pytest.mark.promise("C5")
def test_cold_machine(three: list[Service], store: Store, cat: Path, tmp_path: Path) -> None:
    """A machine without models of its own serves those of the others before it is ready."""
    live = three[0].get("/models/default").json()["live"]
    with store.machine(tmp_path / "data", machine="d", workers=1) as cold:
        assert labels(cold, cat, 4) == {"back"}
        assert cold.get("/models/default").json()["live"] == live


@pytest.mark.promise("C4")
@pytest.mark.promise("C2")
def test_stopped_machine(store: Store, tmp_path: Path) -> None:
    """A machine that is stopped is waited for no more; one whose workers are replaced still is."""
    heartbeat = store.folder / "bucket" / "models" / "machines" / "f"
    machine = store.machine(tmp_path / "data", machine="f", workers=1)
    machine.folder = tmp_path
    machine.command = (sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py"))
    machine.environment = {**machine.environment, "PREDICTOR_DATA": "data", "PYTHONPATH": str(ROOT)}
    with machine as stopped:
        former = stopped.workers()
        os.kill(stopped.master, signal.SIGHUP)
        eventually(lambda: not set(former) & set(stopped.workers()))
        assert heartbeat.exists()

    assert not heartbeat.exists()


def test_refused_store(tmp_path: Path) -> None:
    """A store that overwrites what must stay is refused at the start, in one sentence."""
    bad = Store(tmp_path / "store", _nanio)
    try:
        with pytest.raises(AssertionError, match="If-None-Match") as caught, bad.machine(tmp_path / "data"):
            pass
    finally:
        bad.stop()
    assert "Configuration: PREDICTOR_STORE" in str(caught.value)


def _nanio(folder: Path, port: int) -> list[str]:
    program = shutil.which("nanio", path=str(Path(sys.executable).parent)) or "nanio"
    return [program, "serve", "--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(port)]


@pytest.mark.promise("C7")
def test_single_machine(tmp_path: Path) -> None:
    """Without the setting nothing of it is loaded, and no answer or metric speaks of machines."""
    alone = Service(tmp_path / "data", workers=1)
    # Each process writes the name of each module that it imports.
    alone.environment = {"PYTHONPROFILEIMPORTTIME": "1"}
    with alone:
        assert upload(alone, FIRST).json().keys().isdisjoint({"machines"})
        assert alone.get("/models").json().keys() == {"models"}
        assert "predictor_store" not in alone.get("/metrics").text
        for process in (alone.master, *alone.workers()):
            assert "_obstore" not in Path(f"/proc/{process}/maps").read_text()
        assert not list(tmp_path.glob("data/cluster*"))
    imported = {name.split(".")[0] for name in re.findall(r"\| +([\w.]+)$", alone.log, re.MULTILINE)}
    assert imported >= {"gunicorn", "flask", "onnxruntime", "predictor"}
    assert imported.isdisjoint(EXTRAS), imported & EXTRAS
