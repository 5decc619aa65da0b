"""The examples of the service's document and of its page can be sent as they are."""

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.live.service import Service
from tests.patience import PATIENCE
from tools.sample_models import classifier

pytestmark = pytest.mark.live
PATHS = ("/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer")
FORMS = ("/upload", "/evaluate", "/tune", "/compare", "/models/{name}/golden")
RUN: dict[str, Sequence[str]] = {
    "curl": ("bash", "-c"),
    "Python": (sys.executable, "-c"),
    "JavaScript": ("node", "--input-type=module", "-e"),
}


def said(service: Service, path: str, language: str, folder: Path | None = None) -> Any:
    """What comes of an example that is sent from a folder."""
    if shutil.which(RUN[language][0]) is None:
        pytest.skip(f"{RUN[language][0]} is not installed")
    samples = service.get("/openapi.json").json()["paths"][path]["post"]["x-codeSamples"]
    (source,) = (one["source"] for one in samples if one["label"] == language)
    printed = subprocess.run(
        [*RUN[language], source.replace("http://127.0.0.1:8080", service.url)],
        check=True,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    ).stdout
    return json.loads(printed[printed.index("{") :])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("language", RUN)
def test_inference(service: Service, path: str, language: str) -> None:
    """An inference has three classes of the image in the example."""
    answer = said(service, path, language)

    assert (answer["model_name"], answer["outputs"][0]["shape"]) == ("default", [1, 3])


@pytest.mark.parametrize("language", ["curl", "Python"])
def test_files(tmp_path: Path, language: str) -> None:
    """With the files that they name, the examples upload a model, and evaluate, tune and compare it."""
    (tmp_path / "model.onnx").write_bytes(classifier(["red", "green"], winner=0))
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for name, colour in {"red": (250, 0, 0), "green": (0, 250, 0)}.items():
            out = io.BytesIO()
            Image.new("RGB", (40, 40), colour).save(out, "PNG")
            archive.writestr(f"{name}/1.png", out.getvalue())
    shutil.copy(tmp_path / "pictures.zip", tmp_path / "images.zip")

    with Service(tmp_path / "data", workers=1, cache="off") as running:
        assert running.post("/upload", files={"model": classifier(["red", "green"], winner=1)}).ok
        answers = {path: said(running, path, language, tmp_path) for path in FORMS}

    assert [path for path, answer in answers.items() if "code" in answer] == []
    assert (answers["/upload"]["version"], answers["/evaluate"]["top1"]["hits"]) == (3, 1)
