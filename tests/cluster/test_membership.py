"""One worker as a part of one machine of many: what its answers, probes, metrics and pages say."""

import io
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from predictor.cluster.machine_status import BEHIND, OLDER_STORE, MachineStatus
from predictor.cluster.machines import machine_name
from predictor.cluster.membership import METRICS
from tests.cluster.conftest import until
from tests.patience import PATIENCE
from tools.sample_models import classifier

Make = Callable[..., Flask]


@pytest.fixture
def status(monkeypatch: pytest.MonkeyPatch) -> MachineStatus:
    """Numbers of this test's own, which the application shares."""
    numbers = memoryview(bytearray(72)).cast("q")
    monkeypatch.setattr("predictor.cluster.membership.MachineStatus", lambda: MachineStatus(numbers))
    return MachineStatus(numbers)


@pytest.fixture
def joined(make_app: Make, tmp_path: Path, status: MachineStatus) -> Any:
    """A client of an application with a store in a folder, once it is ready."""
    app = make_app(store=f"file://{tmp_path}/bucket", store_seconds=0.05, machine="web-1")
    client = app.test_client()
    until(lambda: client.get("/readyz").status_code == 200)
    return client


def test_answers(joined: Any) -> None:
    """Changes say on how many machines they serve, and the list of models has the machines."""
    model = io.BytesIO(classifier(["first", "other"], winner=0, seed=1))

    uploaded = joined.post("/upload", data={"model": (model, "my.onnx")}).get_json()
    rolled_back = joined.post("/models/default/rollback").get_json()
    deleted = joined.delete("/models/default/versions/2").get_json()

    assert [one["machines"] for one in (uploaded, rolled_back, deleted)] == [{"serving": 1, "of": 1}] * 3
    found = joined.get("/models").get_json()
    assert found["serial"] == 3
    until(lambda: joined.get("/models").get_json()["machines"])
    (machine,) = joined.get("/models").get_json()["machines"]
    assert (machine["name"], machine["this"]) == ("web-1", True)
    assert "web-1" in joined.get("/upload").get_data(as_text=True)


def test_version_that_has_not_come(joined: Any, cat: Path) -> None:
    """A version that has not come to this machine is listed, and answers with when to try again."""
    for seed in (1, 2):
        model = io.BytesIO(classifier(["first", "other"], winner=0, seed=seed))
        assert joined.post("/upload", data={"model": (model, "my.onnx")}).status_code == 200
    shutil.rmtree(joined.application.extensions["predictor"].registry.folder("default", 2))

    answer = joined.post("/predict?version=2", data=cat.read_bytes(), content_type="image/jpeg")

    assert (answer.status_code, answer.get_json()["code"]) == (503, "not_ready")
    assert int(answer.headers["Retry-After"]) > 0
    listed = {one["version"]: one for one in joined.get("/models/default").get_json()["versions"]}
    assert (listed[2]["quarantined"], listed[2]["digest"]) == (None, "")
    assert joined.post("/models/default/activate", json={"version": 2}).status_code == 200
    assert joined.post("/predict", data=cat.read_bytes(), content_type="image/jpeg").status_code == 200


@pytest.mark.promise("C5")
def test_no_answer_before_the_machine_has_caught_up(
    make_app: Make, status: MachineStatus, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that does not know yet what the others serve answers no prediction, on any route."""
    for name, text in (
        ("ENDPOINT_URL", "http://127.0.0.1:1"),
        ("ACCESS_KEY_ID", "a"),
        ("SECRET_ACCESS_KEY", "b"),
    ):
        monkeypatch.setenv(f"AWS_{name}", text)
    client = make_app(store="s3://silent/store").test_client()

    for route in ("/predict", "/hf/default", "/explain", "/v2/models/default/infer", "/predict?version=1"):
        answer = client.post(route, data=cat.read_bytes(), content_type="image/jpeg")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert "X-Accel-Redirect" not in answer.headers
    passed_on = client.post("/predict", data=cat.read_bytes(), headers={"X-Predictor-Elsewhere": "yes"})
    assert passed_on.headers["X-Accel-Redirect"] == "@image_prediction_elsewhere"
    status.join()
    assert client.post("/predict", data=cat.read_bytes(), content_type="image/jpeg").status_code == 200


def test_metrics(joined: Any) -> None:
    """The gauges are there with their values, and failures are counted by operation."""
    text = joined.get("/metrics").get_data(as_text=True)

    assert all(f"\n{name} " in text for name in METRICS)
    assert "# TYPE predictor_store_errors_total counter" in text


@pytest.mark.parametrize("fault", [OLDER_STORE, BEHIND])
def test_degraded(joined: Any, status: MachineStatus, fault: int) -> None:
    """A machine that serves on while models cannot be changed says so."""
    joined.application.extensions["predictor"].cluster.stop()
    assert joined.get("/readyz").get_json()["degraded"] == {}

    status.set_fault(fault)

    assert joined.get("/readyz").get_json()["degraded"]["store"] == status.fault


def test_lag(make_app: Make, tmp_path: Path, status: MachineStatus) -> None:
    """A machine that does not hear of the store for long wants no more requests, if it is set so."""
    app = make_app(store=f"file://{tmp_path}/bucket", store_seconds=0.05, store_lag="unready")
    client = app.test_client()
    until(lambda: client.get("/readyz").status_code == 200)

    app.extensions["predictor"].cluster.stop()

    until(lambda: status.lag > 3)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "not_ready")
    assert "does not know" in answer.get_json()["detail"]
    status.set_fault(OLDER_STORE)
    assert client.get("/readyz").get_json()["detail"] == status.fault


def test_name(tmp_path: Path) -> None:
    """A machine keeps the name that it made up; a name that is set is used and not kept."""
    first = machine_name(tmp_path, None)

    assert machine_name(tmp_path, None) == first
    assert machine_name(tmp_path, "web-1") == "web-1"
    assert machine_name(tmp_path, None) == first
    assert machine_name(tmp_path / "missing", None) != first


_NAMED = """
import sys, time
from pathlib import Path
from predictor.cluster.machines import machine_name
time.sleep(max(0, float(sys.argv[2]) - time.time()))
print(machine_name(Path(sys.argv[1]), None))
"""


def test_name_of_workers(tmp_path: Path) -> None:
    """Workers that start at the same moment have the same name."""
    words = [sys.executable, "-c", _NAMED, str(tmp_path), str(time.time() + 3)]
    workers = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]

    names = {worker.communicate(timeout=PATIENCE)[0] for worker in workers}

    assert names == {(tmp_path / "machine").read_text() + "\n"}
