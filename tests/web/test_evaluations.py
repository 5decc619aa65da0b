"""Labelled images are evaluated over HTTP, and the best preprocessing is published."""

import io
import json
import re
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from predictor.image_formats import FORMATS
from predictor.runtime.worker import Worker
from predictor.store.files import locked
from tests.data_folders import served_before
from tools.sample_models import classifier

COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}
LINES = {"Accept": "application/x-ndjson"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An application whose model `colours` calls every image red, and takes pixels from 0 to 1.

    It opens no HEIC, as where the package for it is not installed.
    """
    from predictor.app import create_app
    from predictor.config import Settings

    formats = tuple(name for name in FORMATS if name != "HEIF")
    settings = Settings(
        data=served_before(tmp_path_factory.mktemp("data")), device="cpu", workers=1, formats=formats
    )
    app = create_app(settings)
    model = classifier(list(COLOURS), winner=0, metadata=False)
    labels = "\n".join(COLOURS).encode()
    fields = {
        "model": (io.BytesIO(model), "m.onnx"),
        "labels": (io.BytesIO(labels), "l.txt"),
        "name": "colours",
    }
    answer = app.test_client().post("/upload", data=fields)
    assert answer.status_code == 200, answer.get_json()
    yield app
    app.extensions["predictor"].close()


def picture(colour: tuple[int, int, int]) -> bytes:
    """A small image of a colour."""
    out = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(out, "PNG")
    return out.getvalue()


def files() -> list[tuple[io.BytesIO, str]]:
    """The images as a browser sends a folder."""
    return [(io.BytesIO(picture(colour)), f"set/{label}/1.png") for label, colour in COLOURS.items()]


def archive(extra: dict[str, bytes] | None = None) -> tuple[io.BytesIO, str]:
    """The images in an archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as written:
        for label, colour in COLOURS.items():
            written.writestr(f"{label}/1.png", picture(colour))
        for name, content in (extra or {}).items():
            written.writestr(name, content)
    out.seek(0)
    return out, "set.zip"


def send(
    client: FlaskClient, path: str, pictures: Any, headers: dict[str, str] | None = None, **fields: Any
) -> Any:
    """Send images."""
    data = {"pictures": pictures, "model": "colours", **fields}
    return client.post(path, data=data, headers=headers or {})


class Connection:
    """A connection whose other end closes it after it was looked at so many times."""

    def __init__(self, stays: int) -> None:
        self.looks = 0
        self._stays = stays

    def recv(self, size: int, flags: int) -> bytes:
        """Nothing, as from a client that waits for its answer, or the end."""
        assert (size, flags) == (1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        self.looks += 1
        if self.looks <= self._stays:
            raise BlockingIOError
        return b""


def send_and_leave(
    client: FlaskClient, path: str, sent: tuple[io.BytesIO, str], stays: int, **fields: Any
) -> tuple[Any, Connection]:
    """Send images, and close the connection while the answer is being made."""
    connection = Connection(stays)
    data = {"pictures": sent, "model": "colours", **fields}
    answer = client.post(path, data=data, environ_overrides={"gunicorn.socket": connection})
    return answer, connection


def left(client: FlaskClient) -> list[Path]:
    """What lies in the folder of uploads that are under way."""
    worker: Worker = client.application.extensions["predictor"]
    return list((worker.settings.data / "incoming").glob("*"))


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_evaluate(client: FlaskClient, form: str) -> None:
    """An archive or a folder's files give the report, and nothing is left behind."""
    response = send(client, "/evaluate", archive() if form == "archive" else files())

    report = response.get_json()
    assert response.status_code == 200, report
    assert (report["model"]["name"], report["model"]["version"]) == ("colours", 1)
    assert (report["top1"]["hits"], report["top1"]["of"], report["left_out"]) == (1, 3, 0)
    assert {pair["predicted"]["label"] for pair in report["confusions"]} == {"red"}
    assert left(client) == []


def test_large_jpeg(client: FlaskClient, photograph: bytes) -> None:
    """A large JPEG is decoded whole, whatever requests get by default."""
    sent = client.post("/predict?top_k=1", data=photograph, content_type="image/jpeg").get_json()
    exact = client.post("/predict?exact=1", data=photograph, content_type="image/jpeg").get_json()

    file = (io.BytesIO(photograph), f"{exact['predicted_label']}/1.jpg")
    report = send(client, "/evaluate", [file], model="default").get_json()

    (found,) = report["calibration"]["bins"]
    assert found["confidence"] == exact["confidence"] != sent["confidence"]


def test_lines(client: FlaskClient) -> None:
    """Asked for lines, the answer tells its progress, and the report comes last."""
    response = send(client, "/evaluate", archive(), LINES)

    lines = [json.loads(line) for line in response.get_data(as_text=True).splitlines()]
    response.close()
    assert response.mimetype == "application/x-ndjson"
    assert lines[0] == {"progress": {"done": 1, "of": 3}}
    assert lines[-1]["report"]["pictures"] == 3
    assert "html" not in lines[-1]
    assert left(client) == []


def test_page(client: FlaskClient) -> None:
    """A browser without scripts gets the page with the report; with scripts, the last line has its part."""
    page = send(client, "/evaluate", archive(), {"Accept": "text/html"})
    lines = send(client, "/tune", archive(), {"Accept": "application/x-ndjson, text/html;q=0.5"})

    assert (page.mimetype, "33.3&nbsp;%" in page.get_data(as_text=True)) == ("text/html", True)
    assert "Use this" in json.loads(lines.get_data(as_text=True).splitlines()[-1])["html"]


def test_hostile_names(client: FlaskClient) -> None:
    """Names of files are shown as text."""
    name = "<img src=x onerror=alert(1)>/a.png"

    text = send(client, "/evaluate", archive({name: b""}), {"Accept": "text/html"}).get_data(as_text=True)

    assert "&lt;img src=x" in text
    assert "<img src=x" not in text


def test_tune_and_publish(client: FlaskClient, cat: Path) -> None:
    """What was found is published as a new version of the same files, which serves at once."""
    report = send(client, "/tune", archive()).get_json()
    best = report["candidates"][0]["preprocessing"]

    response = client.post("/models/colours/preprocessing", json={**best, "activation": "none"})

    answer = response.get_json()
    assert response.status_code == 200, answer
    assert (answer["name"], answer["version"], answer["model"], answer["labels"]) == (
        "colours",
        2,
        "m.onnx",
        "l.txt",
    )
    assert answer["report"]["preprocessing"] == best
    assert answer["report"]["warnings"] == []
    again = client.post("/models/colours/preprocessing?version=1", json={"resize": "stretch"}).get_json()
    assert (again["version"], again["report"]["preprocessing"]["resize"]) == (3, "stretch")
    predicted = client.post(
        "/predict?model=colours", data=cat.read_bytes(), content_type="image/jpeg"
    ).get_json()
    assert (predicted["predicted_label"], predicted["model"]["version"]) == ("red", 3)


def test_what_was_said_of_scores_stays(client: FlaskClient) -> None:
    """A new preprocessing keeps what the one before it said of the scores."""
    before = client.get("/models/colours").get_json()["live"]
    client.post("/models/colours/preprocessing", json={"activation": "sigmoid"})

    kept = client.post("/models/colours/preprocessing", json={"resize": "stretch"}).get_json()

    assert (kept["report"]["activation"], kept["report"]["multi_label"]) == ("sigmoid", True)
    client.post("/models/colours/activate", json={"version": before})


@pytest.mark.parametrize(
    "text", ["tf", "Compose(\n    Resize(size=(32, 32))\n    ToTensor()\n)", "mode: tf\n"]
)
def test_publish_text(client: FlaskClient, text: str) -> None:
    """A preprocessing that is no JSON may be the body as well; curl calls any body a form."""
    answer = client.post(
        "/models/colours/preprocessing", data=text, content_type="application/x-www-form-urlencoded"
    )

    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.get_json()["report"]["preprocessing"]["resize"] == "stretch"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ('{"resize": "sideways"}', 422, "invalid_model"),
        ('{"sizes": 3}', 422, "invalid_model"),
        ("[" * 100_000, 422, "invalid_model"),
        (b"\xff", 400, "invalid_request"),
    ],
)
def test_bad_preprocessing(client: FlaskClient, body: str | bytes, status: int, code: str) -> None:
    """A preprocessing that does not fit changes nothing."""
    before = client.get("/models/colours").get_json()["live"]

    response = client.post("/models/colours/preprocessing", data=body, content_type="application/json")

    assert (response.status_code, response.get_json()["code"]) == (status, code)
    assert client.get("/models/colours").get_json()["live"] == before


def test_bundled_model(client: FlaskClient, cat: Path) -> None:
    """The model that ships with the service can be revised like any other."""
    answer = client.post("/models/default/preprocessing?version=1", json={"resize": "stretch"}).get_json()

    assert (answer["version"], answer["report"]["classes"]) == (2, 1000)
    predicted = client.post("/predict", data=cat.read_bytes(), content_type="image/jpeg").get_json()
    assert predicted["model"]["version"] == 2


@pytest.mark.parametrize(
    ("pictures", "fields", "status", "sentence"),
    [
        ((io.BytesIO(b"a"), "notes.txt"), {}, 400, "no images"),
        ((io.BytesIO(b"PK"), "a.zip"), {}, 400, "not a valid ZIP file"),
        ("archive", {"model": "nothing"}, 404, "No model"),
        ("archive", {"version": "99"}, 404, "no such version"),
        ("archive", {"limit": "0"}, 400, "limit must be at least 1"),
        ("archive", {"precision": "0"}, 400, "precision must be above 0"),
        ("archive", {"colour": "red"}, 400, "colour is not a field"),
        ("archive", {"labels": (io.BytesIO(b"sky"), "l.txt")}, 400, "name each file field pictures"),
        ("strange", {}, 400, "sea is not a class"),
    ],
)
def test_refused(
    client: FlaskClient, pictures: Any, fields: dict[str, Any], status: int, sentence: str
) -> None:
    """What cannot be evaluated is refused in a sentence, and nothing is left behind."""
    if pictures == "archive":
        pictures = archive()
    if pictures == "strange":
        pictures = [
            (io.BytesIO(picture((1, 2, 3))), "a/sky/1.png"),
            (io.BytesIO(picture((1, 2, 3))), "a/sea/1.png"),
        ]

    response = send(client, "/evaluate", pictures, **fields)

    assert (response.status_code, sentence in response.get_json()["detail"]) == (status, True), (
        response.get_json()
    )
    assert left(client) == []


def test_refused_in_lines(client: FlaskClient) -> None:
    """What forbids the evaluation at its end is said by the last line."""
    cut = picture((1, 2, 3))[:60]
    pictures = [(io.BytesIO(cut), f"a/{name}/1.png") for name in ("red", "green")]

    with send(client, "/evaluate", pictures, LINES) as response:
        lines = response.get_data(as_text=True).splitlines()

    assert json.loads(lines[-1])["error"]["code"] == "invalid_request"
    assert left(client) == []


@pytest.mark.parametrize("path", ["/evaluate", "/tune"])
def test_unknown_labels(client: FlaskClient, path: str) -> None:
    """Labels that the model does not have are noticed before anything runs, and its classes are named."""
    strange = {f"sea/{number}.png": picture((1, 2, 3)) for number in range(2)}

    with send(client, path, archive(strange), LINES) as response:
        lines = [json.loads(line) for line in response.get_data(as_text=True).splitlines()]

    assert lines[0] == {
        "notice": "The labels of 2 images are not classes of the model: sea (2). "
        "The classes of the model: red, green and blue."
    }
    assert lines[-1]["report"]["notice"] == lines[0]["notice"]
    assert (lines[-1]["report"]["pictures"], lines[-1]["report"]["left_out"]) == (3, 2)


@pytest.mark.parametrize("path", ["/evaluate", "/tune", "/compare"])
def test_no_known_label(client: FlaskClient, path: str) -> None:
    """If the model has none of the labels, nothing runs, and the answer names the classes that it has."""
    strange = [(io.BytesIO(picture((1, 2, 3))), f"a/{name}/1.png") for name in ("sky", "sea")]
    before = client.get("/models/colours").get_json()["versions"][0]["version"]
    fields = {"other_version": str(before)} if path == "/compare" else {}

    refused = send(client, path, strange, LINES, **fields)

    assert refused.status_code == 400
    assert re.search(
        "The classes of the (model|live version [0-9]+ of colours): red, green and blue.",
        refused.get_json()["detail"],
    )


def test_csv(client: FlaskClient) -> None:
    """Asked for CSV, the answer has a line for each image."""
    response = send(client, "/evaluate", archive(), {"Accept": "text/csv"})

    lines = response.get_data(as_text=True).splitlines()
    assert response.mimetype == "text/csv"
    assert lines[0] == "file,truth,truth_index,predicted,predicted_index,confidence,outcome"
    assert sorted(line.split(",")[0] for line in lines[1:]) == ["blue/1.png", "green/1.png", "red/1.png"]


def test_images(client: FlaskClient) -> None:
    """Wrong images are named, and a report that is looked at has small copies of them."""
    report = send(client, "/evaluate", archive()).get_json()
    lines = send(client, "/evaluate", archive(), {"Accept": "application/x-ndjson, text/html;q=0.5"})

    assert [one["outcome"] for one in report["images"]] == ["wrong", "wrong", "right"]
    assert not any("thumbnail" in one for one in report["images"])
    last = json.loads(lines.get_data(as_text=True).splitlines()[-1])
    assert last["html"].count("<img") == 2
    assert all("thumbnail" in one for one in last["report"]["images"][:2])


def test_one_at_a_time(client: FlaskClient) -> None:
    """While one evaluation is under way on the machine, another one is told so."""
    worker: Worker = client.application.extensions["predictor"]

    with locked(worker.settings.data / "evaluation.lock"):
        response = send(client, "/tune", archive(), LINES)

    assert (response.status_code, response.get_json()["code"]) == (409, "model_conflict")
    assert send(client, "/evaluate", archive()).status_code == 200


def test_reader_who_leaves(client: FlaskClient) -> None:
    """Whoever stops reading ends the evaluation, and frees its place and its files."""
    response = send(client, "/tune", archive(), LINES)
    iterator = response.iter_encoded()
    next(iterator)

    response.close()

    assert left(client) == []
    assert send(client, "/evaluate", archive()).status_code == 200


@pytest.mark.parametrize("path", ["/evaluate", "/tune"])
@pytest.mark.parametrize("stays", [0, 1, 2, 3])
def test_sender_who_leaves(client: FlaskClient, path: str, stays: int) -> None:
    """Nothing is done any more for a sender who has left, whether tables or images are read by then."""
    tables = {f"{number}.csv": b"file,label\nother.png,red\n" for number in range(2)}

    answer, connection = send_and_leave(client, path, archive(tables), stays)

    assert (answer.status_code, answer.get_json()["code"]) == (499, "invalid_request")
    assert connection.looks == stays + 1
    assert left(client) == []
    assert send(client, "/evaluate", archive()).status_code == 200


def test_sender_who_stays(client: FlaskClient) -> None:
    """A sender who waits for the answer gets it."""
    assert send_and_leave(client, "/evaluate", archive(), 1000)[0].status_code == 200


def test_other_compression(client: FlaskClient) -> None:
    """An image that is packed in a way that cannot be unpacked safely is left out, and named."""
    out, name = archive()
    with zipfile.ZipFile(out, "a") as written:
        written.writestr("red/2.png", bytes(10_000_000), zipfile.ZIP_BZIP2)
    out.seek(0)

    report = send(client, "/evaluate", (out, name)).get_json()

    assert (report["pictures"], report["left_out"]) == (3, 1)
    assert [(one["file"], "bzip2" in one["problem"]) for one in report["problems"]] == [("red/2.png", True)]


HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(50)


@pytest.mark.parametrize("path", ["/evaluate", "/tune"])
def test_every_file_is_counted(client: FlaskClient, path: str) -> None:
    """What is left out is counted with the reason, whatever kind of file it is; hidden files are not."""
    others = {"red/phone.HEIC": HEIC, "red/clip.mp4": b"film", "red/cut.png": picture((9, 9, 9))[:60]}
    sent = archive({**others, "__MACOSX/red/._1.png": b"x", "red/.DS_Store": b"x", "Thumbs.db": b"x"})

    report = send(client, path, sent).get_json()

    reasons = {one["file"]: one["problem"] for one in report["problems"]}
    assert (report["pictures"], report["left_out"]) == (3, 3)
    assert reasons.keys() == others.keys()
    assert "HEIC" in reasons["red/phone.HEIC"]
    assert "name" in reasons["red/clip.mp4"]
    assert "damaged" in reasons["red/cut.png"]


@pytest.mark.parametrize("path", ["/evaluate", "/tune"])
def test_all_files_left_out(client: FlaskClient, path: str) -> None:
    """If all files are left out, the answer says how many, and why the first of them is."""
    phones = [(io.BytesIO(HEIC), f"set/red/{number}.heic") for number in range(3)]
    films = [(io.BytesIO(b"film"), f"set/red/{number}.mp4") for number in range(2)]

    answers = [send(client, path, sent) for sent in (phones, films)]

    assert [answer.status_code for answer in answers] == [400, 400]
    said = [answer.get_json()["detail"] for answer in answers]
    assert ("3" in said[0], "HEIC" in said[0]) == (True, True)
    assert ("2 other" in said[1], "0.mp4" in said[1]) == (True, True)


def test_table_bomb(client: FlaskClient) -> None:
    """An archive of many long tables is refused, and nothing is left behind."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as written:
        for number in range(7):
            written.writestr(f"{number}.csv", b"file,label\n" + b"x,y\n" * 99_999)
        written.writestr("red/1.png", picture(COLOURS["red"]))
    out.seek(0)

    answer = send(client, "/evaluate", (out, "set.zip"))

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
    assert "more than 500000 rows" in answer.get_json()["detail"]
    assert left(client) == []


@pytest.mark.parametrize("path", ["/evaluate", "/tune", "/models/colours/preprocessing"])
def test_who_may(make_app: Callable[..., Flask], path: str) -> None:
    """Without the token nobody evaluates or changes anything."""
    client = make_app(admin_token="secret", workers=1).test_client()

    assert client.post(path, json={}).status_code == 401
    assert client.post(path, json={}, headers={"Authorization": "Bearer secret"}).status_code in {400, 404}


@pytest.mark.parametrize("name", ["red.png", "red_1.png", "/", "."])
def test_equal_names(client: FlaskClient, name: str) -> None:
    """Files of several folders that are sent without these, as programs do, all count as if alone."""
    colours = ((200, 20, 20), (20, 200, 20), (20, 20, 200))
    sent = [(io.BytesIO(picture(colour)), name) for colour in colours]

    report = send_all(client, [*sent, (io.BytesIO(picture((9, 9, 9))), "blue.png")])

    counted = 3 * name.endswith(".png")
    assert (report["pictures"], len(report["problems"])) == (counted + 1, 3 - counted)


def test_equal_names_in_a_table(client: FlaskClient) -> None:
    """What a table says of a name holds for each file of that name."""
    sent = [(io.BytesIO(picture(colour)), "1.png") for colour in ((200, 20, 20), (20, 200, 20))]

    report = send_all(client, [*sent, (io.BytesIO(b"file,label\n1.png,red\n"), "labels.csv")])

    assert (report["pictures"], report["problems"]) == (2, [])


def send_all(client: FlaskClient, files: list[tuple[io.BytesIO, str]]) -> Any:
    """The report on files that are sent one by one."""
    answer = client.post("/evaluate", data={"pictures": files, "model": "colours"})
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()
