"""Probes tell alive from ready, and metrics count."""

import platform
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import predictor.runtime.worker
from predictor.cores import cores
from predictor.inference.admission import Deadline


def test_health(client: FlaskClient) -> None:
    """The process answers."""
    assert client.get("/healthz").get_json() == {"status": "alive"}


def test_ready(client: FlaskClient) -> None:
    """Ready says which model serves and where."""
    answer = client.get("/readyz").get_json()

    assert answer["status"] == "ready"
    assert answer["model"]["name"] == "default"
    assert answer["device"]["kind"] == "cpu"
    assert answer["device"]["provider"] == "CPUExecutionProvider"


def test_cuda_missing(make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that was asked for and is not there makes the service not ready; it never falls back silently."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    client = make_app(device="cuda").test_client()

    ready, predicted = client.get("/readyz"), client.post("/predict", json={"image": "aGk="})

    assert client.get("/healthz").status_code == 200
    assert (ready.status_code, ready.get_json()["code"]) == (503, "not_ready")
    assert "cuda" in ready.get_json()["detail"]
    assert (predicted.status_code, predicted.get_json()["code"]) == (503, "not_ready")


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_damaged_model(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    """A missing or damaged model makes the service not ready, without a path in the answer; it still runs."""
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(predictor.runtime.worker, "BUNDLED_MODEL", path)

    client = make_app().test_client()
    answer = client.get("/readyz")

    assert client.get("/").status_code == 200
    assert (answer.status_code, answer.get_json()["code"]) == (503, "not_ready")
    assert str(tmp_path) not in answer.text


def test_metrics(make_app: Callable[..., Flask], cat: Path) -> None:
    """Requests, images, phases and the cache are counted under the contract's names."""
    client = make_app().test_client()
    for _ in range(2):
        client.post("/predict", data=cat.read_bytes(), content_type="image/jpeg")
    client.post("/predict", data=b"text", content_type="image/jpeg")
    client.post("/predict", data=b"text")
    client.open("/nothing/at/all", method="BREW")

    text = client.get("/metrics").text

    assert 'http_requests_total{endpoint="api.predict",method="POST",status="200"} 2.0' in text
    assert 'http_requests_total{endpoint="none",method="other",status="404"} 1.0' in text
    assert 'predictor_images_total{model="default",outcome="ok",version="1"} 2.0' in text
    assert 'predictor_images_total{model="default",outcome="unsupported_image",version="1"} 2.0' in text
    assert 'predictor_cache_requests_total{result="hit"} 1.0' in text
    assert 'predictor_phase_seconds_count{model="default",phase="infer"} 1.0' in text
    assert f'predictor_build_info{{python="{platform.python_version()}",runtime="ONNX Runtime ' in text
    assert "predictor_batch_size_count 1.0" in text
    assert "predictor_queue_images 0.0" in text
    assert 'predictor_model_live{digest="sha256:' in text
    assert 'http_request_duration_seconds_bucket{endpoint="api.predict"' in text
    assert "nothing/at/all" not in text


@pytest.mark.parametrize("version", ["1.0.0", "0.0.1", "a.b", "2.x", "9" * 5000, ""])
@pytest.mark.parametrize("kind", ["application/openmetrics-text", "text/plain"])
def test_accepted_metrics(client: FlaskClient, kind: str, version: str) -> None:
    """The metrics come in the form that is asked for, whatever version of it."""
    answer = client.get(
        "/metrics", headers={"Accept": f"{kind};version={version};escaping=allow-utf-8;q=0.5"}
    )

    assert (answer.status_code, answer.mimetype) == (200, kind)
    assert answer.text.endswith("# EOF\n") == (kind != "text/plain")


def test_crowded(make_app: Callable[..., Flask]) -> None:
    """At the high-water mark the service says that it is not ready, and alive; later it is ready again."""
    app = make_app(max_queue=4)
    client = app.test_client()
    engine = app.extensions["predictor"].engine

    with engine.admission.reserve(4 * cores(), 1.0, Deadline()):
        crowded, alive = client.get("/readyz"), client.get("/healthz")
    again = client.get("/readyz")

    assert crowded.json
    assert (crowded.status_code, crowded.json["code"]) == (503, "overloaded")
    assert int(crowded.headers["Retry-After"]) >= 1
    assert alive.status_code == 200
    assert again.status_code == 200


def test_degraded_in_metrics(make_app: Callable[..., Flask]) -> None:
    """What `degraded` names is 1 in the metrics, the other parts are 0."""
    app = make_app(cache="off")  # a cache would be gone with the folder that it lies in
    data = app.extensions["predictor"].settings.data
    data.rename(data.with_name("away"))

    text = app.test_client().get("/metrics").text
    data.with_name("away").rename(data)

    assert 'predictor_degraded{part="data"} 1.0' in text
    assert 'predictor_degraded{part="cache"} 0.0' in text
    assert 'predictor_degraded{part="store"} 0.0' in text
