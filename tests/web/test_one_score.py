"""A model of one score is one of two classes wherever it is met: answers, lists, evaluations and the page."""

import io
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from predictor.app import create_app
from predictor.config import Settings
from tests.data_folders import served_before
from tools import endings
from tools.sample_models import preprocessing

LABELS = b'{"cold": 0, "warm": 1}'
SQUEEZED = f"{endings.ONE} axes = Constant<value = int64[1] {{1}}>() y = Squeeze(score, axes)"
MODELS = {
    "sigmoid": endings.sigmoid(),
    "logit": endings.logit(),
    "squeezed": endings.ending(SQUEEZED, "float[N] y"),
}
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with models that end in a sigmoid and in a logit, also without an axis of its own."""
    app = create_app(Settings(data=served_before(tmp_path_factory.mktemp("data")), device="cpu", workers=1))
    for name, model in MODELS.items():
        response = upload(
            app.test_client(), model, name=name, labels=(io.BytesIO(LABELS), "class_indices.json")
        )
        assert response.status_code == 200, response.get_json()
    yield app
    app.extensions["predictor"].close()


def upload(client: FlaskClient, model: bytes, **fields: Any) -> Any:
    """Send a model that takes pixels from 0 to 1."""
    beside = {"preprocessing": (io.BytesIO(json.dumps(preprocessing()).encode()), "p.json")}
    return client.post("/upload", data={"model": (io.BytesIO(model), "m.onnx"), **beside, **fields})


def image(colour: tuple[int, int, int]) -> bytes:
    """A small image of a colour."""
    out = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(out, "PNG")
    return out.getvalue()


def answer(client: FlaskClient, colour: tuple[int, int, int], query: str) -> dict[str, Any]:
    """What the service says of a colour."""
    response = client.post(f"/predict?{query}", data=image(colour), content_type="image/png")
    return dict(response.get_json())


@pytest.mark.parametrize("name", MODELS)
def test_answers(client: FlaskClient, name: str) -> None:
    """Red, whose logit is 3, and blue, whose logit is -1, have the confidences of both classes."""
    warm, cold = answer(client, RED, f"model={name}"), answer(client, BLUE, f"model={name}&top_k=1")

    assert [(one["label"], one["index"]) for one in warm["predictions"]] == [("warm", 1), ("cold", 0)]
    assert warm["confidence"] == pytest.approx(1 / (1 + math.exp(-3)), abs=1e-6)
    assert sum(one["confidence"] for one in warm["predictions"]) == pytest.approx(1)
    assert (cold["predicted_label"], len(cold["predictions"])) == ("cold", 1)
    assert cold["confidence"] == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-6)
    assert "multi_label" not in warm


def test_many(client: FlaskClient) -> None:
    """Images of one request that may run together have their own scores."""
    files = [(io.BytesIO(image(colour)), f"{place}.png") for place, colour in enumerate([RED, BLUE, RED])]

    results = client.post("/predict?model=squeezed", data={"image": files}).get_json()["results"]

    assert [one["predicted_label"] for one in results] == ["warm", "cold", "warm"]


@pytest.mark.parametrize(("name", "activation"), [("sigmoid", "none"), ("logit", "sigmoid")])
def test_report(client: FlaskClient, name: str, activation: str) -> None:
    """The list says two classes, and the report and the page how one score tells them apart."""
    (version,) = client.get(f"/models/{name}").get_json()["versions"]
    report = version["report"]

    assert version["classes"] == report["classes"] == 2
    assert (report["binary"], report["activation"], report["multi_label"]) == (True, activation, False)
    assert report["reasons"]["classes"].endswith("a high score means warm, a low score cold.")
    page = client.get("/upload").get_data(as_text=True)
    assert "2 classes, separated by one score; sigmoid is applied to it</p>" in page
    assert "2 classes, separated by one score; it is a confidence already</p>" in page
    assert report["reasons"]["classes"] in page


@pytest.mark.parametrize(("said", "expected"), [("sigmoid", 3.0), ("none", 50.0)])
def test_said(client: FlaskClient, said: str, expected: float) -> None:
    """An activation that comes with the model counts: taken for a confidence, a logit of 3 is a whole one."""
    text = json.dumps({**preprocessing(), "activation": said}).encode()
    fields = {"model": (io.BytesIO(endings.logit()), "m.onnx"), "preprocessing": (io.BytesIO(text), "p.json")}

    report = client.post("/upload", data={**fields, "name": "said"}).get_json()["report"]

    assert report["activation"] == said
    assert answer(client, RED, "model=said")["confidence"] == pytest.approx(1 / (1 + math.exp(-expected)))


def test_evaluate(client: FlaskClient) -> None:
    """Both classes are judged, and the answers that go to the second are not all of them."""
    files = [(io.BytesIO(image(RED)), "set/warm/1.png"), (io.BytesIO(image(BLUE)), "set/cold/1.png")]

    report = client.post("/evaluate", data={"pictures": files, "model": "logit"}).get_json()

    assert report["top1"]["value"] == 1
    assert {(one["label"], one["pictures"]) for one in report["classes"]} == {("warm", 1), ("cold", 1)}


def test_tune(client: FlaskClient) -> None:
    """Preprocessings are ranked by the confidence in the right one of two classes."""
    files = [(io.BytesIO(image(RED)), "set/warm/1.png"), (io.BytesIO(image(BLUE)), "set/cold/1.png")]

    ranking = client.post("/tune", data={"pictures": files, "model": "sigmoid"}).get_json()

    assert ranking["labelled"] is True
    assert ranking["candidates"][0]["top1"]["value"] == 1
    (current,) = [one for one in ranking["candidates"] if one["current"]]
    assert current["loss"] == pytest.approx((math.log1p(math.exp(-3)) + math.log1p(math.exp(-1))) / 2)


def test_one_label(client: FlaskClient) -> None:
    """A single label names the class of a high score, in the report and in what a worker loads."""
    uploaded = upload(client, endings.sigmoid(), name="only", labels=(io.BytesIO(b"warm"), "l.txt"))

    assert uploaded.get_json()["report"]["classes"] == 2
    assert answer(client, BLUE, "model=only")["predicted_label"] == "not warm"
    assert answer(client, RED, "model=only")["predicted_label"] == "warm"


@pytest.mark.parametrize(
    ("body", "outputs", "words"),
    [
        ("label = ArgMax<axis = 1>(scores)", "int64[N,1] label", "5 classes, but 2 labels"),
        ("score = MatMul(colours, one) p = Softmax(score)", "float[N,1] p", "softmax over one score"),
        ("y = Relu(scores)", "float[N,5] y", "The model has 5 classes, but 2 labels came with it."),
    ],
    ids=["ArgMax", "softmax", "five"],
)  # fmt: skip
def test_refused(client: FlaskClient, body: str, outputs: str, words: str) -> None:
    """What holds no scores is never served as if it did, with labels or without."""
    model = endings.ending(f"{endings.FIVE} k = Constant<value = int64[1] {{3}}>() {body}", outputs)

    problem = upload(client, model, labels=(io.BytesIO(LABELS), "class_indices.json")).get_json()

    assert (problem["status"], problem["code"]) == (422, "invalid_model")
    assert words in problem["detail"]


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ("label = ArgMax<axis = 1>(scores)", "int64[N,1] label"),
        ("values, indices = TopK(scores, k)", "float[N,3] values, int64[N,3] indices"),
    ],
    ids=["ArgMax", "TopK"],
)
def test_scores_behind(client: FlaskClient, body: str, outputs: str) -> None:
    """A model that tells the best classes only is served with the scores that they were chosen from."""
    model = endings.ending(f"{endings.FIVE} k = Constant<value = int64[1] {{3}}>() {body}", outputs)
    whole = endings.ending(endings.FIVE, "float[N,5] scores")

    report = upload(client, model, name="best").get_json()["report"]
    upload(client, whole, name="whole")

    assert report["classes"] == 5
    assert len(report["adapted"]) == 1
    best, scores = (answer(client, RED, f"model={name}")["predictions"] for name in ("best", "whole"))
    assert best == scores


def test_too_many_labels(client: FlaskClient) -> None:
    """Three labels do not fit one score."""
    labels = (io.BytesIO(b"cat\ndog\nbird"), "l.txt")

    problem = upload(client, endings.sigmoid(), labels=labels).get_json()

    assert (
        problem["detail"]
        == "The model gives one score, which separates two classes, but 3 labels came with it."
    )
