"""Answers shared through a real Redis, and a Redis that goes away."""

import os
import shutil
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


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Redis server of the test's own: its address, and its process."""
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no redis-server in continuous integration")
        pytest.skip("no redis-server is installed")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
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
