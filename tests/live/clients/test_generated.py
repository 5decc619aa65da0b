"""Clients that others' tools make of the service's own OpenAPI document can predict."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.service import Service
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
HERE = Path(__file__).parent
NODE = Path(sys.prefix) / "node" / "node_modules"
LABELS = dict.fromkeys(("json", "form", "file", "raw"), "tiger cat")

PYTHON = """
import base64, io, json, sys
from generated import Client
from generated.api.prediction import predict
from generated.models import FileRequest, FormRequest, PredictRequest
from generated.types import File

client, data = Client(base_url=sys.argv[1]), open(sys.argv[2], "rb").read()
image = base64.b64encode(data).decode()
bodies = {
    "json": PredictRequest(image=image, top_k=2),
    "form": FormRequest(image=image),
    "file": FileRequest(image=[File(payload=io.BytesIO(data), file_name="cat.jpg", mime_type="image/jpeg")]),
    "raw": File(payload=io.BytesIO(data)),
}
answers = {way: predict.sync(client=client, body=body) for way, body in bodies.items()}
print(json.dumps({way: answer.predicted_label for way, answer in answers.items()}))
"""


@pytest.fixture(scope="module")
def document(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the service's document, in a folder of its own."""
    path = tmp_path_factory.mktemp("generated") / "openapi.json"
    path.write_bytes(service.get("/openapi.json").content)
    return path


def run(folder: Path, *command: str | Path) -> str:
    """What a program says that must end well."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_python(service: Service, document: Path, cat: Path) -> None:
    """A client of openapi-python-client predicts by JSON, form, file and bytes, and has all operations."""
    folder = document.parent
    options = (
        "--path",
        document,
        "--output-path",
        folder / "generated",
        "--meta",
        "none",
        "--fail-on-warning",
    )
    run(folder, Path(sys.executable).parent / "openapi-python-client", "generate", *options)

    assert json.loads(run(folder, sys.executable, "-c", PYTHON, service.url, cat)) == LABELS


@pytest.mark.skipif(not (NODE / "openapi-typescript").exists(), reason="openapi-typescript is not installed")
def test_typescript(service: Service, document: Path, cat: Path) -> None:
    """Types of openapi-typescript hold for JSON, form, file and bytes, and the program predicts with them."""
    folder = document.parent
    (folder / "node_modules").symlink_to(NODE)
    (folder / "package.json").write_text('{"type": "module"}')
    shutil.copy(HERE / "generated.ts", folder)
    run(folder, NODE / ".bin" / "openapi-typescript", document, "--output", folder / "schema.ts")
    strict = ("--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "--types", "node")
    run(folder, NODE / ".bin" / "tsc", *strict, "generated.ts")

    assert json.loads(run(folder, "node", "generated.js", service.url, cat)) == LABELS
