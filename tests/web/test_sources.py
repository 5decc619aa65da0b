"""A model that the service fetches itself is checked and served like one that is sent."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.sources.hub import BUNDLE, COMMIT, MODEL, Files, Hub, serving
from tests.sources.test_signature import make_keys, sign

pytestmark = pytest.mark.slow

TOKEN = "an-admin-token-of-tests"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub of the service's environment."""
    storage = Files({})
    made = Hub(BUNDLE, storage)
    with serving(storage), serving(made):
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield made


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    """A client of a service that may fetch from loopback and has an admin token."""
    return make_app(fetch_allow=("127.0.0.1",), max_model_mb=10, admin_token=TOKEN).test_client()


def send(client: FlaskClient, *, token: str = TOKEN, **fields: Any) -> Any:
    """Upload, as a form."""
    return client.post(
        "/upload",
        data=fields,
        content_type="multipart/form-data",
        headers={"Authorization": f"Bearer {token}"},
    )


def test_served(client: FlaskClient, hub: Hub, cat: Path) -> None:
    """A model of a hub answers with its own labels; source and revision stand where versions are shown."""
    answer = send(client, source="hf:org/name@main", name="pulled").get_json()
    predicted = client.post(
        "/predict?model=pulled", data=cat.read_bytes(), content_type="image/jpeg"
    ).get_json()
    (version,) = client.get("/models/pulled").get_json()["versions"]

    source = {"source": "hf:org/name@main", "revision": COMMIT}
    assert (answer["status"], answer["model"], answer["labels"]) == ("success", "model.onnx", "config.json")
    assert answer["report"]["source"] == version["report"]["source"] == source
    assert version["digest"] == answer["digest"]
    assert predicted["predicted_label"] == "green"
    assert "hf_secret" not in str((answer, version))


def test_again(client: FlaskClient, hub: Hub) -> None:
    """The same files from the same place change nothing; another preprocessing keeps the source."""
    first = send(client, source="hf:org/name").get_json()
    second = send(client, source="hf:org/name").get_json()
    revised = client.post(
        "/models/default/preprocessing",
        json={"size": [32, 32], "resize": "stretch"},
        headers={"Authorization": f"Bearer {TOKEN}"},
    ).get_json()

    assert (first["unchanged"], second["unchanged"], second["version"]) == (False, True, first["version"])
    assert revised["report"]["source"] == first["report"]["source"]


def test_beside(client: FlaskClient, hub: Hub, cat: Path) -> None:
    """Labels that are sent apart go before those of the source."""
    answer = send(client, source="hf:org/name", labels=(io.BytesIO(b"a\nb\nc\n"), "mine.txt")).get_json()
    predicted = client.post("/predict", data=cat.read_bytes(), content_type="image/jpeg").get_json()

    assert (answer["labels"], predicted["predicted_label"]) == ("mine.txt", "b")


def test_refused(client: FlaskClient, hub: Hub) -> None:
    """Without the token nothing is asked for; what cannot be fetched leaves nothing behind."""
    assert send(client, source="hf:org/name", token="wrong").status_code == 401
    assert hub.asked == []

    answers = [
        send(client, source="hf:org/other"),
        send(client, source="ftp://example.org/m.onnx"),
        send(client, source="http://192.168.0.1/m.onnx"),
        send(client, source="hf:org/name", file="other.onnx"),
        send(client, source="hf:org/name", model=(io.BytesIO(MODEL), "m.onnx")),
    ]

    assert [(answer.status_code, answer.get_json()["code"]) for answer in answers] == [
        (502, "fetch_failed"),
        (400, "invalid_request"),
        (403, "fetch_blocked"),
        (400, "invalid_request"),
        (400, "invalid_request"),
    ]
    worker = client.application.extensions["predictor"]
    assert [*(worker.settings.data / "incoming").glob("*")] == []


def test_signed(make_app: Callable[..., Flask], hub: Hub, tmp_path: Path) -> None:
    """Where a key is set, a model is taken only with the signature of all its files, fetched or sent."""
    private, public = make_keys(tmp_path)
    client = make_app(fetch_allow=("127.0.0.1",), signing_key=public, admin_token=TOKEN).test_client()
    refused = [
        send(client, source="hf:org/name"),
        send(client, model=(io.BytesIO(MODEL), "m.onnx")),
    ]
    hub.files["model.sig"] = sign(hub.files, private, tmp_path / "signed")

    answer = send(client, source="hf:org/name").get_json()
    hub.files["config.json"] += b" "
    changed = send(client, source="hf:org/name")

    assert answer["report"]["signed"] is True
    assert [(one.status_code, one.get_json()["code"]) for one in (*refused, changed)] == [
        (422, "invalid_model")
    ] * 3
    assert "sign" in refused[0].get_json()["detail"]
