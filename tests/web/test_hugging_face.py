"""Hugging Face's form: bytes or base64 with parameters in, labels with scores out."""

import base64
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

URL = "/hf/default"


def test_bytes(client: FlaskClient, cat: Path) -> None:
    """An image without a Content-Type is answered with the five best classes, as `/predict` has them."""
    found = client.post(URL, data=cat.read_bytes()).get_json()
    expected = client.post("/predict", data=cat.read_bytes()).get_json()["predictions"]

    assert found == [{"label": one["label"], "score": one["confidence"]} for one in expected]
    assert len(found) == 5


@pytest.mark.parametrize("header", [{"Cache-Control": "no-cache"}, {"Pragma": "no-cache"}])
@pytest.mark.parametrize("path", [URL, "/v2/models/default/infer"])
def test_fresh(client: FlaskClient, cat: Path, path: str, header: dict[str, str]) -> None:
    """The headers that ask `/predict` for a new answer ask here, too."""

    def look_ups(more: dict[str, str]) -> float:
        client.post(path, data=cat.read_bytes(), headers={"Inference-Header-Content-Length": "0", **more})
        return sum(
            float(line.split()[1])
            for line in client.get("/metrics").text.splitlines()
            if line.startswith("predictor_cache_requests_total{")
        )

    before = look_ups({})

    assert look_ups(header) == before
    assert look_ups({}) > before


@pytest.mark.parametrize("top_k", [1, 3, 1000, 5000])
def test_top_k(client: FlaskClient, cat: Path, top_k: int) -> None:
    """As many classes as were asked for, or all."""
    body = {"inputs": base64.b64encode(cat.read_bytes()).decode(), "parameters": {"top_k": top_k}}

    assert len(client.post(URL, json=body).get_json()) == min(top_k, 1000)


def test_functions(client: FlaskClient, cat: Path) -> None:
    """The function is applied to the outputs of the model itself."""
    encoded = base64.b64encode(cat.read_bytes()).decode()

    def scores(name: str) -> list[float]:
        parameters = {"function_to_apply": name, "top_k": 1000}
        answer = client.post(URL, json={"inputs": encoded, "parameters": parameters})
        return [one["score"] for one in answer.get_json()]

    raw = scores("none")
    powers = [math.exp(one - max(raw)) for one in raw]
    assert scores("softmax") == pytest.approx([one / sum(powers) for one in powers])
    assert scores("sigmoid") == pytest.approx([1 / (1 + math.exp(-one)) for one in raw])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"data": b""}, 422),
        ({"data": b"no image"}, 415),
        ({"json": {}}, 400),
        ({"json": {"inputs": "no base64!"}}, 400),
        ({"json": {"inputs": "aGk=", "parameters": {"top_k": 0}}}, 400),
        ({"json": {"inputs": "aGk=", "parameters": {"function_to_apply": "tanh"}}}, 400),
    ],
)
def test_errors(client: FlaskClient, sent: dict[str, Any], status: int) -> None:
    """An error has the one field that the client reads."""
    answer = client.post(URL, **sent)

    assert answer.status_code == status
    assert answer.get_json().keys() == {"error"}
    assert answer.mimetype == "application/json"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(client: FlaskClient, cat: Path, encoding: str) -> None:
    """JSON with a byte order mark is JSON, as for `/predict`."""
    body = json.dumps({"inputs": base64.b64encode(cat.read_bytes()).decode(), "parameters": {"top_k": 1}})

    answer = client.post(URL, data=body.encode(encoding))

    assert (answer.status_code, len(answer.get_json())) == (200, 1)


@pytest.mark.parametrize("text", ["ftp://a/b.jpg", "cat.jpg", "@cat.jpg", "data:image/png,a", "?"])
def test_no_image_in_json(client: FlaskClient, text: str) -> None:
    """What is no image is told what this request's own field must hold."""
    answer = client.post(URL, json={"inputs": text})

    assert answer.status_code == 400
    assert answer.get_json()["error"] == (
        "inputs must be an http or https URL, base64, or a data: URL in base64; or send the image itself as "
        "the body."
    )


def test_zero_shot(client: FlaskClient, cat: Path) -> None:
    """A task with classes of the client's own is refused, not answered with the model's."""
    body = {"inputs": base64.b64encode(cat.read_bytes()).decode()}
    asked = client.post(URL, json=body | {"parameters": {"candidate_labels": ["cat", "dog"]}})

    assert (asked.status_code, asked.get_json().keys()) == (400, {"error"})
    assert asked.get_json()["error"].startswith("candidate_labels cannot be given")
    assert client.post(URL, json=body | {"parameters": {"candidate_labels": None}}).status_code == 200


def test_space_before_url(client: FlaskClient) -> None:
    """White space around a URL is passed over."""
    answer = client.post(URL, json={"inputs": " http://127.0.0.1/cat.jpg\n"})

    # The URL was looked at; its host may not be reached.
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "sent",
    [
        {"data": {"image": (io.BytesIO(b"GIF89a"), "cat.gif")}},
        {"data": {"inputs": "https://a/b.jpg"}, "content_type": "multipart/form-data"},
        {"data": b"https://a/b.jpg"},
    ],
)
def test_other_forms(client: FlaskClient, sent: dict[str, Any]) -> None:
    """A form, or a URL alone, is told what to send."""
    answer = client.post(URL, **sent)

    assert (answer.status_code, answer.get_json()["error"]) == (
        400,
        "Send the image itself as the body, not in a form, or JSON with its URL as inputs.",
    )


def test_unknown_model(client: FlaskClient, cat: Path) -> None:
    """A model that is not there is 404, and so is a path without a name."""
    for path in ("/hf/cats", "/hf/", "/hf/a/b"):
        answer = client.post(path, data=cat.read_bytes())
        assert (answer.status_code, answer.get_json().keys()) == (404, {"error"})


def test_token(make_app: Callable[..., Flask], cat: Path) -> None:
    """The token for predictions opens it."""
    client = make_app(predict_token="a-token-for-predictions").test_client()

    refused = client.post(URL, data=cat.read_bytes())
    taken = client.post(
        URL, data=cat.read_bytes(), headers={"Authorization": "Bearer a-token-for-predictions"}
    )

    assert (refused.status_code, refused.get_json().keys()) == (401, {"error"})
    assert taken.status_code == 200
