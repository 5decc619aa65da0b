"""The files of metrics: bounded however many workers there were, harmless on a full disk."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.raw import call
from tests.live.service import Service
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
RECYCLES = int(os.environ.get("RECYCLES", "20"))
COUNTED = 'http_requests_total{endpoint="ops.healthz",method="GET",status="200"}'


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds; fail if it does not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not become true"
        time.sleep(0.02)


@pytest.mark.promise("G9")
def test_recycled_workers(tmp_path: Path) -> None:
    """However many workers come and go, the files stay few, and the totals are those of all of them."""
    with Service(tmp_path / "data") as service:
        folder = service.metrics
        asked = 0
        for _ in range(RECYCLES // 2):
            for _ in range(5):
                call(service.port, "GET", "/healthz")
            asked += 5
            ready = service.log.count("Ready: model")
            for worker in service.workers():
                os.kill(worker, signal.SIGTERM)
            eventually(lambda ready=ready: service.log.count("Ready: model") == ready + 2)  # type: ignore[misc]
        shown = service.get("/metrics").text
        files = list(folder.iterdir())

        assert float(re.findall(rf"^{re.escape(COUNTED)} (\S+)$", shown, re.MULTILINE)[0]) == asked
        # Three kinds for each of two workers and of those that were still ending when these began.
        assert len(files) <= 3 * 4
    assert not folder.exists()


@pytest.mark.promise("G10")
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_full_disk(tmp_path: Path, cat: Path) -> None:
    """On a full disk a thousand requests of all kinds cost no worker, and the metrics are still given."""
    # The log lies outside: nothing is written there when the disk is full.
    disk = tmp_path / "data"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        with Service(disk) as service:
            subprocess.run(
                ["dd", "if=/dev/zero", f"of={disk}/filler"], stderr=subprocess.DEVNULL, check=False
            )
            workers = service.workers()
            kinds = [("GET", path) for path in ("/healthz", "/models", "/nothing", "/", "/docs", "/metrics")]
            kinds += [("POST", "/predict"), ("POST", "/upload"), ("DELETE", "/healthz"), ("PUT", "/models")]
            statuses = set[int]()
            for _ in range(95):
                statuses |= {call(service.port, *kind, source="127.0.0.1")[0] for kind in kinds}
            for number in range(50):
                answer = service.post(
                    f"/predict?top_k={number + 1}",
                    data=cat.read_bytes(),
                    headers={"Content-Type": "image/jpeg"},
                )
                statuses.add(answer.status_code)

            assert service.workers() == workers
            assert statuses <= {200, 400, 404, 405, 415, 422}
            # Nor does it keep a worker from starting.
            os.kill(workers[0], signal.SIGKILL)
            eventually(lambda: service.log.count("Ready: model") == 3)
            for _ in range(10):
                assert service.get("/metrics").status_code == 200
            assert "predictor_images_total" in service.get("/metrics").text
            assert service.alive
    finally:
        subprocess.run(["umount", str(disk)], check=True)
