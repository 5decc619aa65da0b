"""The Python client against the real service."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from predictor.client import Client, Result
from predictor.client_types import InvalidModel, ModelConflict, ModelNotFound, Unauthorized, UnsupportedImage
from tests.live.models import FIRST, SECOND
from tests.live.service import ROOT, Service
from tests.patience import PATIENCE


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that wants a token for changes."""
    folder = tmp_path_factory.mktemp("client")
    with Service(folder / "data", admin_token="admin-token-of-16") as started:
        yield started


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    """A client that may do all."""
    with Client(service.url, token="admin-token-of-16", timeout=PATIENCE) as made:
        yield made


def test_predicts(client: Client, cat: Path) -> None:
    """A path, bytes, Pillow's image and an array have the same answer."""
    pixels = Image.open(cat).convert("RGB")

    found = [client.predict(image, top_k=2) for image in (cat, cat.read_bytes(), pixels, np.asarray(pixels))]

    assert {one.label for one in found} == {"tiger cat"}
    assert {len(one.predictions) for one in found} == {2}
    assert client.ready()


@pytest.mark.parametrize("mode", ["CMYK", "P", "LA", "I;16", "F"])
def test_modes(client: Client, cat: Path, mode: str) -> None:
    """An image of Pillow may have pixels of any kind."""
    grey = Image.open(cat).convert("L")
    image = grey.convert("I").convert(mode) if mode == "I;16" else grey.convert(mode)

    assert client.predict(image).predictions


def test_many(client: Client, cat: Path) -> None:
    """Many images have their answers in order, and a bad one its error."""
    found = list(client.predict_many([cat, b"no image", cat], concurrency=2))

    assert [isinstance(one, Result) for one in found] == [True, False, True]
    assert isinstance(found[1], UnsupportedImage)


def test_a_model_comes_and_goes(client: Client, cat: Path, tmp_path: Path) -> None:
    """A model is uploaded, changed, rolled back and removed."""
    for name, content in (("first.onnx", FIRST), ("second.onnx", SECOND), ("broken.onnx", b"no model")):
        (tmp_path / name).write_bytes(content)

    assert client.upload(tmp_path / "first.onnx", name="pets")["version"] == 1
    assert client.upload(tmp_path / "second.onnx", name="pets")["version"] == 2
    with pytest.raises(InvalidModel):
        client.upload(tmp_path / "broken.onnx", name="pets")
    assert client.predict(cat, model="pets").label == "second"
    client.rollback("pets")
    assert client.predict(cat, model="pets").label == "first"
    client.activate(2, "pets")
    with pytest.raises(ModelConflict):
        client.delete("pets", 2)
    client.delete("pets", 1)
    assert [one["version"] for one in client.model("pets")["versions"]] == [2]
    client.delete("pets")
    assert "pets" not in {one["name"] for one in client.models()}
    with pytest.raises(ModelNotFound):
        client.predict(cat, model="pets")


def test_a_folder_is_a_model(client: Client, tmp_path: Path) -> None:
    """A folder is uploaded with all that is in it."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.onnx").write_bytes(FIRST)
    (tmp_path / "model" / "README.md").write_text("About.")

    report = client.upload(tmp_path / "model", name="folder")["report"]

    assert {one["name"] for one in report["files"]} == {"model.onnx", "README.md"}


def test_evaluates(client: Client, cat: Path, tmp_path: Path) -> None:
    """A ZIP of labelled images gives a report."""
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for name in ("tiger cat", "goldfish"):
            archive.write(cat, f"{name}/1.jpg")

    report = client.evaluate(tmp_path / "images.zip", limit=2)

    assert (report["top1"]["hits"], report["top1"]["of"]) == (1, 2)


def test_wrong_token(service: Service) -> None:
    """Without the right token, the error says so."""
    with Client(service.url, token="wrong", timeout=PATIENCE) as client, pytest.raises(Unauthorized):
        client.rollback()


def test_documentation(service: Service, cat: Path, tmp_path: Path) -> None:
    """The examples of the documentation do what they say."""
    for path in ("cat.jpg", "images/first.jpg", "images/second.jpg", "tests/data/cat.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(cat.read_bytes())
    (tmp_path / "images" / "third.jpg").write_bytes(b"no image")
    texts = "".join((ROOT / name).read_text() for name in ("README.md", "docs/clients.md"))
    blocks = re.findall(r"```python\n(.*?)```", texts, re.DOTALL)
    examples = [block for block in blocks if "predictor.client" in block]

    said = [
        subprocess.run(
            [sys.executable, "-c", example.replace("http://127.0.0.1:8080", service.url)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        ).stdout
        for example in examples
    ]

    assert said[:2] == ["tiger cat\n"] * 2
    files = [line.split()[0] for line in said[2].splitlines()]
    assert files == [f"images/{name}.jpg" for name in ("first", "second", "third")]
    assert "tiger cat" in said[2]
