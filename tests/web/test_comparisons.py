"""Two versions, or a version and a candidate, are compared over HTTP."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from predictor.app import create_app
from predictor.config import Settings
from predictor.evaluation.comparison import mcnemar
from predictor.runtime.worker import Worker
from tests.data_folders import served_before
from tests.web.colours import archive, colours, noisy, upload


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with two versions of a classifier, the live one with two classes exchanged."""
    app = create_app(Settings(data=served_before(tmp_path_factory.mktemp("data")), device="cpu", workers=1))
    assert upload(app.test_client(), colours()).status_code == 200
    assert upload(app.test_client(), colours(8.0, (0, 2, 1))).status_code == 200
    yield app
    app.extensions["predictor"].close()


def compare(client: FlaskClient, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    """Send images."""
    data = {"pictures": archive(noisy(10)), "model": "colours", **fields}
    return client.post("/compare", data=data, headers=headers or {})


def left(client: FlaskClient) -> list[Any]:
    """What lies in the folder of uploads that are under way."""
    worker: Worker = client.application.extensions["predictor"]
    return list((worker.settings.data / "incoming").glob("*"))


def test_versions(client: FlaskClient) -> None:
    """The live version is compared with the one before: who is right where, and how sure that is."""
    report = compare(client).get_json()

    assert (report["model"]["version"], report["other"]["version"], report["pictures"]) == (2, 1, 30)
    first, second = report["top1"]
    assert first["hits"] == report["both_right"] + report["only_first_right"]
    assert second["hits"] == report["both_right"] + report["only_second_right"] > first["hits"]
    assert report["difference"]["value"] == pytest.approx((second["hits"] - first["hits"]) / 30)
    assert report["difference"]["low"] < report["difference"]["value"] < report["difference"]["high"]
    assert report["p_value"] == mcnemar(report["only_first_right"], report["only_second_right"])
    assert report["agreement"]["hits"] == 30 - len(report["images"])
    right = [[answer["right"] for answer in one["answers"]] for one in report["images"]]
    assert right.count([False, True]) == report["only_second_right"]
    assert right == sorted(right, key=[[True, False], [False, True], [False, False]].index)
    assert all(latency["p50"] > 0 for latency in report["latency"])
    assert all(memory["file_bytes"] > 0 and memory["check_bytes"] > 0 for memory in report["memory"])


def test_no_csv(client: FlaskClient) -> None:
    """A comparison has no form as CSV: asked for it, the answer is JSON."""
    answer = compare(client, {"Accept": "text/csv"})

    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.get_json()["pictures"] == 30


def test_chosen_versions(client: FlaskClient) -> None:
    """Any two versions may be compared, and one with itself agrees on all images."""
    swapped = compare(client, version="1", other_version="2").get_json()
    same = compare(client, version="1", other_version="1").get_json()

    assert (swapped["model"]["version"], swapped["other"]["version"]) == (1, 2)
    assert swapped["difference"]["value"] < 0
    assert (same["agreement"]["value"], same["p_value"], same["images"]) == (1.0, 1.0, [])


def test_candidate(client: FlaskClient) -> None:
    """A file that is not uploaded is checked, compared, and not published."""
    candidate = (io.BytesIO(colours(12.0)), "better.onnx")

    report = compare(client, candidate=candidate).get_json()

    assert (report["other"]["name"], report["other"]["version"]) == ("better.onnx", None)
    assert report["only_second_right"] > report["only_first_right"]
    assert [one["version"] for one in client.get("/models/colours").get_json()["versions"]] == [2, 1]
    assert left(client) == []


def test_bad_candidate(client: FlaskClient) -> None:
    """A candidate that could not be served is refused as an upload of it would be."""
    answer = compare(client, candidate=(io.BytesIO(b"no model"), "m.onnx"))

    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_model")
    assert left(client) == []


def test_other_model(client: FlaskClient) -> None:
    """Models of different names are compared by what their classes are called."""
    upload(client, colours(), "others")

    report = compare(client, version="1", other_model="others").get_json()

    assert (report["other"]["name"], report["agreement"]["value"]) == ("others", 1.0)


def test_classes_that_differ(client: FlaskClient) -> None:
    """With a model that has none of the classes, nothing runs, and the sentence names the classes."""
    answer = compare(client, other_model="default")

    assert answer.status_code == 400
    assert " is not a class of the live version 1 of default; did you mean" in answer.get_json()["detail"]
    assert "The classes of the live version 1 of default: tench" in answer.get_json()["detail"]


def test_candidate_without_the_classes(client: FlaskClient) -> None:
    """A sentence about labels says which of the two models does not have them."""
    candidate, labels = (io.BytesIO(colours()), "m.onnx"), (io.BytesIO(b"a\nb\nc"), "l.txt")

    answer = compare(client, candidate=candidate, labels=labels)

    assert answer.status_code == 400
    assert " is not a class of the candidate." in answer.get_json()["detail"]


def test_version_without_a_class(client: FlaskClient) -> None:
    """So do the notice and the problem of an image where only some labels are unknown."""
    labels = (io.BytesIO(b"red\ngreen\nviolet"), "l.txt")
    two = {"model": (io.BytesIO(colours()), "m.onnx"), "labels": labels, "name": "violet"}
    assert client.post("/upload", data=two).status_code == 200

    with compare(client, {"Accept": "application/x-ndjson"}, other_model="violet") as lines:
        told = [json.loads(line) for line in lines.get_data(as_text=True).splitlines()]

    page = compare(client, {"Accept": "text/html"}, other_model="violet").get_data(as_text=True)
    assert told[-1]["report"]["lacking"]["pictures"] == [0, 10]
    assert "10 for violet version 1" in page
    notices = [line["notice"] for line in told if "notice" in line]
    assert [line.partition(":")[0] for line in notices] == [
        "The labels of 10 images are not classes of the live version 1 of violet"
    ]
    assert {one["problem"] for one in told[-1]["report"]["problems"]} == {
        "blue is not a class of the live version 1 of violet."
    }


def test_lines_and_page(client: FlaskClient) -> None:
    """The answer tells its progress, with a part for the page; without scripts, the page comes."""
    with compare(client, {"Accept": "application/x-ndjson, text/html;q=0.5"}) as lines:
        told = [json.loads(line) for line in lines.get_data(as_text=True).splitlines()]
    page = compare(client, {"Accept": "text/html"})

    assert told[0] == {"progress": {"done": 1, "of": 30}}
    assert "McNemar" in told[-1]["html"]
    assert told[-1]["report"]["images"][0]["thumbnail"].startswith("data:image/jpeg;base64,")
    assert (page.mimetype, "McNemar" in page.get_data(as_text=True)) == ("text/html", True)


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"other_version": "9"}, 404, "no such version"),
        ({"other_model": "nothing"}, 404, "No model"),
        ({"labels": (io.BytesIO(b"a"), "l.txt")}, 400, "a file in the field candidate"),
        ({"candidate": (io.BytesIO(b"a"), "m.onnx"), "other_version": "1"}, 400, "not both"),
        ({"colour": "red"}, 400, "colour is not a field"),
        ({"model": "default"}, 400, "no earlier version"),
    ],
)
def test_refused(client: FlaskClient, fields: dict[str, Any], status: int, sentence: str) -> None:
    """What cannot be compared is refused in a sentence, and nothing is left behind."""
    answer = compare(client, **fields)

    assert (answer.status_code, sentence in answer.get_json()["detail"]) == (status, True), answer.get_json()
    assert left(client) == []
