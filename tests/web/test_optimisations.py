"""A model is made faster over HTTP: the form, the progress, the report, the page, and who may."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from predictor.runtime.worker import Worker
from tests.data_folders import served_before
from tests.optimising.networks import images
from tests.web.colours import colours
from tools.sample_models import classifier

LINES = {"Accept": "application/x-ndjson, text/html;q=0.5"}
LABELS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An application with a small model, whose measurements are short."""
    from predictor.app import create_app
    from predictor.config import Settings

    app = create_app(Settings(data=served_before(tmp_path_factory.mktemp("data")), device="cpu", workers=1))
    fields = {"model": (io.BytesIO(classifier(LABELS)), "m.onnx"), "name": "colours"}
    assert app.test_client().post("/upload", data=fields).status_code == 200
    worker: Worker = app.extensions["predictor"]
    worker.optimisations.pace_seconds = 0.1
    yield app
    app.extensions["predictor"].close()


def files(count: int = 6) -> list[tuple[io.BytesIO, str]]:
    """Images in a folder for each class, as a browser sends them."""
    return [
        (io.BytesIO(picture.read()), f"set/{LABELS[number % 3]}/{picture.name}")
        for number, picture in enumerate(images(count))
    ]


@pytest.mark.slow
def test_optimise(client: FlaskClient) -> None:
    """Lines tell the progress, then the report and the part of the page that shows it; nothing is changed."""
    sent = [*files(), (io.BytesIO(images(7)[6].read()), "set/grey/7.png")]

    answer = client.post("/models/colours/optimise", data={"images": sent}, headers=LINES)

    noticed, *progress, last = [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]
    assert answer.status_code == 200, last
    assert all(line["progress"]["of"] > 0 for line in progress)
    report = last["report"]
    assert (report["model"]["name"], report["model"]["version"]) == ("colours", 1)
    assert noticed["notice"] == report["notice"]
    assert "grey" in noticed["notice"]
    assert (report["images"], report["labelled"], report["recommended"]) == (7, True, None)
    assert "Images left out" not in last["html"]
    assert "Images used without their class" in last["html"]
    assert report["original"]["top1"]["of"] <= report["judged_images"]
    assert "Nothing is recommended" in last["html"]
    assert client.get("/models/colours").get_json()["live"] == 1
    assert client.post("/models/colours/optimise/publish").get_json()["code"] == "model_conflict"


@pytest.mark.slow
def test_independent_classes(client: FlaskClient) -> None:
    """A model whose classes are independent is judged by all named classes and its thresholds."""
    model = (io.BytesIO(colours(sigmoid=True)), "m.onnx")
    client.post("/upload", data={"model": model, "name": "several"})
    assert client.post("/models/several/calibration", json={"threshold": 0.5}).status_code == 200

    answer = client.post("/models/several/optimise", data={"images": files()}, headers=LINES)

    last = json.loads(answer.get_data(as_text=True).splitlines()[-1])
    report = last["report"]
    assert report["original"]["exact"]["of"] == report["judged_images"]
    assert "top1" not in report["original"]
    assert all(one["least_agreement"]["of"] == report["judged_images"] for one in report["candidates"])
    assert all("abstained" in one for one in (report["original"], *report["candidates"]))
    assert "All classes right" in last["html"]
    assert "no class for" in last["html"]


@pytest.mark.slow
def test_no_csv(client: FlaskClient) -> None:
    """A report has no form as CSV: asked for it, the answer is JSON."""
    sent = {"images": files(4)}

    answer = client.post("/models/colours/optimise", data=sent, headers={"Accept": "text/csv"})

    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.get_json()["images"] == 4


@pytest.mark.parametrize(
    ("path", "data", "code"),
    [
        ("/models/none/optimise", {"images": "files"}, "model_not_found"),
        ("/models/none/optimise", {}, "model_not_found"),
        ("/models/colours/optimise", {}, "invalid_request"),
        ("/models/colours/optimise", {"images": "files", "max_loss": "-1"}, "invalid_request"),
        ("/models/colours/optimise", {"images": "files", "max_loss": "nan"}, "invalid_request"),
        ("/models/colours/optimise", {"images": "files", "version": "7"}, "model_not_found"),
        ("/models/colours/optimise", {"pictures": "files"}, "invalid_request"),
        ("/models/none/optimise/publish", {}, "model_not_found"),
        ("/models/colours/optimise/publish", {"version": "x"}, "invalid_request"),
    ],
)
def test_refused(client: FlaskClient, path: str, data: dict[str, Any], code: str) -> None:
    """What is missing or wrong is said before any work begins."""
    sent = {name: files(2) if value == "files" else value for name, value in data.items()}

    answer = client.post(path, data=sent, content_type=None if "publish" in path else "multipart/form-data")

    assert answer.get_json()["code"] == code


def test_admins_only(make_app: Callable[..., Flask]) -> None:
    """Without the token nothing is made and nothing published."""
    client = make_app(admin_token="secret").test_client()

    for path in ("/models/default/optimise", "/models/default/optimise/publish"):
        assert client.post(path, data={"images": files(2)}).status_code == 401


def test_page(client: FlaskClient) -> None:
    """Each model that serves has a link to its page, which has the form; an unknown model has none."""
    page = client.get("/models/colours/optimise").get_data(as_text=True)

    assert 'action="../../models/colours/optimise"' in page or "/models/colours/optimise" in page
    assert 'name="images"' in page
    assert "/models/colours/optimise" in client.get("/upload").get_data(as_text=True)
    assert client.get("/models/none/optimise").status_code == 404


def test_page_of_no_model(client: FlaskClient) -> None:
    """The page of a name that no model has shows the error, and no form to use."""
    answer = client.get("/models/none/optimise", headers={"Accept": "text/html"})

    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "No model has that name" in answer.text
    assert "Make none faster" not in answer.text
    assert 'id="evaluate"' not in answer.text
