"""Other clients read the answers: that of the protocol's own document, a strict one, and Hugging Face's."""

import base64
import json
import re
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from open_inference.openapi.client import OpenInferenceClient
from open_inference.openapi.core.api_error import ApiError
from open_inference.openapi.errors.bad_request_error import BadRequestError
from open_inference.openapi.types.inference_request import InferenceRequest

from tests.live.service import Service
from tests.loops import in_a_loop
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
GUIDE = Path(__file__).parent.parent.parent / "docs" / "protocols.md"


@pytest.fixture(scope="module")
def strict(service: Service) -> OpenInferenceClient:
    """A client that was generated from the protocol's document."""
    return OpenInferenceClient(base_url=service.url, timeout=PATIENCE)


def request_of(name: str, picture: bytes, **more: Any) -> Any:
    """A request for inference, in the client's types."""
    data = [base64.b64encode(picture).decode()]
    tensor = {"name": name, "shape": [1], "datatype": "BYTES", "data": data}
    return InferenceRequest.parse_obj({"inputs": [tensor], **more})


def test_strict_health(strict: OpenInferenceClient) -> None:
    """Health is read without a fault."""
    strict.check_server_liveness()
    strict.check_server_readiness()
    strict.check_model_readiness("default")
    strict.check_model_version_readiness("default", "1")


def test_strict_metadata(strict: OpenInferenceClient) -> None:
    """So is metadata."""
    server, model = strict.read_server_metadata(), strict.read_model_metadata("default")

    assert server.name
    assert server.extensions
    assert model == strict.read_model_version_metadata("default", "1")
    assert (model.name, model.platform) == ("default", "onnx_onnxv1")
    assert model.properties
    assert model.properties["classes"] == "1000"


def test_strict_inference(strict: OpenInferenceClient, cat: Path) -> None:
    """And inference, in numbers and in texts."""
    model = strict.read_model_metadata("default")
    assert model.inputs
    name = model.inputs[0].name

    whole = strict.model_infer("default", request=request_of(name, cat.read_bytes(), id="mine"))
    best = strict.model_version_infer(
        "default", "1", request=request_of(name, cat.read_bytes(), parameters={"top_k": 2})
    )

    assert (whole.id, whole.model_name, whole.model_version) == ("mine", "default", "1")
    assert (whole.outputs[0].datatype, whole.outputs[0].shape) == ("FP32", [1, 1000])
    assert len(whole.outputs[0].data.__root__) == 1000
    assert str(best.outputs[0].data.__root__[0]).endswith(":282:tiger cat")


def test_strict_errors(strict: OpenInferenceClient, cat: Path) -> None:
    """And errors."""
    with pytest.raises(BadRequestError) as wrong:
        strict.model_infer("default", request=request_of("other", cat.read_bytes()))
    with pytest.raises(ApiError) as unknown:
        strict.model_infer("cats", request=request_of("other", cat.read_bytes()))

    assert wrong.value.body.keys() == unknown.value.body.keys() == {"error"}
    assert unknown.value.status_code == 404


def hugging_face(service: Service, name: str = "default", **options: Any) -> InferenceClient:
    """Hugging Face's client."""
    return InferenceClient(model=f"{service.url}/hf/{name}", timeout=PATIENCE, **options)


def test_hugging_face(service: Service, cat: Path) -> None:
    """An image as bytes and as a file, with and without a number of classes."""
    client = hugging_face(service)

    for image in (cat.read_bytes(), str(cat), cat):
        found = client.image_classification(image)
        assert (len(found), found[0].label) == (5, "tiger cat")
    assert len(client.image_classification(cat.read_bytes(), top_k=2)) == 2
    raw = client.image_classification(cat.read_bytes(), function_to_apply="none", top_k=1000)
    assert len(raw) == 1000


def test_hugging_face_asynchronous(service: Service, cat: Path) -> None:
    """The asynchronous client as well."""

    async def ask() -> Any:
        async with AsyncInferenceClient(model=f"{service.url}/hf/default", timeout=PATIENCE) as client:
            return await client.image_classification(cat.read_bytes(), top_k=1)

    assert in_a_loop(ask())[0].label == "tiger cat"


def test_hugging_face_errors(service: Service, cat: Path) -> None:
    """The client shows the sentence of an error."""
    for client, image, words in (
        (hugging_face(service), b"no image", "image"),
        (hugging_face(service, "cats"), cat.read_bytes(), "No model has that name"),
    ):
        with pytest.raises(HfHubHTTPError, match=words):
            client.image_classification(image)


def test_names_in_paths(service: Service) -> None:
    """A name that no model can have is one that is not there, however it is written."""
    for name in ("my model", "é", "a%2Fb", "x" * 2_000):
        path = urllib.parse.quote(name)
        for route in (f"/v2/models/{path}/ready", f"/v2/models/{path}"):
            answer = service.get(route)
            assert (answer.status_code, json.loads(answer.text).keys()) == (404, {"error"}), route


@pytest.mark.parametrize("language", ["python", "sh"])
def test_examples(
    service: Service, cat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    """The examples of the guide do what it says."""
    shutil.copy(cat, tmp_path / "cat.jpg")
    monkeypatch.chdir(tmp_path)
    examples = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    run = [sys.executable] if language == "python" else ["sh", "-e"]
    printed = []
    for number, example in enumerate(one for one in examples if "unload" not in one):
        script = tmp_path / f"example-{number}"
        script.write_text(example.replace("127.0.0.1:8080", f"127.0.0.1:{service.port}"))
        done = subprocess.run([*run, script], capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)

    assert len(printed) == 2
    assert all("tiger cat" in one for one in printed)
