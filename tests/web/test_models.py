"""Models are uploaded, listed, gone back to and removed; whatever is refused changes nothing."""

import dataclasses
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from flask import Flask
from flask.testing import FlaskClient

from predictor.checking.report import OnGpu, Report, Request
from predictor.checking.runner import try_model
from predictor.config import BUNDLED_MODEL
from predictor.discovery.discover import LABELS
from predictor.model.device import Device
from predictor.runtime.worker import Worker
from tests.web import encoded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dogs() -> bytes:
    """The bundled model with other labels: every class is `dog 0` and so on."""
    model = onnx.load(BUNDLED_MODEL)
    entry = next(entry for entry in model.metadata_props if entry.key == LABELS)
    entry.value = json.dumps([f"dog {index}" for index in range(1000)])
    return bytes(model.SerializeToString())


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    """A client of an application with a store of its own."""
    return make_app(workers=1).test_client()


def upload(client: FlaskClient, content: bytes, name: str = "dogs.onnx", **fields: Any) -> Any:
    """Send a model."""
    return client.post("/upload", data={"model": (io.BytesIO(content), name), **fields})


def label(client: FlaskClient, cat: Path, query: str = "") -> str:
    """What the service says of the cat."""
    answer = client.post(f"/predict{query}", data=cat.read_bytes(), content_type="image/jpeg").get_json()
    return str(answer.get("predicted_label", answer.get("code")))


def code(response: Any) -> tuple[int, str]:
    """Status and code of an error."""
    return response.status_code, response.get_json()["code"]


def left(client: FlaskClient) -> list[str]:
    """What lies in the folder of uploads that are under way."""
    worker: Worker = client.application.extensions["predictor"]
    return [path.name for path in (worker.settings.data / "incoming").glob("*")]


def test_upload(client: FlaskClient, dogs: bytes, cat: Path) -> None:
    """The answer says what was found; the next prediction comes from the new model, and the old is kept."""
    response = upload(client, dogs)

    answer = response.get_json()
    assert response.status_code == 200, answer
    assert (answer["status"], answer["name"], answer["version"]) == ("success", "default", 2)
    assert (answer["model"], answer["labels"]) == ("dogs.onnx", None)
    assert answer["report"]["classes"] == 1000
    assert answer["report"]["inputs"][0]["shape"] == [-1, 224, 224, 3]
    assert answer["report"]["run_seconds"] > 0
    assert label(client, cat) == "dog 282"
    assert label(client, cat, "?version=1") == "tiger cat"
    assert left(client) == []


def test_gpu(client: FlaskClient, cat: Path, dogs: bytes) -> None:
    """Where workers use a GPU a model is tried on it, too; if CUDA fails there, only a warning says so."""
    client.application.extensions["predictor"].device = Device("cuda", "GPU-no-such", "No such GPU")

    report = upload(client, dogs).get_json()["report"]

    assert report["warnings"][-1].startswith("The model could not be checked on the GPU: ")
    assert "cuda" not in report
    assert label(client, cat) == "dog 282"


def test_figures_of_a_gpu_on_the_page(client: FlaskClient, dogs: bytes) -> None:
    """The page shows what trying a model on the GPU found beside what the CPU took."""
    worker: Worker = client.application.extensions["predictor"]

    def tried(folder: Path, request: Request) -> Report:
        figures = OnGpu("Fake <b>GPU</b>", 1.0, 0.0123, 4, 0.0156, 7_000_000)
        return dataclasses.replace(try_model(folder, request), cuda=figures)

    worker.uploads.try_model = tried
    upload(client, dogs)

    page = client.get("/upload").get_data(as_text=True)
    assert re.search(
        r"On the GPU</dt>\s+<dd>12 ms for one image, 16 ms for a batch of 4, on Fake &lt;b&gt;", page
    )
    assert "; 7.0 MB of its memory" in page
    assert client.get("/models/default").get_json()["versions"][0]["report"]["cuda"]["run_seconds"] == 0.0123


def test_labels_beside(client: FlaskClient, cat: Path) -> None:
    """Labels that come with a model take the place of those inside it."""
    labels = json.dumps([f"thing {index}" for index in range(1000)]).encode()

    answer = upload(
        client, BUNDLED_MODEL.read_bytes(), labels=(io.BytesIO(labels), "my_labels.json")
    ).get_json()

    assert answer["labels"] == "my_labels.json"
    assert label(client, cat) == "thing 282"


def test_names(client: FlaskClient, dogs: bytes, cat: Path) -> None:
    """Models of several names serve beside each other."""
    assert upload(client, dogs, name="a.onnx") and upload(client, dogs, name="b.onnx")  # noqa: PT018
    answer = client.post("/upload", data={"model": (io.BytesIO(dogs), "d.onnx"), "name": "dogs"}).get_json()

    assert (answer["name"], answer["version"]) == ("dogs", 1)
    assert label(client, cat, "?model=dogs") == "dog 282"
    assert label(client, cat, "?model=cats") == "model_not_found"
    assert [one["name"] for one in client.get("/models").get_json()["models"]] == ["default", "dogs"]


def test_list(client: FlaskClient, dogs: bytes) -> None:
    """A model's page shows its versions, the newest first, and which one serves."""
    upload(client, dogs, name="../../<b>dogs</b>.onnx")

    shown = client.get("/models/default").get_json()

    assert (shown["live"], shown["before"]) == (2, 1)
    newest, first = shown["versions"]
    assert (newest["version"], newest["live"], newest["model"]) == (2, True, "b>.onnx")
    assert newest["files"]["model.onnx"]["bytes"] == len(dogs)
    assert (first["version"], first["live"], first["model"]) == (1, False, "efficientnet-lite0.onnx")
    assert [event["action"] for event in shown["history"]] == ["upload"]


def test_bundled_is_described(make_app: Callable[..., Flask], dogs: bytes) -> None:
    """The model that ships with the service shows what an upload of its file shows, live or not."""
    fields = "inputs", "outputs", "preprocessing", "activation", "classes", "reasons", "warnings"

    first = make_app().test_client()
    (live,) = first.get("/models/default").get_json()["versions"]
    upload(first, dogs)
    second = make_app().test_client()
    checked, idle = second.get("/models/default").get_json()["versions"]
    page = second.get("/upload").get_data(as_text=True)

    assert live == idle | {"live": True}
    assert (live["classes"], live["created"]) == (1000, None)
    assert live["preprocessing"] == live["report"]["preprocessing"] == checked["preprocessing"]
    assert {name: live["report"][name] for name in fields} == {
        name: checked["report"][name] for name in fields
    }
    assert page.count("<summary>Report") == 2


def test_unchanged(client: FlaskClient, dogs: bytes) -> None:
    """An upload of the live version's files makes no version, and the answer and the page say so."""
    first = upload(client, dogs).get_json()
    before = client.get("/models").get_json()

    response = upload(client, dogs, name="again.onnx")
    page = client.post(
        "/upload", data={"model": (io.BytesIO(dogs), "dogs.onnx")}, headers={"Accept": "text/html"}
    ).get_data(as_text=True)

    assert first["unchanged"] is False
    assert response.status_code == 200
    assert response.get_json() == first | {"unchanged": True}
    assert "This version was live before with the same files, so no new version was made." in page
    assert client.get("/models").get_json() == before


def test_bundled_unchanged(client: FlaskClient) -> None:
    """So does an upload of the bundled model where it is live, with what is known of it."""
    answer = upload(client, BUNDLED_MODEL.read_bytes(), name="mine.onnx").get_json()

    assert (answer["version"], answer["unchanged"], answer["labels"]) == (1, True, None)
    assert answer["model"] == "efficientnet-lite0.onnx"
    assert answer["report"]["classes"] == 1000


def test_revision_unchanged(client: FlaskClient, dogs: bytes) -> None:
    """The preprocessing that the live version was published with is no new one."""
    upload(client, dogs)
    preprocessing = client.get("/models/default").get_json()["versions"][0]["preprocessing"]

    answers = [client.post("/models/default/preprocessing", json=preprocessing).get_json() for _ in range(2)]

    assert [(one["version"], one["unchanged"]) for one in answers] == [(3, False), (3, True)]


def test_preprocessing_as_a_field(client: FlaskClient, dogs: bytes) -> None:
    """`curl -F` sends a preprocessing as the field of a form, here as in an upload."""
    upload(client, dogs)
    known = client.get("/models/default").get_json()["versions"][0]["preprocessing"]
    text = json.dumps(known | {"resize": "stretch"})

    for sent in ((io.BytesIO(text.encode()), "p.json"), text):
        data = {"preprocessing": sent, "version": "2"}
        answer = client.post("/models/default/preprocessing", data=data, content_type="multipart/form-data")
        assert answer.get_json()["version"] == 3
    missing = client.post("/models/default/preprocessing", data={"file": (io.BytesIO(b"{}"), "p.json")})
    assert missing.get_json()["detail"] == "preprocessing is missing."


def test_json_declared_as_a_form(client: FlaskClient, dogs: bytes) -> None:
    """`curl -d` sends JSON as an urlencoded form; the bytes decide."""
    upload(client, dogs)
    form = "application/x-www-form-urlencoded"

    for body in ('{"version": 1}', ' {"version": 2}', "version=1"):
        answer = client.post("/models/default/activate", data=body, content_type=form)
        assert str(answer.get_json()["version"]) in body
    known = client.get("/models/default").get_json()["versions"][0]["preprocessing"]
    preprocessing = json.dumps(known | {"resize": "stretch"})
    answer = client.post("/models/default/preprocessing?version=2", data=preprocessing, content_type=form)
    assert answer.get_json()["version"] == 3


class TestDeleteName:
    """A name is removed with all its versions, and nothing of it is left."""

    def test_gone(self, client: FlaskClient, dogs: bytes, cat: Path) -> None:
        """Requests for it find no model, and neither lists nor metrics know it."""
        for content in (dogs, BUNDLED_MODEL.read_bytes()):
            client.post("/upload", data={"model": (io.BytesIO(content), "d.onnx"), "name": "dogs"})
        assert label(client, cat, "?model=dogs&version=1") == "dog 282"

        answer = client.delete("/models/dogs")

        assert answer.get_json() == {"status": "success", "name": "dogs", "versions": [1, 2]}
        for query in ("?model=dogs", "?model=dogs&version=1", "?model=dogs&version=2"):
            assert label(client, cat, query) == "model_not_found"
        assert label(client, cat) == "tiger cat"
        assert [one["name"] for one in client.get("/models").get_json()["models"]] == ["default"]
        assert code(client.get("/models/dogs")) == code(client.delete("/models/dogs")) == (
            404, "model_not_found",
        )  # fmt: skip
        assert 'name="dogs"' not in client.get("/metrics").get_data(as_text=True)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("default", (409, "model_conflict")),
            ("cats", (404, "model_not_found")),
            ("%2e%2e", (400, "invalid_request")),
            ("a b", (400, "invalid_request")),
        ],
    )
    def test_refused(self, client: FlaskClient, name: str, expected: tuple[int, str]) -> None:
        """What cannot be removed is told, and the model that always serves stays."""
        assert code(client.delete(f"/models/{name}")) == expected
        assert client.get("/models/default").get_json()["live"] == 1

    def test_page(self, client: FlaskClient, dogs: bytes) -> None:
        """The page has a button for it, except at the name that always serves, and shows what came of it."""
        client.post("/upload", data={"model": (io.BytesIO(dogs), "d.onnx"), "name": "dogs"})

        page = client.get("/upload").get_data(as_text=True)
        after = client.delete("/models/dogs", headers={"Accept": "text/html"}).get_data(as_text=True)

        assert re.findall(r'data-address="\./(models/[^"/]*)"', page) == ["models/dogs"]
        assert "The model dogs is deleted." in after
        assert "/models/dogs" not in after


def test_going_back(client: FlaskClient, dogs: bytes, cat: Path) -> None:
    """Rollback and activate change what serves; what is not live can be removed."""
    upload(client, dogs)

    assert client.post("/models/default/rollback").get_json()["version"] == 1
    assert label(client, cat) == "tiger cat"
    assert client.post("/models/default/activate", json={"version": 2}).get_json()["version"] == 2
    assert label(client, cat) == "dog 282"
    assert code(client.delete("/models/default/versions/2")) == (409, "model_conflict")
    assert code(client.delete("/models/default/versions/1")) == (409, "model_conflict")
    client.post("/models/default/rollback")
    assert client.delete("/models/default/versions/2").get_json() == {
        "status": "success", "name": "default", "version": 2,
    }  # fmt: skip
    assert code(client.post("/models/default/activate", json={"version": 2})) == (404, "model_not_found")
    assert label(client, cat, "?version=2") == "model_not_found"


def test_json_without_its_type(client: FlaskClient) -> None:
    """What `curl -d` sends as JSON under the type of a form is JSON; a form is a form."""
    typed = {"content_type": "application/x-www-form-urlencoded"}
    answers = [
        client.post("/models/default/activate", data=data, **typed)
        for data in ('{"version": 1}', "version=1", '{"version": "1"}', "{", "")
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 400, 400, 400]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (400, "invalid_request")),
        ({"model": "a text field"}, (400, "invalid_request")),
        ({"model": (io.BytesIO(b"no model"), "m.onnx")}, (422, "invalid_model")),
        ({"model": (io.BytesIO(b"x"), "m.onnx"), "other": (io.BytesIO(b"x"), "x")}, (400, "invalid_request")),
        ({"model": (io.BytesIO(b"x"), "m.onnx"), "other": "text"}, (400, "invalid_request")),
        ({"model": [(io.BytesIO(b"x"), "a"), (io.BytesIO(b"x"), "b")]}, (400, "invalid_request")),
        ({"model": (io.BytesIO(b"x"), "m.onnx"), "name": ".."}, (400, "invalid_request")),
        ({"model": (io.BytesIO(b"x"), "m.onnx"), "name": "a/b"}, (400, "invalid_request")),
        ({"model": (io.BytesIO(b"x"), "m.onnx"), "name": ["a", "b"]}, (400, "invalid_request")),
    ],
)
def test_refused_forms(client: FlaskClient, fields: dict[str, Any], expected: tuple[int, str]) -> None:
    """A form that is not as documented gets its code, and leaves nothing behind."""
    assert code(client.post("/upload", data=fields, content_type="multipart/form-data")) == expected
    assert left(client) == []
    assert client.get("/models/default").get_json()["live"] == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"preprocesing": "torch"},
            "preprocesing is not a field that is known here; did you mean preprocessing?",
        ),
        (
            {"lables": (io.BytesIO(b"cat"), "a.txt")},
            "lables is not a field that is known here; did you mean labels?",
        ),
        (
            {"zzz": "1"},
            "zzz is not a field that is known here; the fields are name, file, force, source, model,",
        ),
        ({"model": "my.onnx"}, "model must be a file, not text; with curl: -F model=@FILE."),
        (
            {"name": (io.BytesIO(b"a"), "a")},
            "name takes no file; the fields of files are model, files, labels,",
        ),
    ],
)
def test_mistaken_fields(client: FlaskClient, fields: dict[str, Any], sentence: str) -> None:
    """A field that an upload has not is answered with the one that was meant, or with all that there are."""
    files = {"model": (io.BytesIO(b"x"), "m.onnx")}

    answer = client.post("/upload", data=files | fields, content_type="multipart/form-data")

    assert (answer.status_code, answer.get_json()["detail"][: len(sentence)]) == (400, sentence)


@pytest.mark.parametrize(
    ("filename", "expected"), [("m.onnx", (422, "invalid_model")), ("", (400, "invalid_request"))]
)
def test_empty_model(client: FlaskClient, filename: str, expected: tuple[int, str]) -> None:
    """An empty file is no model; without a name it is what a browser sends where nothing was chosen."""
    assert (
        code(encoded.post(client, "/upload", ("model", (filename, b"", "application/octet-stream"))))
        == expected
    )
    assert left(client) == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"{}", "application/json"), (b"--", "multipart/form-data"), (b"x", "multipart/form-data; boundary=b")],
)
def test_no_form(client: FlaskClient, body: bytes, content_type: str) -> None:
    """What is no multipart form is told so."""
    assert code(client.post("/upload", data=body, content_type=content_type)) == (400, "invalid_request")


class TestTooLarge:
    """Files over their limit are refused with 413, and leave nothing behind."""

    def test_whole(self, make_app: Callable[..., Flask]) -> None:
        """A body over the limit is not even read."""
        client = make_app(max_model_mb=0.001).test_client()

        assert code(upload(client, bytes(9_000_000))) == (413, "model_too_large")
        assert left(client) == []

    def test_model(self, make_app: Callable[..., Flask]) -> None:
        """A model over the limit is refused although labels could be as large."""
        client = make_app(max_model_mb=0.001).test_client()

        assert code(upload(client, bytes(2000))) == (413, "model_too_large")
        assert left(client) == []

    def test_labels(self, client: FlaskClient, dogs: bytes) -> None:
        """So are labels."""
        response = upload(client, dogs, labels=(io.BytesIO(bytes(5_000_000)), "labels.txt"))

        assert code(response) == (413, "model_too_large")
        assert left(client) == []


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/models/default/activate", {}, (400, "invalid_request")),
        ("/models/default/activate", {"version": "1"}, (400, "invalid_request")),
        ("/models/default/activate", {"version": 0}, (400, "invalid_request")),
        ("/models/default/activate", [], (400, "invalid_request")),
        ("/models/default/activate", {"version": 9}, (404, "model_not_found")),
        ("/models/cats/activate", {"version": 1}, (404, "model_not_found")),
        ("/models/cats/rollback", None, (404, "model_not_found")),
        ("/models/default/rollback", None, (409, "model_conflict")),
        ("/models/%2e%2e/rollback", None, (400, "invalid_request")),
    ],
)
def test_refused_changes(client: FlaskClient, path: str, body: Any, expected: tuple[int, str]) -> None:
    """A change that cannot be made says why."""
    assert code(client.post(path, json=body)) == expected


@pytest.mark.parametrize("path", ["/models/cats", "/models/a%20b"])
def test_unknown_model(client: FlaskClient, path: str) -> None:
    """A model that is not there is not shown."""
    assert client.get(path).status_code in {400, 404}


@pytest.mark.parametrize("version", ["x", "0", "9"])
def test_unknown_version(client: FlaskClient, version: str) -> None:
    """A version that is not there is not removed."""
    assert client.delete(f"/models/default/versions/{version}").status_code in {400, 404}


def test_changes_without_a_disk(client: FlaskClient, cat: Path, dogs: bytes) -> None:
    """Whatever change of a model the data folder does not take, it is counted once, for the alert."""
    upload(client, dogs)
    worker: Worker = client.application.extensions["predictor"]
    for name in ("gate.lock", "publish.lock"):
        (worker.settings.data / name).unlink(missing_ok=True)
        (worker.settings.data / name).mkdir()

    answers = [
        upload(client, dogs),
        client.post("/models/default/activate", json={"version": 1}),
        client.post("/models/default/rollback"),
        client.post("/models/default/preprocessing", json={"size": [224, 224], "resize": "stretch"}),
        client.post("/models/default/calibration", json={"method": "temperature", "temperature": 2}),
        client.post("/models/default/golden", data={"pictures": (cat.open("rb"), "tiger cat/1.jpg")}),
        client.delete("/models/default/golden"),
        client.delete("/models/default/versions/1"),
    ]

    assert [code(one) for one in answers] == [(507, "storage_full")] * 8
    text = client.get("/metrics").get_data(as_text=True)
    assert 'predictor_model_swaps_total{outcome="storage_full"} 8.0' in text
    assert 'predictor_model_swaps_total{outcome="internal"} 0.0' in text


def test_metrics(client: FlaskClient, dogs: bytes) -> None:
    """Checks and changes are counted by what came of them, and only the live version is shown as live."""
    upload(client, dogs)
    upload(client, b"no model")

    text = client.get("/metrics").get_data(as_text=True)

    assert 'predictor_model_swaps_total{outcome="ok"} 1.0' in text
    assert 'predictor_model_checks_total{outcome="ok"} 1.0' in text
    assert 'predictor_model_checks_total{outcome="not_onnx"} 1.0' in text
    assert text.count("predictor_model_live{") == 1
    assert 'name="default",version="2"' in text
    for step in ("receive", "check", "switch"):
        assert f'predictor_model_swap_seconds_count{{step="{step}"}}' in text


def test_restart(make_app: Callable[..., Flask], dogs: bytes, cat: Path) -> None:
    """A service that is started again serves what was live."""
    upload(make_app().test_client(), dogs)

    assert label(make_app().test_client(), cat) == "dog 282"


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_start_with_a_damaged_model(
    make_app: Callable[..., Flask], dogs: bytes, cat: Path, tmp_path: Path, damage: str
) -> None:
    """A live model whose file is damaged is quarantined, and the one before it serves."""
    upload(make_app().test_client(), dogs)
    path = tmp_path / "models" / "default" / "2" / "model.onnx"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:1000])

    client = make_app().test_client()

    assert label(client, cat) == "tiger cat"
    assert client.get("/readyz").status_code == 200
    shown = client.get("/models/default").get_json()
    assert shown["live"] == 1
    assert "damaged" in shown["versions"][0]["quarantined"]


def test_several_outputs(client: FlaskClient, cat: Path) -> None:
    """Of several outputs the class scores are found, by the number of labels, and served."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17]>
        several (float[N, 3, 32, 32] image) => (float[N, 1] features, float[N, 3, 1, 1] logits) {
            logits = GlobalAveragePool(image)
            mean = ReduceMean<axes = [1, 2, 3], keepdims = 0>(image)
            axis = Constant<value = int64[1] {1}>()
            features = Unsqueeze(mean, axis)
        }
    """)
    labels = (io.BytesIO(b"red\ngreen\nblue\n"), "labels.txt")

    answer = upload(client, model.SerializeToString(), labels=labels).get_json()

    assert answer["report"]["outputs"][0]["name"] == "logits"
    assert answer["report"]["activation"] == "softmax"
    assert any("ImageNet" in warning for warning in answer["report"]["warnings"])
    assert label(client, cat) == "red"


def test_nothing_chosen(client: FlaskClient, dogs: bytes) -> None:
    """What a browser sends where no file was chosen leaves nothing among the version's files."""
    nothing = ("", b"", "application/octet-stream")
    model = ("dogs.onnx", dogs, "application/octet-stream")

    answer = encoded.post(
        client, "/upload", ("model", model), ("labels", nothing), ("preprocessing", nothing)
    ).get_json()

    worker: Worker = client.application.extensions["predictor"]
    folder = worker.registry.folder("default", answer["version"])
    assert (answer["status"], answer["labels"]) == ("success", None)
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["manifest.json", "model.onnx"]


def test_told_what_to_send(client: FlaskClient) -> None:
    """Whoever sends no form is told what to send."""
    response = client.post("/upload", json={"model": "my.onnx"})

    assert code(response) == (400, "invalid_request")
    assert response.get_json()["detail"] == "Send a multipart form with a file in the field model."
