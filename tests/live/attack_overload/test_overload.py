"""More images than can be computed: what is taken on is answered well, the rest is refused at once."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.live.load import Sent
from tests.live.models import eventually
from tests.live.service import ROOT, Service
from tests.live.steady import steady
from tests.patience import PATIENCE
from tools.sample_models import slow_classifier

pytestmark = pytest.mark.live
JPEG = {"Content-Type": "image/jpeg"}
# Many times what the slow model can do on any machine.
RATE = 150.0


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose model takes a core for some time, and in which two images may wait in a worker."""
    data = tmp_path_factory.mktemp("slow") / "data"
    with Service(data, cache="off", max_queue=2) as running:
        # So slow that the processor time of those who ask, and of refusals, hardly counts.
        model = slow_classifier(["slow", "other"], layers=5)
        assert running.post("/upload", files={"model": ("slow.onnx", model)}).status_code == 200
        yield running


def load(service: Service, cat: Path, rate: float, duration: float) -> list[Sent]:
    """An open loop: each request is due at its time, whatever became of those before it."""
    with steady(service, cat, rate) as sent:
        time.sleep(duration)
    return sent


@pytest.mark.promise("O1")
def test_four_times_capacity(slow: Service, cat: Path) -> None:
    """Far more than can be computed is refused as such, the rest is answered, and then all is as before."""
    busy = load(slow, cat, RATE, 4)
    after = [slow.post("/predict", data=cat.read_bytes(), headers=JPEG) for _ in range(6)]

    statuses = [request.status for request in busy]
    assert {(request.status, request.label) for request in busy} == {(200, "slow"), (503, "overloaded")}
    assert statuses.count(503) > statuses.count(200)
    assert {(answer.status_code, answer.json()["predicted_label"]) for answer in after} == {(200, "slow")}


@pytest.mark.promise("O1")
def test_probes_stay_quick(slow: Service, cat: Path) -> None:
    """While images are refused, probes, metrics and the page answer; readiness comes back afterwards."""
    with steady(slow, cat, RATE):
        eventually(lambda: slow.get("/readyz").status_code == 503)
        statuses = [slow.get(path).status_code for path in ("/healthz", "/metrics", "/") * 5]

    assert set(statuses) == {200}
    eventually(lambda: slow.get("/readyz").status_code == 200)


@pytest.mark.promise("O1")
@pytest.mark.parametrize(
    ("path", "headers", "kind", "fields"),
    [
        (
            "/predict",
            JPEG,
            "application/problem+json",
            {"type", "title", "status", "detail", "code", "request_id"},
        ),
        ("/v2/models/default/infer", {"Inference-Header-Content-Length": "0"}, "application/json", {"error"}),
    ],
    ids=["predict", "v2"],
)
def test_retry_after(
    slow: Service, cat: Path, path: str, headers: dict[str, str], kind: str, fields: set[str]
) -> None:
    """A refusal says in whole seconds when to come back, in the form of its protocol."""
    refused = list[requests.Response]()

    def is_refused() -> bool:
        answer = slow.post(path, data=cat.read_bytes(), headers=headers)
        refused.extend([answer] * (answer.status_code == 503))
        assert answer.status_code in {200, 503}
        return len(refused) > 5

    with steady(slow, cat, RATE):
        eventually(is_refused)

    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert {answer.headers["Content-Type"] for answer in refused} == {kind}
    assert {frozenset(answer.json()) for answer in refused} == {frozenset(fields)}
    eventually(lambda: slow.post(path, data=cat.read_bytes(), headers=headers).status_code == 200)


def ran(service: Service) -> float:
    """How many images the models have run for."""
    line = 'predictor_images_total{model="default",outcome="ok"'
    return sum(
        float(found.rsplit(" ", 1)[1])
        for found in service.get("/metrics").text.splitlines()
        if found.startswith(line)
    )


def waiting(service: Service) -> float:
    """How many images the service has accepted and not yet answered."""
    text = service.get("/metrics").text
    return float(re.findall(r"^predictor_queue_images (\S+)$", text, re.MULTILINE)[0])


def test_callers_that_leave(tmp_path: Path, cat: Path) -> None:
    """Images of callers that have left do not run; who waits behind them is answered."""
    picture = cat.read_bytes()
    length = len(picture)
    head = (
        f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"
    )
    with Service(tmp_path / "data", cache="off", workers=1, max_queue=64) as service:
        model = slow_classifier(["slow", "other"], layers=6)
        assert service.post("/upload", files={"model": ("slow.onnx", model)}).status_code == 200
        before = ran(service)
        callers = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(30)]
        for caller in callers:
            caller.sendall(head.encode() + picture)
        time.sleep(0.3)
        for caller in callers:
            caller.close()

        answer = service.post("/predict", data=picture, headers=JPEG)

        assert answer.status_code == 200
        assert ran(service) - before < 20


def test_deadline(tmp_path: Path, cat: Path) -> None:
    """A request that would be begun after its deadline is refused, one that has more time is answered."""
    with Service(tmp_path / "data", cache="off", workers=1, max_queue=64) as service:
        model = slow_classifier(["slow", "other"], layers=6)
        assert service.post("/upload", files={"model": ("slow.onnx", model)}).status_code == 200
        with ThreadPoolExecutor(12) as pool:

            def post(deadline: str) -> requests.Response:
                headers = JPEG | {"X-Request-Deadline-Ms": deadline}
                return service.post("/predict", data=cat.read_bytes(), headers=headers)

            patient = [pool.submit(post, "3600000") for _ in range(10)]
            eventually(lambda: waiting(service) > 1)
            hasty = post("1")
            answers = [future.result() for future in patient]

    assert (hasty.status_code, hasty.json()["code"]) == (503, "overloaded")
    assert {answer.status_code for answer in answers} == {200}


def test_slow_downloads(tmp_path: Path, cat: Path) -> None:
    """As many downloads that never end as a worker takes on leave its probes and other images alone."""
    silent = socket.create_server(("127.0.0.1", 0), backlog=100)
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/cat.jpg"
    service = Service(tmp_path / "data", fetch_allow="127.0.0.1", fetch_seconds=15, workers=1, max_queue=40)
    with silent, service, ThreadPoolExecutor(50) as pool:
        downloads = [
            pool.submit(service.post, "/predict", json={"image_url": f"{url}?{number}"})
            for number in range(39)
        ]
        eventually(lambda: waiting(service) == 39)
        alive = service.get("/healthz").status_code
        picture = service.post("/predict", data=cat.read_bytes(), headers=JPEG).status_code
        still = [future for future in downloads if not future.done()]
        codes = {future.result().status_code for future in downloads}

    assert (alive, picture) == (200, 200)
    assert len(still) == 39
    assert codes == {504}


@pytest.mark.promise("O2")
def test_stampede(tmp_path: Path, cat: Path) -> None:
    """Fifty requests for one new address at once fetch it at most once in each worker."""
    served = subprocess.Popen(
        [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(cat.parent)],
        cwd=ROOT, env=os.environ | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE,
        stderr=(log := (tmp_path / "requests").open("wb")), text=True,
    )  # fmt: skip
    try:
        assert served.stdout
        port = served.stdout.readline().split("port ")[1].split()[0]
        with (
            Service(tmp_path / "data", fetch_allow="127.0.0.1") as service,
            ThreadPoolExecutor(50) as pool,
        ):
            body = {"image_url": f"http://127.0.0.1:{port}/cat.jpg"}
            start = threading.Barrier(50)

            def ask() -> int:
                start.wait(PATIENCE)
                return service.post("/predict", json=body).status_code

            statuses = {future.result() for future in [pool.submit(ask) for _ in range(50)]}
    finally:
        served.terminate()
        served.wait(PATIENCE)
        log.close()

    assert statuses == {200}
    assert 1 <= (tmp_path / "requests").read_text().count("GET /cat.jpg") <= 2
