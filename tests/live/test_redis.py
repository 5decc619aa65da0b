"""Answers shared through a real Redis, and a Redis that goes away."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.live.models import eventually
from tests.live.service import Service, free_port
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
JPEG = {"Content-Type": "image/jpeg"}


def start(port: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start a Redis server of the test's own on a port of loopback."""
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no redis-server in continuous integration")
        pytest.skip("no redis-server is installed")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    return subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Redis server of the test's own: its address, and its process."""
    port = free_port()
    process = start(port, tmp_path)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        _wait(url)
        yield url, process
    finally:
        process.kill()
        process.wait(PATIENCE)


def _wait(url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            redis.Redis.from_url(url).ping()
        except redis.RedisError:
            assert time.monotonic() < deadline, "Redis did not start"
            time.sleep(0.05)
        else:
            return


def test_shared_between_machines(
    tmp_path: Path, cat: Path, server: tuple[str, subprocess.Popen[bytes]]
) -> None:
    """What one service computed, another one answers; when Redis is gone, both go on without it."""
    url, process = server
    with Service(tmp_path / "a", cache=url) as one, Service(tmp_path / "b", cache=url) as other:
        first = one.post("/predict", data=cat.read_bytes(), headers=JPEG).json()
        second = other.post("/predict", data=cat.read_bytes(), headers=JPEG).json()
        kept = redis.Redis.from_url(url).keys("predictor:*")
        process.kill()
        process.wait(PATIENCE)
        # With another option, so that no worker has the answer at hand.
        third = other.post("/predict?top_k=3", data=cat.read_bytes(), headers=JPEG)
        metrics = other.get("/metrics").text

    assert (first["cached"], second["cached"]) == (False, True)
    assert first["predictions"] == second["predictions"]
    assert kept
    assert third.status_code == 200
    assert third.json()["cached"] is False
    assert 'predictor_cache_requests_total{result="error"}' in metrics


@pytest.mark.promise("O7")
def test_hangs_and_comes_back(tmp_path: Path, cat: Path, server: tuple[str, subprocess.Popen[bytes]]) -> None:
    """A Redis that stops answering fails no prediction; each worker logs it once, and that it is back."""
    url, process = server
    image = cat.read_bytes()
    with Service(tmp_path / "data", cache=url) as service:
        process.send_signal(signal.SIGSTOP)
        # Other images, so that no worker has the answers at hand.
        answers = [
            service.post("/predict", data=image + bytes(number), headers=JPEG) for number in range(1, 40)
        ]
        eventually(lambda: service.log.count("The cache failed") == 2)
        process.send_signal(signal.SIGCONT)
        eventually(lambda: service.log.count("The cache works again") == 2)
        again = [service.post("/predict", data=image + b"again", headers=JPEG).json() for _ in range(2)]
        log = service.log

    assert [answer.status_code for answer in answers] == [200] * 39
    assert log.count("The cache failed") == 2
    assert [answer["cached"] for answer in again] == [False, True]


@pytest.mark.promise("O4")
@pytest.mark.parametrize("kind", ["list", "no JSON", "another form", "an answer of another model"])
def test_foreign_values(
    tmp_path: Path, cat: Path, server: tuple[str, subprocess.Popen[bytes]], kind: str
) -> None:
    """What another program puts under the keys is neither served nor a failure, and is replaced."""
    url, _ = server
    store = redis.Redis.from_url(url)
    with Service(tmp_path / "one", cache=url) as one:
        right = one.post("/predict", data=cat.read_bytes(), headers=JPEG).json()
    keys = [key for key in store.keys("predictor:*") if b"answer" in key]
    for key in keys:
        store.delete(key)
        if kind == "list":
            store.rpush(key, "a")
        else:
            values = {"no JSON": b"\xff{", "another form": b'{"a": 1}'}
            store.set(key, values.get(kind, b"[[99999, 0.5]]"))

    with Service(tmp_path / "other", cache=url, workers=1) as other:
        first, second = (other.post("/predict", data=cat.read_bytes(), headers=JPEG) for _ in range(2))
        log = other.log
    replaced = [store.get(key) or b"null" for key in keys]

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == {**right, "cached": False}
    assert "The cache failed" not in log
    assert [json.loads(value)[0][0] for value in replaced] == [right["predictions"][0]["index"]]


def test_degraded(tmp_path: Path, server: tuple[str, subprocess.Popen[bytes]]) -> None:
    """While Redis is away, `/readyz` is 200 and says so, even if nobody predicts; later all is well again."""
    url, process = server
    with Service(tmp_path / "a", cache=url, workers=1) as service:
        before = service.get("/readyz").json()["degraded"]
        process.kill()
        process.wait(PATIENCE)
        eventually(lambda: "cache" in service.get("/readyz").json()["degraded"])
        down = service.get("/readyz")
        again = subprocess.Popen(process.args, stdout=subprocess.DEVNULL)
        try:
            eventually(lambda: service.get("/readyz").json()["degraded"] == {})
        finally:
            again.kill()
            again.wait(PATIENCE)

    assert before == {}
    assert down.status_code == 200
    assert url.rsplit(":", 1)[1] not in down.text
