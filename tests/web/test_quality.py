"""A version is calibrated, and golden images keep worse versions from serving."""

import html
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from predictor.app import create_app
from predictor.config import Settings
from predictor.store.registry import ModelVersion
from tests.data_folders import served_before
from tests.web.colours import archive, colours, noisy, picture, upload

COLOURS = {"red": (220, 20, 20), "green": (20, 220, 20), "blue": (20, 20, 220)}
PURE = {f"{label}/1.png": picture(colour) for label, colour in COLOURS.items()}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with a classifier of colours that is too sure."""
    app = create_app(Settings(data=served_before(tmp_path_factory.mktemp("data")), device="cpu", workers=1))
    assert upload(app.test_client(), colours(40.0)).status_code == 200
    yield app
    app.extensions["predictor"].close()


@pytest.fixture
def golden(client: FlaskClient) -> Iterator[dict[str, Any]]:
    """Golden images of the classifier, for one test."""
    answer = client.post("/models/colours/golden", data={"pictures": archive(PURE)})
    assert answer.status_code == 200, answer.get_json()
    yield answer.get_json()
    client.delete("/models/colours/golden")


def live(client: FlaskClient) -> int:
    """The live version."""
    found: int = client.get("/models/colours").get_json()["live"]
    return found


def checks(client: FlaskClient) -> list[str]:
    """How many models were checked, by outcome."""
    return re.findall(r"^predictor_model_checks_total.*", client.get("/metrics").text, re.MULTILINE)


def predict(client: FlaskClient, colour: tuple[int, int, int] = (140, 128, 120), **options: Any) -> Any:
    """What is on an image."""
    query = {"model": "colours", **options}
    sent = {"data": picture(colour), "content_type": "image/png", "query_string": query}
    return client.post("/predict", **sent).get_json()


def test_evaluate_and_calibrate(client: FlaskClient) -> None:
    """What an evaluation suggests is published, and answers say what confidence was and is."""
    before = predict(client)
    sent = {"pictures": archive(noisy(40)), "model": "colours", "precision": "0.9"}
    fit = client.post("/evaluate", data=sent).get_json()["calibration"]["fit"]

    answer = client.post("/models/colours/calibration", json=fit["calibration"])

    assert answer.status_code == 200, answer.get_json()
    assert fit["after"]["error"] < fit["before"]["error"]
    after = predict(client, threshold=0)
    assert after["model"]["version"] == answer.get_json()["version"] == before["model"]["version"] + 1
    assert after["model"]["digest"] != before["model"]["digest"]
    assert after["cached"] is False
    assert after["raw_confidence"] == before["confidence"] > after["confidence"]
    assert after["predicted_label"] == before["predicted_label"] == "red"
    raw = [one["raw_confidence"] for one in after["predictions"]]
    assert raw == [one["confidence"] for one in before["predictions"]]
    assert predict(client, threshold=0)["cached"] is True
    assert predict(client, threshold=0)["raw_confidence"] == after["raw_confidence"]
    shown = client.get("/models/colours").get_json()["versions"][0]
    assert shown["report"]["calibration"] == fit["calibration"]
    assert "calibration" in shown["files"]


def test_thresholds(client: FlaskClient) -> None:
    """The thresholds of a version decide what is named, and a request may overrule them."""
    client.post("/models/colours/calibration", json={"temperature": 1, "threshold": 0.9})

    assert predict(client)["predicted_label"] is None
    assert (predict(client)["abstained"], predict(client)["predictions"]) == (True, [])
    assert predict(client, threshold=0.1)["predicted_label"] == "red"
    assert predict(client, (250, 20, 20))["abstained"] is False
    page = client.post("/", data={"image": (io.BytesIO(picture((140, 128, 120))), "a.png")})
    assert page.status_code == 200


def test_independent_classes(client: FlaskClient) -> None:
    """Classes that are independent have a temperature and a threshold each, and several may apply."""
    upload(client, colours(40.0, sigmoid=True), "several")
    rows = "".join(f"{name},{name.split('/')[0]}\n{name},blue\n" for name in noisy(25))
    files = {**noisy(25), "labels.csv": f"file,label\n{rows}".encode()}
    report = client.post("/evaluate", data={"pictures": archive(files), "model": "several"}).get_json()

    sent = {"temperatures": [2, 3, 4], "thresholds": [0.5, 0.5, 0.999]}
    answer = client.post("/models/several/calibration", json=sent)

    assert answer.status_code == 200, answer.get_json()
    assert (report["matrix"], report["pictures"]) == (None, 75)
    assert {one["label"]: one["pictures"] for one in report["classes"]} == {
        "red": 25,
        "green": 25,
        "blue": 75,
    }
    assert "calibration" in report["calibration"]["fit"], report["calibration"]["fit"]
    found = predict(client, (200, 200, 200), model="several")
    assert [one["label"] for one in found["predictions"]] == ["red", "green"]
    assert found["multi_label"] is True


def test_explained_as_answered(client: FlaskClient) -> None:
    """An explanation of a calibrated version has the confidence that its answer has."""
    client.post("/models/colours/calibration", json={"temperature": 7})
    answer = predict(client)

    sent = {
        "data": picture((140, 128, 120)),
        "content_type": "image/png",
        "query_string": {"model": "colours"},
    }
    explained = client.post("/explain", **sent).get_json()

    assert answer["confidence"] < answer["raw_confidence"]
    assert explained["confidence"] == pytest.approx(answer["confidence"])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{", "cannot be read"),
        ('{"temperature": -1}', "from 0.05 to 20"),
        ('{"temperatures": [1, 1, 1]}', "independent"),
        ('{"thresholds": [0.5]}', "3 numbers"),
    ],
)
def test_bad_calibration(client: FlaskClient, body: str, sentence: str) -> None:
    """A calibration that does not fit changes nothing, and the sentence says why."""
    before = live(client)

    answer = client.post("/models/colours/calibration", data=body, content_type="application/json")

    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_model")
    assert sentence in answer.get_json()["detail"]
    assert live(client) == before


@pytest.mark.parametrize(
    "body", ["{", "null", "[1]", '{"bias": 1}', '{"temperature": 1, "temperatures": []}']
)
def test_unreadable_calibration(client: FlaskClient, body: str) -> None:
    """What is no calibration of any model is refused before the model is tried, which takes seconds."""
    before = checks(client)

    answer = client.post("/models/colours/calibration", data=body, content_type="application/json")

    assert answer.status_code == 422
    assert "The calibration" in answer.get_json()["detail"]
    assert checks(client) == before


def test_new_preprocessing(client: FlaskClient) -> None:
    """Another preprocessing changes the scores, so that the calibration is gone; a calibration keeps it."""
    client.post("/models/colours/preprocessing", json={"resize": "stretch"})
    assert "raw_confidence" not in predict(client)

    client.post("/models/colours/calibration", json={"temperature": 2})

    report = client.get("/models/colours").get_json()["versions"][0]["report"]
    assert report["preprocessing"]["resize"] == "stretch"
    assert "raw_confidence" in predict(client)


def test_page_calibrates(client: FlaskClient) -> None:
    """The form of the page publishes a calibration, and the page comes back."""
    before = live(client)
    sent = {"calibration": json.dumps({"temperature": 3}), "version": str(before)}

    answer = client.post("/models/colours/calibration", data=sent, headers={"Accept": "text/html"})

    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert live(client) == before + 1


def test_deleted_meanwhile(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that is deleted while its files are copied is not found; the disk is not to blame."""
    verify, publisher = ModelVersion.verify, app.extensions["predictor"].publisher
    client.post("/models/colours/calibration", json={"temperature": 5})
    former = client.get("/models/colours").get_json()["before"]

    def verified(version: ModelVersion) -> None:
        verify(version)
        if version.version == former:
            publisher.delete("colours", former)

    monkeypatch.setattr(ModelVersion, "verify", verified)
    answer = client.post(f"/models/colours/calibration?version={former}", json={"temperature": 6})

    assert (answer.status_code, answer.get_json()["code"]) == (404, "model_not_found")


def test_version_in_the_query(client: FlaskClient) -> None:
    """A version in the query counts for a form as well; one in the form goes before it."""
    sent = {"calibration": json.dumps({"temperature": 4}), "version": ""}

    unknown = client.post("/models/colours/calibration?version=999", data=sent)
    known = client.post(
        "/models/colours/calibration?version=999", data={**sent, "version": str(live(client))}
    )

    assert (unknown.status_code, unknown.get_json()["code"]) == (404, "model_not_found")
    assert known.status_code == 200


@pytest.mark.parametrize("path", ["calibration", "preprocessing", "activate"])
def test_version_given_twice(client: FlaskClient, path: str) -> None:
    """Of two versions none is chosen."""
    sent = {"version": ["1", "2"], **({} if path == "activate" else {path: "{}"})}
    before = live(client)

    answer = client.post(f"/models/colours/{path}", data=sent)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
    assert live(client) == before


def test_golden(client: FlaskClient, golden: dict[str, Any]) -> None:
    """Golden images are kept with their labels, and are shown."""
    assert (golden["least"], golden["live"]["right"], golden["live"]["wrong"]) == (3, 3, [])

    shown = client.get("/models/colours/golden").get_json()

    assert [(one["file"], one["label"]) for one in shown["images"]] == [
        ("blue/1.png", "blue"),
        ("green/1.png", "green"),
        ("red/1.png", "red"),
    ]


def test_gate_on_the_page(client: FlaskClient, golden: dict[str, Any]) -> None:
    """A refused form comes back with the wrong images and with `force`; for an upload they are listed."""
    del golden
    page = {"Accept": "text/html"}
    sent = {"preprocessing": json.dumps({"channels": "BGR"}), "version": str(live(client))}

    refused = client.post("/models/colours/preprocessing", data=sent, headers=page)
    uploaded = client.post(
        "/upload",
        data={"model": (io.BytesIO(colours(7.0, (0, 2, 1))), "m.onnx"), "name": "colours"},
        headers=page,
    )

    assert (refused.status_code, uploaded.status_code) == (422, 422)
    assert '<span class="filename">blue/1.png</span>: blue predicted as red' in refused.text
    assert "blue/1.png</span>: blue predicted as green" in uploaded.text
    form = refused.text.partition('<form class="again')[2].partition("</form>")[0]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    assert 'action="../../models/colours/preprocessing#note"' in form
    assert {name: html.unescape(value) for name, value in fields.items()} == sent | {"force": "true"}
    assert '<form class="again' not in uploaded.text


def test_gate(client: FlaskClient, golden: dict[str, Any]) -> None:
    """A version that gets too few right is refused with the list; force overrules it and is recorded."""
    del golden
    before = live(client)
    worse = colours(8.0, (0, 2, 1))

    refused = upload(client, worse)

    problem = refused.get_json()
    assert (refused.status_code, problem["code"]) == (422, "invalid_model")
    assert [(one["file"], one["truth"], one["predicted"]) for one in problem["wrong"]] == [
        ("blue/1.png", "blue", "green"),
        ("green/1.png", "green", "blue"),
    ]
    assert "1 of 3 golden images" in problem["detail"]
    assert "blue/1.png: blue predicted as green" in problem["detail"]
    assert live(client) == before
    forced = upload(client, worse, force="true")
    assert forced.status_code == 200, forced.get_json()
    shown = client.get("/models/colours").get_json()
    verdict = shown["versions"][0]["report"]["golden"]
    assert (verdict["right"], verdict["of"], verdict["forced"]) == (1, 3, True)
    assert shown["history"][-1]["action"] == "upload_forced"


def test_gate_of_thresholds(client: FlaskClient) -> None:
    """Where the thresholds of a version keep it from naming a class, it gets the image wrong."""
    upload(client, colours(), "unsure")
    client.post("/models/unsure/golden", data={"pictures": archive(PURE)})

    refused = client.post("/models/unsure/calibration", json={"temperature": 20, "threshold": 1})
    calibrated = client.post("/models/unsure/calibration", json={"temperature": 20})

    problem = refused.get_json()
    assert (refused.status_code, problem["code"]) == (422, "invalid_model")
    assert "0 of 3 golden images" in problem["detail"]
    assert [one["file"] for one in problem["wrong"]] == ["blue/1.png", "green/1.png", "red/1.png"]
    assert (problem["wrong"][2]["truth"], problem["wrong"][2]["predicted"]) == ("red", "red")
    said = r"red/1\.png: The confidence of red is 0\.\d+, below its threshold of 1"
    assert re.search(said, problem["detail"])
    assert calibrated.status_code == 200, calibrated.get_json()
    assert calibrated.get_json()["report"]["golden"]["right"] == 3
    client.delete("/models/unsure")


def test_gate_of_independent_classes(client: FlaskClient) -> None:
    """Of independent classes a version must name just those that apply to a golden image, perhaps none."""
    upload(client, colours(40.0, sigmoid=True), "both")
    files = {
        "yellow.png": picture((220, 220, 20)),
        "black.png": picture((20, 20, 20)),
        "labels.csv": b"file,label\nyellow.png,red|green\nblack.png,\n",
    }
    kept = client.post("/models/both/golden", data={"pictures": archive(files)}).get_json()

    refused = upload(client, colours(41.0, (0, 2, 1), sigmoid=True), "both")

    assert (kept["least"], kept["live"]["right"]) == (2, 2)
    assert {one["file"]: one["label"] for one in kept["images"]} == {
        "yellow.png": "red, green",
        "black.png": "no class",
    }
    assert refused.status_code == 422
    (wrong,) = refused.get_json()["wrong"]
    assert (wrong["truth"], wrong["predicted"]) == ("red, green", "red, blue")
    assert (wrong["missed"], wrong["extra"]) == (["green"], ["blue"])
    assert "yellow.png: red, green predicted as red, blue" in refused.get_json()["detail"]
    client.delete("/models/both")


def test_images_of_independent_classes(client: FlaskClient) -> None:
    """An evaluation lists what was missed and what is extra, in JSON, as CSV and on the page."""
    upload(client, colours(40.0, (0, 2, 1), sigmoid=True), "swapped")
    files = {
        "yellow.png": picture((220, 220, 20)),
        "black.png": picture((20, 20, 20)),
        "labels.csv": b"file,label\nyellow.png,red|green\nblack.png,\n",
    }

    def evaluated(accept: str) -> Any:
        sent = {"pictures": archive(files), "model": "swapped"}
        return client.post("/evaluate", data=sent, headers={"Accept": accept})

    report = evaluated("application/json").get_json()

    assert (report["accuracy"]["hits"], report["accuracy"]["of"], report["left_out"]) == (1, 2, 0)
    assert (report["top1"]["hits"], report["top1"]["of"]) == (1, 1)
    (wrong,) = [one for one in report["images"] if one["outcome"] == "wrong"]
    assert wrong["file"] == "yellow.png"
    assert [one["label"] for name in ("truths", "missed", "extra") for one in wrong[name]] == [
        "red",
        "green",
        "green",
        "blue",
    ]
    assert "yellow.png,red,0,red,0" in evaluated("text/csv").text
    assert "wrong,green,blue" in evaluated("text/csv").text
    page = evaluated("text/html").text
    assert "All classes right" in page
    assert '<th scope="col">Missed</th><th scope="col">Extra</th>' in page
    assert "<td>green</td><td>blue</td><td>wrong</td>" in page
    client.delete("/models/swapped")


def test_gate_of_activations(client: FlaskClient) -> None:
    """A version that serves again is judged too, unless it is forced; a rollback is not judged."""
    good, worse = live(client), upload(client, colours(9.0, (1, 0, 2)), force="true").get_json()["version"]
    client.post("/models/colours/rollback")
    assert (
        client.post("/models/colours/golden", data={"pictures": archive(PURE), "least": "3"}).status_code
        == 200
    )

    if live(client) != good:
        client.post("/models/colours/activate", json={"version": good, "force": True})
    refused = client.post("/models/colours/activate", json={"version": worse})
    forced = client.post("/models/colours/activate", json={"version": worse, "force": True})

    assert (refused.status_code, len(refused.get_json()["wrong"])) == (422, 2)
    assert forced.status_code == 200
    assert client.get("/models/colours").get_json()["history"][-1]["action"] == "activate_forced"
    assert client.post("/models/colours/rollback").status_code == 200
    client.delete("/models/colours/golden")


def test_golden_by_index(client: FlaskClient) -> None:
    """An index as a label means the class of the version that was live, wherever a new version has it."""
    rows = "".join(f"{name},{index}\n" for index, name in enumerate(PURE))
    files = {**PURE, "labels.csv": f"file,index\n{rows}".encode()}
    upload(client, colours(), "indexed")
    kept = client.post("/models/indexed/golden", data={"pictures": archive(files)}).get_json()

    def reversed_labels(model: bytes) -> Any:
        labels = (io.BytesIO(b'["blue", "green", "red"]'), "labels.json")
        sent = {"model": (io.BytesIO(model), "m.onnx"), "labels": labels, "name": "indexed"}
        return client.post("/upload", data=sent)

    assert [one["label"] for one in kept["images"]] == ["red", "green", "blue"]
    right, wrong = reversed_labels(colours(8.0, (2, 1, 0))), reversed_labels(colours(7.0))
    assert right.status_code == 200, right.get_json()
    assert right.get_json()["report"]["golden"]["right"] == 3
    assert (wrong.status_code, len(wrong.get_json()["wrong"])) == (422, 2)
    lacking = (io.BytesIO(b'["cyan", "green", "red"]'), "labels.json")
    sent = {"model": (io.BytesIO(colours(9.0, (2, 1, 0))), "m.onnx"), "labels": lacking, "name": "indexed"}
    [unknown] = client.post("/upload", data=sent).get_json()["wrong"]
    assert unknown == {"file": "blue/1.png", "truth": "blue", "problem": "blue is not a class of the model."}


def test_forced_without_a_verdict(app: Flask, client: FlaskClient, golden: dict[str, Any]) -> None:
    """Where golden images cannot judge a version, force makes it live, and what was wrong is recorded."""
    del golden
    before, data = live(client), app.extensions["predictor"].settings.data
    next((data / "golden" / "colours").glob("*/golden.json")).write_bytes(b"?")

    refused = upload(client, colours(12.0))
    forced = upload(client, colours(12.0), force="true")

    assert (refused.status_code, refused.get_json()["code"]) == (409, "model_conflict")
    assert forced.status_code == 200, forced.get_json()
    verdict = forced.get_json()["report"]["golden"]
    assert (verdict["forced"], "damaged" in verdict["problem"]) == (True, True)
    assert client.get("/models/colours").get_json()["history"][-1]["action"] == "upload_forced"
    client.post("/models/colours/activate", json={"version": before, "force": True})
    assert client.get("/models/colours").get_json()["history"][-1]["action"] == "activate_forced"


def test_gate_passed(client: FlaskClient, golden: dict[str, Any]) -> None:
    """A version that gets enough right serves, and what it got right is kept."""
    del golden

    answer = upload(client, colours(11.0))

    assert answer.status_code == 200, answer.get_json()
    assert answer.get_json()["report"]["golden"]["right"] == 3
    assert client.get("/models/colours").get_json()["history"][-1]["action"] == "upload"


def test_bound(client: FlaskClient) -> None:
    """The bound may be lower than all of them."""
    client.post("/models/colours/golden", data={"pictures": archive(PURE), "least": "1"})

    answer = upload(client, colours(8.5, (0, 2, 1)))

    assert answer.status_code == 200, answer.get_json()
    client.delete("/models/colours/golden")
    assert client.get("/models/colours/golden").get_json()["images"] == []
    client.post("/models/colours/rollback")


@pytest.mark.parametrize(
    ("files", "fields", "sentence"),
    [
        (
            {f"{label}/a.png": PURE["red/1.png"] for label in ("lion", "bear")},
            {},
            "of the images: bear (1) and lion (1)",
        ),
        ({**PURE, "lion/1.png": PURE["red/1.png"]}, {}, "lion (1)"),
        ({**PURE, "red/2.png": b"\x89PNG\r\n\x1a\n"}, {}, "red/2.png"),
        ({**PURE, "red/film.mp4": b"film"}, {}, "red/film.mp4"),
        (PURE, {"least": "4"}, "at most 3"),
        (PURE, {"least": "-1"}, "least must be at least 0"),
    ],
)
def test_bad_golden(
    client: FlaskClient, files: dict[str, bytes], fields: dict[str, str], sentence: str
) -> None:
    """What cannot be judged by is refused in a sentence, and nothing is kept."""
    answer = client.post("/models/colours/golden", data={"pictures": archive(files), **fields})

    assert (answer.status_code, sentence in answer.get_json()["detail"]) == (400, True), answer.get_json()
    assert client.get("/models/colours/golden").get_json()["images"] == []


def test_deleted_name(client: FlaskClient) -> None:
    """The golden images of a name go with it."""
    upload(client, colours(), "gone")
    client.post("/models/gone/golden", data={"pictures": archive(PURE)})

    client.delete("/models/gone")

    upload(client, colours(8.0, (0, 2, 1)), "gone")
    assert client.get("/models/gone/golden").get_json()["images"] == []


def test_unknown_name(client: FlaskClient) -> None:
    """A name that is not there has no golden images."""
    for answer in (
        client.get("/models/nothing/golden"),
        client.delete("/models/nothing/golden"),
        client.post("/models/nothing/golden", data={"pictures": archive(PURE)}),
        client.post("/models/nothing/calibration", json={"temperature": 1}),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/models/default/calibration"),
        ("POST", "/models/default/golden"),
        ("GET", "/models/default/golden"),
        ("DELETE", "/models/default/golden"),
        ("POST", "/compare"),
    ],
)
def test_who_may(make_app: Callable[..., Flask], method: str, path: str) -> None:
    """Without the token nobody sees golden images, changes anything or compares."""
    client = make_app(admin_token="secret", workers=1).test_client()

    assert client.open(path, method=method).status_code == 401
