"""Uploads that are too large, too slow or find no room change nothing and leave nothing behind."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from predictor.config import BUNDLED_MODEL
from tests.live.models import FIRST, SECOND, eventually, label, labels, resident, upload
from tests.live.service import Service
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
LIMIT_MB, OVER_MB = 500, 600
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="model"; filename="m.onnx"\r\n\r\n'
END = b"\r\n--b--\r\n"


def body(megabytes: int) -> Iterator[bytes]:
    """A form with a file of zeros; sent piece by piece its length is not known beforehand."""
    yield HEAD
    for _ in range(megabytes):
        yield bytes(1_000_000)
    yield END


def head(length: int) -> bytes:
    """The head of an upload's request."""
    lines = ("POST /upload HTTP/1.1", "Host: localhost", f"Content-Length: {length}")
    return "\r\n".join((*lines, f"Content-Type: {FORM['Content-Type']}", "", "")).encode()


@contextmanager
def flat(pid: int) -> Iterator[None]:
    """Fail if a process takes much more memory at any moment of the block."""
    before, most, ended = resident(pid), list[int](), threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            most.append(resident(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    assert max(most, default=0) - before < 32_000_000


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one worker that takes models of up to 500 MB."""
    with Service(
        tmp_path_factory.mktemp("size") / "data", workers=1, cache="off", max_model_mb=LIMIT_MB
    ) as running:
        yield running


@pytest.mark.promise("U1")
def test_large_upload(alone: Service) -> None:
    """A file of 500 MB is written as it comes: the worker's memory hardly grows, and nothing is left."""
    with flat(*alone.workers()):
        answer = alone.post("/upload", data=body(LIMIT_MB - 1), headers=FORM)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_model")
    assert list((alone.data / "incoming").iterdir()) == []


def test_too_large_and_said_so(alone: Service) -> None:
    """A body whose length is over the limit is refused before any of it came."""
    with socket.create_connection(("127.0.0.1", alone.port), timeout=PATIENCE) as connection:
        connection.sendall(head(OVER_MB * 1_000_000))
        answer = ""
        while "}" not in answer and (more := connection.recv(65536)):
            answer += more.decode()

    assert answer.split("\r\n")[0].split()[1] == "413"
    assert "model_too_large" in answer
    assert list((alone.data / "incoming").iterdir()) == []


@pytest.mark.promise("U1")
def test_too_large_without_a_length(alone: Service, cat: Path) -> None:
    """A body of unknown length is read up to the limit and no further."""
    sent = list[int]()

    def counted() -> Iterator[bytes]:
        for piece in body(2 * OVER_MB):
            sent.append(len(piece))
            yield piece

    with flat(*alone.workers()):
        answer = alone.post("/upload", data=counted(), headers=FORM)
        assert (answer.status_code, answer.json()["code"]) == (413, "model_too_large")

    assert sum(sent) < (LIMIT_MB + 100) * 1_000_000
    assert list((alone.data / "incoming").iterdir()) == []
    assert label(alone, cat) == "tiger cat"


@pytest.mark.promise("U1")
def test_slow(alone: Service, cat: Path) -> None:
    """Uploads that drip hold no prediction up; broken off, they leave nothing."""
    dripping = [socket.create_connection(("127.0.0.1", alone.port), timeout=PATIENCE) for _ in range(8)]
    for one in dripping:
        one.sendall(head(100_000) + HEAD)
    until = time.monotonic() + 2
    while time.monotonic() < until:
        for one in dripping:
            one.sendall(b"x")
        assert label(alone, cat) == "tiger cat"
    assert len(list((alone.data / "incoming").iterdir())) == len(dripping)

    for one in dripping:
        one.close()

    eventually(lambda: not list((alone.data / "incoming").iterdir()))
    assert upload(alone, FIRST).status_code == 200
    alone.post("/models/default/rollback")


@pytest.mark.promise("U3")
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_full_disk(tmp_path: Path, cat: Path) -> None:
    """On a full disk uploads are refused as such; what needs no room is done, and a removal makes room."""
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

            assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
            assert labels(running, cat) == {"first"}
            assert running.post("/models/default/rollback").status_code == 200
            assert labels(running, cat) == {"tiger cat"}
            removed = requests.delete(f"{running.url}/models/default/versions/2", timeout=PATIENCE)
            assert removed.status_code == 200
            assert running.workers() == workers
            assert list((running.data / "incoming").iterdir()) == []
            filler.unlink()
            assert upload(running, SECOND).status_code == 200
            assert labels(running, cat) == {"second"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)
