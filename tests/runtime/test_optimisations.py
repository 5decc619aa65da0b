"""A faster form is kept beside its version, published with its proof, and warned of on other processors."""

import hashlib
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from flask import Flask
from flask.testing import FlaskClient

from predictor.errors import InvalidModel, ModelConflict
from predictor.model.device import Device
from predictor.model.hardware import KEY, this_machine
from predictor.optimising import verdict
from predictor.runtime.optimisations import FOLDER, check_source, elsewhere, warned
from predictor.runtime.worker import Worker
from predictor.store.files import locked
from predictor.store.manifest import digest
from predictor.store.registry import ModelVersion
from tests.optimising.networks import images
from tests.web.colours import archive, colours, picture
from tools.sample_models import classifier

LABELS = ("red", "green", "blue")
PURE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
FORM = classifier(LABELS, seed=7, metadata=False)
CPU, GPU = Device("cpu"), Device("cuda", "GPU-1", "NVIDIA H200")
OTHER = {"name": "Another", "machine": "x86_64", "instruction_sets": ["sse2"]}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """A service with version 1 of `colours`, whose labels and preprocessing came beside it."""
    made = make_app()
    fields = {
        "model": (io.BytesIO(classifier(LABELS, metadata=False)), "m.onnx"),
        "labels": (io.BytesIO(json.dumps(LABELS).encode()), "l.json"),
        "name": "colours",
    }
    answer = made.test_client().post("/upload", data=fields)
    assert answer.status_code == 200, answer.get_json()
    return made


@pytest.fixture
def worker(app: Flask) -> Worker:
    """Its worker."""
    found: Worker = app.extensions["predictor"]
    return found


def keep(worker: Worker, processor: dict[str, Any], number: int = 1, form: bytes = FORM) -> ModelVersion:
    """Lay another model beside a version, as if an optimisation had recommended it."""
    version = worker.registry.version("colours", number)
    folder = version.path.parent / FOLDER
    folder.mkdir()
    (folder / "model.onnx").write_bytes(form)
    report = {"recommended": "int8", "processor": processor, "candidates": [], "images": 300}
    report["digest"] = f"sha256:{hashlib.sha256(form).hexdigest()}"
    (folder / "report.json").write_text(json.dumps(report))
    return version


def test_publish(worker: Worker, client: FlaskClient) -> None:
    """The kept form is the next version, with labels and proof; a rollback brings the first one back."""
    published = worker.optimisations.publish(keep(worker, this_machine().to_json()), "127.0.0.1")

    first, second = (worker.report(worker.registry.version("colours", number)) for number in (1, 2))
    assert published.version.version == 2
    assert {name: second[name] for name in ("preprocessing", "activation", "classes", "outputs")} == {
        name: first[name] for name in ("preprocessing", "activation", "classes", "outputs")
    }
    assert second["optimised"]["images"] == 300
    assert published.version.manifest is not None
    assert (published.version.manifest.model, published.version.manifest.labels) == ("m-int8.onnx", "l.json")
    assert client.post("/models/colours/rollback").get_json()["version"] == 1


def test_calibrated(worker: Worker, client: FlaskClient, cat: Path) -> None:
    """The faster form of a calibrated version is calibrated, and a calibrated faster form keeps its proof."""

    def temperature(version: int) -> float | None:
        sent = {"data": cat.read_bytes(), "content_type": "image/jpeg"}
        path = f"/predict?model=colours&version={version}&threshold=0"
        return client.post(path, **sent).get_json().get("raw_confidence")  # type: ignore[no-any-return]

    client.post("/models/colours/calibration", json={"temperature": 3})
    assert temperature(2) is not None
    worker.optimisations.publish(keep(worker, this_machine().to_json(), 2), "127.0.0.1")
    assert temperature(3) is not None

    assert client.post("/models/colours/calibration", json={"temperature": 2}).get_json()["version"] == 4
    report = worker.report(worker.registry.version("colours", 4))
    assert report["optimised"]["images"] == 300
    with pytest.raises(InvalidModel):
        check_source(report)


def test_nothing_kept(worker: Worker) -> None:
    """Where nothing was recommended there is nothing to publish, and the error says what to do."""
    with pytest.raises(ModelConflict, match="Optimise it first"):
        worker.optimisations.publish(worker.registry.version("colours", 1), None)


def test_another_form(worker: Worker, client: FlaskClient) -> None:
    """What is published is the form that was shown, or nothing."""
    version = keep(worker, this_machine().to_json())
    address, digest = "/models/colours/optimise/publish", f"sha256:{hashlib.sha256(FORM).hexdigest()}"

    other = client.post(address, json={"digest": "sha256:0"})
    (version.path.parent / FOLDER / "model.onnx").write_bytes(classifier(LABELS, seed=8, metadata=False))
    exchanged = client.post(address, data={"version": 1, "digest": digest})
    (version.path.parent / FOLDER / "model.onnx").write_bytes(FORM)
    same = client.post(address, data={"version": 1, "digest": digest})

    for answer in (other, exchanged):
        assert (answer.status_code, answer.get_json()["code"]) == (409, "model_conflict")
        assert "another one" in answer.get_json()["detail"]
    assert (same.status_code, same.get_json()["version"]) == (200, 2)


@pytest.mark.slow
def test_replaced(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recommended takes the place of the form before, and the report names its file."""
    monkeypatch.setattr(verdict, "LEAST_RATIO", 0.0)
    version, device = keep(worker, this_machine().to_json()), Device("cpu")
    worker.optimisations.pace_seconds = 0.05

    *_, report = worker.optimisations.optimise(worker.engine.model("colours", None), images(100), 1.0, device)

    assert isinstance(report, dict)
    assert report["recommended"]
    kept = version.path.parent / FOLDER
    assert digest(kept / "model.onnx") == report["digest"]
    assert json.loads((kept / "report.json").read_text()) == report
    with pytest.raises(ModelConflict, match="another one"):
        worker.optimisations.publish(version, None, digest=f"sha256:{hashlib.sha256(FORM).hexdigest()}")
    assert worker.optimisations.publish(version, None, digest=report["digest"]).version.version == 2


def test_gate(worker: Worker, client: FlaskClient) -> None:
    """Golden images refuse a faster form as any upload, on the page with a button that overrules them."""
    address, page = "/models/colours/optimise/publish", {"Accept": "text/html"}
    client.post("/upload", data={"model": (io.BytesIO(colours()), "m.onnx"), "name": "colours"})
    pure = {f"{label}/1.png": picture(colour) for label, colour in zip(LABELS, PURE, strict=True)}
    client.post("/models/colours/golden", data={"pictures": archive(pure)})
    keep(worker, this_machine().to_json(), 2, colours(8.0, (0, 2, 1)))

    refused = client.post(address, data={"version": 2})
    shown = client.post(address, data={"version": 2}, headers=page).get_data(as_text=True)
    forced = client.post(address, data={"version": 2, "force": "true"})

    assert (refused.status_code, refused.get_json()["code"]) == (422, "invalid_model")
    assert "Do it anyway" in shown
    assert 'name="force" value="true"' in shown
    assert forced.get_json()["report"]["golden"]["forced"] is True


def test_not_of_its_own(worker: Worker) -> None:
    """A faster form is not made faster again."""
    published = worker.optimisations.publish(keep(worker, this_machine().to_json()), None)

    with pytest.raises(InvalidModel, match="faster form already"):
        check_source(worker.report(published.version))


def test_one_at_a_time(worker: Worker, tmp_path: Path) -> None:
    """While an evaluation runs on the machine, there is no optimisation."""
    assert worker.device is not None
    model = worker.engine.model("colours", None)

    with locked(worker.settings.data / "evaluation.lock"), pytest.raises(ModelConflict, match="running"):
        next(worker.optimisations.optimise(model, [], 0.005, worker.device))


def test_another_processor(worker: Worker, client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    """A proof of another processor is a warning in the report, and in the log when the version is loaded."""
    with caplog.at_level(logging.WARNING):
        worker.optimisations.publish(keep(worker, OTHER), None)

    newest = client.get("/models/colours").get_json()["versions"][0]
    assert any("another processor (Another)" in sentence for sentence in newest["report"]["warnings"])
    assert "made faster for another processor" in caplog.text


@pytest.mark.parametrize("proof", [None, {}, {"processor": None}, {"processor": "x"}, "x"])
def test_no_proof(proof: object) -> None:
    """A report without a proof, or with one that says nothing of a processor, has no warning."""
    report = {"warnings": ["one"]} | ({} if proof is None else {"optimised": proof})

    assert elsewhere(report, CPU) is None
    assert warned(report, CPU) == report


@pytest.mark.parametrize(
    ("proof", "device", "said"),
    [
        ({"device": "CPU", "processor": this_machine().to_json()}, CPU, None),
        ({"device": "CPU", "processor": OTHER}, CPU, "another processor (Another)"),
        ({"device": "CPU", "processor": this_machine().to_json()}, GPU, "another device (CPU)"),
        ({"device": "NVIDIA H200", "processor": this_machine().to_json()}, CPU, "device (NVIDIA H200)"),
        ({"device": "NVIDIA A100", "processor": this_machine().to_json()}, GPU, "device (NVIDIA A100)"),
        ({"device": "NVIDIA H200", "processor": OTHER}, GPU, None),
    ],
)
def test_another_device(proof: dict[str, Any], device: Device, said: str | None) -> None:
    """A proof holds on the device that it was measured on; a GPU does the same whatever the processor."""
    found = elsewhere({"optimised": proof}, device)

    assert found is None if said is None else said in str(found)


def test_another_preprocessing(worker: Worker, client: FlaskClient) -> None:
    """With another preprocessing nothing of the proof is left but a warning, and it is no original."""
    worker.optimisations.publish(keep(worker, this_machine().to_json()), None)

    changed = client.post("/models/colours/preprocessing", json={"resize": "crop"}).get_json()
    client.post("/models/colours/calibration", json={"temperature": 2})

    assert changed["version"] == 3
    for version in (3, 4):
        report = worker.report(worker.registry.version("colours", version))
        assert report["optimised"].keys() == {"void"}
        assert any("with another preprocessing" in sentence for sentence in report["warnings"])
        with pytest.raises(InvalidModel):
            check_source(report)
    assert client.delete("/models/colours/versions/2").status_code == 200
    assert "Made faster: the proof" not in client.get("/upload").get_data(as_text=True)


@pytest.mark.parametrize(("said", "warnings"), [(OTHER, 1), (this_machine().to_json(), 0), ("x", 0)])
def test_upload_elsewhere(client: FlaskClient, said: object, warnings: int) -> None:
    """A file whose metadata say that it was made for another processor has a warning from its upload."""
    model = onnx.load_model_from_string(classifier(LABELS))
    model.metadata_props.add(key=KEY, value=json.dumps(said))
    files = {"model": (io.BytesIO(model.SerializeToString()), "m.onnx"), "name": "fetched"}

    report = client.post("/upload", data=files).get_json()["report"]

    assert sum("made faster for another processor" in one for one in report["warnings"]) == warnings
