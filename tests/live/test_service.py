"""The real service: several workers behave as one."""

import base64
import contextlib
import http.client
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.live.service import Service
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
JPEG = {"Content-Type": "image/jpeg"}


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds; fail if it does not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not become true"
        time.sleep(0.05)


def counted(service: Service, sample: str) -> float:
    """The value of one sample of `/metrics`; 0 if it is not there."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", service.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def open_files(pid: int, prefix: str) -> list[Path]:
    """The files of a process whose names begin like that."""
    found = list[Path]()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # The process closes files meanwhile.
        with contextlib.suppress(FileNotFoundError):
            found.append(link.readlink())
    return [path for path in found if path.name.startswith(prefix)]


def test_every_form(service: Service, cat: Path, picture_url: str) -> None:
    """URL, base64, body and multipart give one and the same label."""
    picture = cat.read_bytes()
    answers = [
        service.post("/predict", json={"image_url": picture_url}),
        service.post("/predict", json={"image": base64.b64encode(picture).decode()}),
        service.post("/predict", data=picture, headers=JPEG),
        service.post("/predict", files={"image": picture}),
        service.post("/predict", data={"image_url": picture_url}),
    ]

    labels = {answer.json()["predicted_label"] for answer in answers}

    assert [answer.status_code for answer in answers] == [200] * 5
    assert labels == {"tiger cat"}


def test_cache_is_shared(service: Service, cat: Path) -> None:
    """Whichever worker answers, a repeated request comes from the cache."""
    service.post("/predict?top_k=3", data=cat.read_bytes(), headers=JPEG)

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: service.post("/predict?top_k=3", data=cat.read_bytes(), headers=JPEG), range(32)
            )
        )

    assert all(answer.json()["cached"] for answer in answers)
    seen = set(re.findall(r'"process":(\d+),"message":"request"', service.log))
    assert seen == {str(worker) for worker in service.workers()}


def test_connections_spread(tmp_path: Path, cat: Path) -> None:
    """Kept-alive connections do not stay with one worker when another has none."""
    with Service(tmp_path / "data", cache="off") as service:
        victim = min(service.workers())
        os.kill(victim, signal.SIGSTOP)
        sessions = [requests.Session() for _ in range(6)]
        try:
            for session in sessions:
                session.get(f"{service.url}/healthz", timeout=PATIENCE)
        finally:
            os.kill(victim, signal.SIGCONT)
        for _ in range(5):
            for session in sessions:
                answer = session.post(
                    f"{service.url}/predict", data=cat.read_bytes(), headers=JPEG, timeout=PATIENCE
                )
                assert answer.status_code == 200

        seen = re.findall(r'"process":(\d+),"message":"request"[^\n]*"path":"/predict"', service.log)
        for session in sessions:
            session.close()

    assert set(seen) == {str(worker) for worker in {victim, *map(int, seen)}}
    assert len(set(seen)) == 2


def test_connections_stay(tmp_path: Path, cat: Path) -> None:
    """Under load by many kept connections few of them are let go: the workers do not toss them to and fro."""
    connections, requests_each = 32, 20

    def let_go(_: int) -> int:
        connection, closed = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE), 0
        for _ in range(requests_each):
            connection.request("POST", "/predict", cat.read_bytes(), JPEG)
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (200, True)
            closed += answer.will_close
        connection.close()
        return closed

    with Service(tmp_path / "data", cache="off") as service, ThreadPoolExecutor(connections) as pool:
        closed = sum(pool.map(let_go, range(connections)))

    assert closed <= 0.1 * connections * requests_each


def test_weights_are_shared(service: Service) -> None:
    """All workers have the weights of the model from one and the same file."""
    maps = [Path(f"/proc/{worker}/maps").read_text() for worker in service.workers()]

    mapped = [set(re.findall(r"\S+/optimised-\w+/model\.weights", text)) for text in maps]

    assert len(mapped) == 2
    assert [len(files) for files in mapped] == [1, 1]
    assert mapped[0] == mapped[1]


def test_memory_of_photographs(tmp_path: Path, photograph: bytes) -> None:
    """Photographs use the memory of those before them: new pages for each take longer than to decode it."""
    count = 20
    with Service(tmp_path / "data", workers=1, cache="off") as service:
        (worker,) = service.workers()
        for _ in range(count):
            assert service.post("/predict", data=photograph, headers=JPEG).ok
        before = new_pages(worker)
        for _ in range(count):
            assert service.post("/predict", data=photograph, headers=JPEG).ok

        assert (new_pages(worker) - before) / count < 1000


def new_pages(process: int) -> int:
    """How many pages of memory a process was given so far, by proc(5)."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[7])


def test_log_line(service: Service) -> None:
    """Each request leaves one line, with its id."""
    service.get("/models", headers={"X-Request-ID": "look-for-me"})

    eventually(lambda: service.log.count("look-for-me") == 1)
    assert '"path":"/models"' in next(line for line in service.log.splitlines() if "look-for-me" in line)


def test_quiet_start(tmp_path: Path) -> None:
    """On a machine without a GPU nothing is logged as a warning or error at the start."""
    with Service(tmp_path / "data", cache="off") as service:
        start = service.log

    assert '"level":"info"' in start
    assert [
        line for line in start.splitlines() if re.search(r"warning|error\b(?!\")", line, re.IGNORECASE)
    ] == []


@pytest.mark.promise("G9")
def test_killed_worker(tmp_path: Path, cat: Path) -> None:
    """A killed worker is replaced, totals stay right, and gauges forget the dead."""
    with Service(tmp_path / "data", cache="off") as service:
        for _ in range(20):
            assert service.post("/predict", data=cat.read_bytes(), headers=JPEG).status_code == 200
        before = set(service.workers())
        victim = min(before)
        assert counted(service, "predictor_worker_deaths_total") == 0
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: len(service.workers()) == 2 and victim not in service.workers())
        for _ in range(20):
            assert service.post("/predict", data=cat.read_bytes(), headers=JPEG).status_code == 200

        sample = 'predictor_images_total{model="default",outcome="ok",version="1"}'
        eventually(lambda: counted(service, sample) == 40)
        assert counted(service, "predictor_queue_images") == 0
        assert counted(service, "predictor_worker_deaths_total") == 1
        files = list(service.metrics.iterdir())
        assert len({file.stem.rsplit("_", 1)[-1] for file in files}) <= 3


@pytest.mark.promise("G9")
def test_damaged_metrics(tmp_path: Path) -> None:
    """Empty and damaged files of a killed worker spoil neither `/metrics` nor the worker that follows."""
    with Service(tmp_path / "data") as service:
        folder = service.metrics
        victim = min(service.workers())
        (folder / "counter_7.db").write_bytes(b"")
        (folder / "histogram_8.db").write_bytes(b"\x01\x02")
        (folder / "gauge_livesum_9.db").write_bytes(os.urandom(5000))
        assert service.get("/metrics").status_code == 200

        eventually(lambda: bool(open_files(victim, "histogram_")))
        histogram = open_files(victim, "histogram_")[0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: victim not in service.workers())
        histogram.write_bytes(b"\x7f" * 4096)
        eventually(lambda: len(service.workers()) == 2)

        assert service.get("/metrics").status_code == 200
        assert service.get("/readyz").status_code == 200
        assert service.alive


def test_stop_under_load(tmp_path: Path, cat: Path) -> None:
    """A request that has begun is answered before the service stops."""
    statuses: list[int] = []
    picture = cat.read_bytes()
    with Service(tmp_path / "data", cache="off") as service:
        many = {"images": [base64.b64encode(picture).decode()] * 32}
        request = threading.Thread(
            target=lambda: statuses.append(service.post("/predict", json=many).status_code)
        )
        request.start()
        eventually(lambda: counted(service, "predictor_queue_images") > 0)
        service.stop()
        request.join(PATIENCE)

    assert statuses == [200]


@pytest.mark.promise("M11")
def test_not_ready(tmp_path: Path) -> None:
    """A GPU that is not there leaves a service that says so, and never stops gunicorn."""
    environment_hides_gpus = {"device": "cuda:99"}
    with Service(tmp_path / "data", ready=False, **environment_hides_gpus) as service:
        answer = service.get("/readyz")

        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert service.get("/").status_code == 200
        assert service.alive


def test_wrong_setting(tmp_path: Path) -> None:
    """A wrong setting stops the start, in one sentence that names it."""
    service = Service(tmp_path / "data", threads="many")

    with pytest.raises(AssertionError, match="PREDICTOR_THREADS='many'"), service:
        pass

    assert "Traceback" not in service.log


@pytest.mark.promise("G8")
def test_no_session_in_the_master(service: Service) -> None:
    """The master has loaded neither onnxruntime nor CUDA, so no worker inherits a session."""
    maps = Path(f"/proc/{service.master}/maps").read_text()
    worker = Path(f"/proc/{service.workers()[0]}/maps").read_text()

    assert "onnxruntime" not in maps
    assert "libcuda" not in maps
    assert "onnxruntime" in worker


def test_workers_share_libraries(service: Service) -> None:
    """The master has loaded a library that every worker needs, so that they share its memory."""
    assert "numpy" in Path(f"/proc/{service.master}/maps").read_text()


def test_second_server_on_the_same_data(tmp_path: Path) -> None:
    """Two servers may share a data folder; each counts for itself."""
    with Service(tmp_path / "data") as first, Service(tmp_path / "data") as second:
        first.get("/healthz")
        sample = 'http_requests_total{endpoint="ops.healthz",method="GET",status="200"}'

        assert counted(first, sample) == 1
        assert counted(second, sample) == 0
        assert first.metrics != second.metrics
