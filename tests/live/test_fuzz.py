"""The running service is fuzzed against its own OpenAPI document, and with damaged models."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests import fuzzing
from tests.live.service import Service
from tools.mutate_models import mutant
from tools.sample_models import classifier

pytestmark = [pytest.mark.live, pytest.mark.fuzz]
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
]
JPEG = {"Content-Type": "image/jpeg"}
OPTIMISE, LOADING, INFER = "/optimise$", "/(un)?load$", "/infer$"
# A caller may name a deadline of a millisecond, which a busy machine cannot keep. Nothing else is 503 here.
CONFIGURATION = (
    "[checks.not_a_server_error]",
    'expected-statuses = ["2xx", "3xx", "4xx", 503]',
    "[parameters]",
)
DEADLINE = "would not run before its deadline"
JSON, LENGTH = "application/json", "Inference-Header-Content-Length"
# What is said of bodies that were read, by their type.
READ = {
    JSON: ("valid JSON", "inputs is missing", "outputs may name", "1 to 32 images", "data must hold strings"),
    "application/octet-stream": (LENGTH, "valid JSON", "not an image"),
}
# Far more than a run takes, but an end.
SECONDS, SECONDS_AN_EXAMPLE = 3000, 20


class Answer(NamedTuple):
    """What came of a request."""

    method: str
    url: str
    status: int
    headers: dict[str, str]
    text: str


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: the fuzzer changes how its model answers."""
    with Service(tmp_path_factory.mktemp("fuzz") / "data", fetch_allow="127.0.0.1") as running:
        yield running


def fuzz(source: Service | Path, folder: Path, examples: int, *options: str, **path: str) -> list[Answer]:
    """Have schemathesis send what the service's document allows, and what it does not.

    Args:
        source: whose document, or the document.
        folder: for the tool's files.
        examples: how many requests it makes up for each operation.
        options: more of its options.
        path: parts of paths that are always the same.
    """
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert command
    fixed = [f'"path.{name}" = "{value}"' for name, value in path.items()]
    (folder / "schemathesis.toml").write_text("\n".join([*CONFIGURATION, *fixed]))

    run = subprocess.run(
        [
            command, "run", str(source) if isinstance(source, Path) else f"{source.url}/openapi.json",
            "--checks", ",".join(CHECKS),
            "--max-examples", str(examples),
            "--seed", str(fuzzing.seed()),
            "--generation-database", "none",
            # In threads of its own the tool now and then trips over a fault of the interpreter (ast).
            "--workers", "1",
            # As long as the check of a model may take on a machine that is busy with something else.
            "--request-timeout", "600",
            "--report-har-path", str(folder / "answers.har"),
            "--no-color",
            *options,
        ],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS + SECONDS_AN_EXAMPLE * examples,
    )  # fmt: skip

    fuzzing.say(run.stdout[-2000:])
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    return list(answers(folder / "answers.har"))


def answers(file: Path) -> Iterator[Answer]:
    """All answers of a run; those that a busy service may give are checked for what they say."""
    for entry in json.loads(file.read_text())["log"]["entries"]:
        asked, said = entry["request"], entry["response"]
        headers = {one["name"].lower(): one["value"] for one in said["headers"]}
        answer = Answer(
            asked["method"], asked["url"], said["status"], headers, said["content"].get("text") or ""
        )
        if answer.status == 503:
            assert DEADLINE in answer.text, answer
            assert int(answer.headers["retry-after"]) >= 1, answer
        yield answer


@pytest.mark.promise("A10")
def test_schemathesis(service: Service, tmp_path: Path) -> None:
    """Whatever is sent, there is no server error and no answer that is not documented."""
    seen = fuzz(service, tmp_path, fuzzing.examples(15), "--exclude-path-regex", f"{OPTIMISE}|{LOADING}")

    # So that no answer was 404 or 503 only because there was no model.
    assert service.get("/readyz").status_code == 200
    assert len({(one.method, urlsplit(one.url).path) for one in seen if one.status == 200}) > 20


def document_of(service: Service, kind: str) -> dict[str, Any]:
    """The service's document with one form of inferences, and with inputs that are nearly right.

    A made-up name, for one, or a header that says that there is no JSON, would keep all else from being read.
    """
    document: dict[str, Any] = service.get("/openapi.json").json()
    for path in (path for path in document["paths"] if re.search(INFER, path)):
        asked = document["paths"][path]["post"]
        asked["requestBody"]["content"] = {kind: asked["requestBody"]["content"][kind]}
        asked["parameters"] = [one for one in asked["parameters"] if kind != JSON or one["in"] == "path"]
    schemas, few = document["components"]["schemas"], {"type": "array", "minItems": 1, "maxItems": 3}
    schemas["InferRequest"]["properties"]["inputs"] |= {"minItems": 1, "maxItems": 1}
    fields = schemas["InferInput"]["properties"]
    fields["name"]["const"] = service.get("/v2/models/default").json()["inputs"][0]["name"]
    fields["datatype"]["enum"] = ["BYTES", "UINT8"]
    fields["shape"] = few | {"items": {"type": "integer", "minimum": 0, "maximum": 3}}
    fields["data"] = few | {"items": {"type": ["string", "integer", "array"]}}
    return document


@pytest.mark.promise("A10")
@pytest.mark.parametrize("kind", READ)
def test_schemathesis_infer(service: Service, tmp_path: Path, kind: str) -> None:
    """The same holds for inferences with a model that is there: each part of their bodies is read."""
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(document_of(service, kind)))
    options = ("--include-path-regex", INFER, "--url", service.url)
    seen = fuzz(document, tmp_path, fuzzing.examples(60), *options, name="default", version="1")

    asked = [one for one in seen if one.method == "POST"]
    wrong = Counter(json.loads(one.text)["error"] for one in asked if one.status == 400)
    fuzzing.say(wrong.most_common())
    assert {one.status for one in asked} <= {200, 400, 413, 503}
    assert {one.status for one in asked} >= ({200, 400} if kind == JSON else {400})
    assert service.get("/readyz").status_code == 200
    assert [part for part in READ[kind] if not any(part in sentence for sentence in wrong)] == []


@pytest.mark.promise("A10")
def test_schemathesis_load(tmp_path: Path) -> None:
    """The same holds for loads and unloads, which other requests would notice."""
    with Service(tmp_path / "data") as service:
        seen = fuzz(service, tmp_path, fuzzing.examples(30), "--include-path-regex", LOADING)

        assert any(one.status == 200 for one in seen)
        assert service.post("/v2/repository/models/default/load").status_code == 200
        assert service.get("/readyz").status_code == 200


@pytest.mark.promise("A10")
def test_schemathesis_optimise(tmp_path: Path) -> None:
    """The same holds for optimisations, each of which takes seconds: fewer are sent, for a small model."""
    with Service(tmp_path / "data") as service:
        small = classifier(["red", "other"])
        service.post("/upload", files={"model": ("m.onnx", small)}).raise_for_status()
        fuzz(service, tmp_path, fuzzing.examples(5), "--include-path-regex", OPTIMISE)
        assert service.get("/readyz").status_code == 200


@pytest.mark.promise("M10")
def test_mutants(tmp_path: Path, cat: Path) -> None:
    """Damaged models are served or refused with a reason, and no worker notices."""
    seeds = range(fuzzing.seed(), fuzzing.seed() + fuzzing.examples(20))
    outcomes = Counter[str]()
    with Service(tmp_path / "data", cache="off") as service:
        workers = service.workers()
        for seed in seeds:
            model = mutant(seed).content
            answer = service.post("/upload", files={"model": ("my.onnx", model)}, data={"name": "mutant"})
            outcomes[answer.json().get("code", "success")] += 1
            assert answer.status_code in {200, 422}, f"seed {seed}: {answer.text}"
            assert not re.search(r"Traceback|onnxruntime|/data/", answer.text), f"seed {seed}: {answer.text}"
            if answer.ok:
                asked = service.post("/predict?model=mutant", data=cat.read_bytes(), headers=JPEG)
                # It may fail with an image that the check did not try, but not silently.
                assert asked.status_code in {200, 500}, f"seed {seed}: {asked.text}"
                assert asked.ok or asked.json()["code"] == "internal", f"seed {seed}: {asked.text}"
            assert service.workers() == workers, f"seed {seed}"
            label = service.post("/predict", data=cat.read_bytes(), headers=JPEG).json()["predicted_label"]
            assert label == "tiger cat", f"seed {seed}"
        left = list((service.data / "incoming").iterdir())

    fuzzing.say(f"\nseeds {seeds.start} to {seeds.stop - 1}: {dict(outcomes.most_common())}")
    assert left == []
