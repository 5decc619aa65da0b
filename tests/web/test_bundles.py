"""A model comes as one file, several, a folder or a ZIP, and the report says what each file was used for."""

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from predictor.checking.report import Report, Request
from predictor.checking.runner import try_model
from predictor.runtime.worker import Worker
from tests.web import encoded
from tools.sample_models import classifier

pytestmark = pytest.mark.slow

LABELS = ["red", "green", "blue"]
MODEL = classifier(LABELS, winner=1, metadata=False)
CONFIG = json.dumps({"id2label": dict(enumerate(LABELS)), "model_type": "vit"}).encode()
PREPROCESSOR = json.dumps(
    {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
).encode()
HUGGING_FACE = {
    "config.json": CONFIG,
    "preprocessor_config.json": PREPROCESSOR,
    "onnx/model.onnx": MODEL,
    "README.md": b"# A model",
}
USES = {
    "onnx/model.onnx": "model",
    "config.json": "labels",
    "preprocessor_config.json": "preprocessing",
    "README.md": "not used",
}


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    """A client of an application with a store of its own, for models of at most 10 MB."""
    return make_app(workers=1, max_model_mb=10).test_client()


def archive(files: dict[str, bytes]) -> bytes:
    """A ZIP."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in files.items():
            written.writestr(name, content)
    return out.getvalue()


def send(client: FlaskClient, *files: tuple[str, str, bytes], **fields: str) -> Any:
    """Send files, each with its field and its name."""
    parts = [(field, (name, content, "application/octet-stream")) for field, name, content in files]
    return encoded.post(client, "/upload", *parts, *fields.items()).get_json()


def uses(answer: Any) -> dict[str, str]:
    """What each file was used for, by its name."""
    assert answer["status"] == "success", answer
    return {one["name"]: one["use"] for one in answer["report"]["files"]}


def stored(client: FlaskClient) -> tuple[set[str], set[str]]:
    """The files of the version that is live, and what lies in the folder of uploads that are under way."""
    worker: Worker = client.application.extensions["predictor"]
    live = worker.registry.name("default").live
    folder = worker.registry.folder("default", live or 0)
    return (
        {path.name for path in folder.glob("*") if path.is_file()},
        {path.name for path in (worker.settings.data / "incoming").glob("*")},
    )


def test_one_file(client: FlaskClient) -> None:
    """A file that comes alone is the model."""
    assert uses(send(client, ("model", "models/../m.onnx", MODEL))) == {"models/m.onnx": "model"}


@pytest.mark.parametrize("field", ["model", "files"])
def test_archive(client: FlaskClient, field: str, cat: Path) -> None:
    """A ZIP of a Hugging Face folder is served with its labels and its preprocessing."""
    answer = send(client, (field, "vit.zip", archive(HUGGING_FACE)))

    assert uses(answer) == USES
    assert (answer["model"], answer["labels"]) == ("model.onnx", "config.json")
    assert answer["report"]["preprocessing"]["mean"] == [0.5, 0.5, 0.5]
    assert stored(client) == ({"model.onnx", "labels", "preprocessing", "manifest.json"}, set())
    said = client.post("/predict", data=cat.read_bytes(), content_type="image/jpeg").get_json()
    assert said["predicted_label"] == "green"


def test_archive_by_its_bytes(client: FlaskClient) -> None:
    """What is sent as the model may be a ZIP, whatever it is called."""
    assert uses(send(client, ("model", "m.onnx", archive({"a/m.onnx": MODEL})))) == {"a/m.onnx": "model"}


def test_folder(client: FlaskClient) -> None:
    """So are the files of a folder, sent one by one with their paths."""
    answer = send(client, *(("files", f"vit/{name}", content) for name, content in HUGGING_FACE.items()))

    assert uses(answer) == {f"vit/{name}": use for name, use in USES.items()}


def test_beside(client: FlaskClient) -> None:
    """What is sent apart goes before what is found; both have their use."""
    answer = send(
        client,
        ("model", "vit.zip", archive(HUGGING_FACE)),
        ("labels", "mine.txt", b"a\nb\nc\n"),
        ("preprocessing", "mine.json", b'{"size": 32, "mean": 0, "std": 1}'),
    )

    unused = dict.fromkeys(("config.json", "preprocessor_config.json", "README.md"), "not used")
    assert uses(answer) == {
        "onnx/model.onnx": "model",
        "mine.txt": "labels",
        "mine.json": "preprocessing",
        **unused,
    }
    assert answer["labels"] == "mine.txt"


def test_one_of_several(client: FlaskClient) -> None:
    """The field `file` chooses a model; without it the error lists them and nothing changes."""
    several = archive({**HUGGING_FACE, "onnx/model_quantized.onnx": MODEL})

    refused = send(client, ("model", "vit.zip", several), file="")
    answer = send(client, ("model", "vit.zip", several), file="./onnx\\model_quantized.onnx")

    assert refused["code"] == "invalid_request"
    assert "2 models: onnx/model.onnx and onnx/model_quantized.onnx" in refused["detail"]
    assert uses(answer)["onnx/model_quantized.onnx"] == "model"
    assert uses(answer)["onnx/model.onnx"] == "not used"


def test_weights(client: FlaskClient, tmp_path: Path) -> None:
    """Files that may hold weights are there for the check; those that do are kept, the others are not."""
    worker: Worker = client.application.extensions["predictor"]
    seen: dict[str, bytes] = {}

    def tried(folder: Path, request: Request) -> Report:
        seen.update({place: (folder / name).read_bytes() for place, name in request.data.items()})
        report = try_model(folder, request)
        used = {place: name for place, name in request.data.items() if name == "data-0"}
        return dataclasses.replace(report, weights=(*used,), beside=(*used.values(),))

    worker.uploads.try_model = tried
    files = {"a/m.onnx.data": b"weights", "a/notes.bin": b"notes", "a/m.onnx": MODEL, "b.bin": b"apart"}
    files["b.png"] = b"image"

    answer = send(client, ("model", "m.zip", archive(files)))

    assert seen == {"m.onnx.data": b"weights", "notes.bin": b"notes", "b.bin": b"apart"}
    assert uses(answer) == {
        "a/m.onnx": "model",
        "a/m.onnx.data": "weights",
        "a/notes.bin": "not used",
        "b.bin": "not used",
        "b.png": "not used",
    }
    assert stored(client)[0] == {"model.onnx", "manifest.json", "data-0"}

    revised = client.post("/models/default/preprocessing", json={"size": 32, "mean": 0, "std": 1}).get_json()

    assert revised["status"] == "success", revised
    assert seen["data-0"] == b"weights"
    assert "data-0" in stored(client)[0]


def test_many_unused(client: FlaskClient) -> None:
    """The list of the report has an end."""
    files = {f"{number:03}.md": b"" for number in range(150)}

    listed = send(client, ("model", "m.zip", archive({"m.onnx": MODEL, **files})))["report"]["files"]

    assert len(listed) == 102
    assert listed[-1] == {"name": "50 more", "use": "not used"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([("model", "m.onnx.data", b"x")], ("invalid_model", "send the .onnx file too")),
        ([("model", "m.zip", archive({"m.onnx_data": b"x"}))], ("invalid_model", "weights file of a pair")),
        ([("model", "m.pt", archive({"m/data.pkl": b"x"}))], ("invalid_model", "torch.onnx.export")),
        ([("model", "m.zip", archive({"a.txt": b"x"}))], ("invalid_model", "no .onnx file")),
        ([("files", "a.txt", b"x")], ("invalid_model", "no .onnx file")),
        ([("labels", "a.txt", b"x")], ("invalid_request", "Send a file in the field model")),
        ([("files", "m.onnx", b"x"), ("files", "m.onnx", b"y")], ("invalid_request", "Two files are named")),
        ([("model", "m.zip", archive({"../m.onnx": MODEL}))], ("invalid_request", "outside of itself")),
        ([("model", "m.zip", b"PK\x03\x04no archive")], ("invalid_request", "not a valid ZIP")),
        ([("model", "m.zip", archive({"m.onnx": bytes(11_000_000)}))], ("model_too_large", "at most 10 MB")),
        (
            [("model", "m.onnx", bytes(6_000_000)), ("files", "a", bytes(6_000_000))],
            ("model_too_large", "10 MB together"),
        ),
    ],
)
def test_refused(client: FlaskClient, files: list[tuple[str, str, bytes]], expected: tuple[str, str]) -> None:
    """What cannot be a model is refused with what to do, and nothing is left."""
    answer = send(client, *files)

    assert (answer["code"], expected[1] in answer["detail"]) == (expected[0], True), answer
    assert stored(client)[1] == set()


def test_shown_as_text(client: FlaskClient) -> None:
    """Names of an archive's files are text on the page."""
    send(client, ("model", "m.zip", archive({"m.onnx": MODEL, "<img src=x>.md": b""})))

    page = client.get("/upload").get_data(as_text=True)

    assert "&lt;img src=x&gt;.md" in page
    assert "<img src=x" not in page


def test_documented(client: FlaskClient) -> None:
    """The documentation has the fields of the form, and an example that sends a model."""
    schema = client.get("/openapi.json").get_json()["components"]["schemas"]["UploadForm"]
    page = client.get("/docs").get_data(as_text=True)

    fields = {"name", "file", "source", "model", "files", "labels", "preprocessing", "force"}
    assert schema["properties"].keys() == fields
    assert schema["properties"]["files"]["items"]["format"] == "binary"
    assert "curl -F model=@model http://localhost/upload" in page


def test_typed_labels(client: FlaskClient) -> None:
    """Labels and preprocessing that come as text, as `curl -F` sends them without an @, are used."""
    answer = send(
        client,
        ("model", "model.onnx", MODEL),
        labels="one\ntwo\nthree",
        preprocessing='{"resize": "stretch", "scale": 0.5}',
    )

    used = uses(answer)
    assert (used["labels"], used["preprocessing"]) == ("labels", "preprocessing")
    assert answer["report"]["preprocessing"]["scale"] == 0.5


def warned(answer: Any, name: str) -> list[str]:
    """The warnings that begin with a file's name."""
    return [warning for warning in answer["report"]["warnings"] if warning.startswith(f"{name} ")]


def test_file_of_a_tool(client: FlaskClient) -> None:
    """What a training tool leaves beside a model and does not fit it is passed over, and is not kept."""
    beside = {"train_labels.csv": b"file,label\na.jpg,cat\nb.jpg,dog\n", "aug.json": b'{"crop_size": 64}'}

    answer = send(client, ("model", "run.zip", archive({"best.onnx": MODEL, **beside})))

    assert uses(answer) == {"best.onnx": "model", **dict.fromkeys(beside, "not used")}
    assert [len(warned(answer, name)) for name in beside] == [1, 1]
    assert (answer["labels"], answer["report"]["classes"]) == (None, 3)
    assert stored(client)[0] == {"model.onnx", "manifest.json"}
    assert send(client, ("model", "run.zip", archive({"best.onnx": MODEL, **beside})))["unchanged"]


def test_numbers_of_torchvision(client: FlaskClient) -> None:
    """A file of nothing but mean and std is one of pixels from 0 to 1, and stays so in later versions."""
    numbers = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.2]}

    answer = send(
        client,
        ("files", "m.onnx", MODEL),
        ("files", "species.txt", "\n".join(LABELS).encode()),
        ("files", "stats.json", json.dumps(numbers).encode()),
    )

    assert uses(answer) == {"m.onnx": "model", "species.txt": "labels", "stats.json": "preprocessing"}
    assert answer["report"]["preprocessing"]["scale"] == 1 / 255
    assert [len(warned(answer, name)) for name in ("species.txt", "stats.json")] == [1, 1]
    worker: Worker = client.application.extensions["predictor"]
    live = worker.registry.name("default").live
    kept = worker.registry.version("default", live or 0).companion("preprocessing")
    assert json.loads(kept or "") == {**numbers, "scale": 1 / 255}
