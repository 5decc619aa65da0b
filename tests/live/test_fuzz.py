"""The running service is fuzzed against its own OpenAPI document, and with damaged models."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

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
OPTIMISE = "/optimise$"
# Far more than a run takes, but an end.
SECONDS, SECONDS_AN_EXAMPLE = 3000, 20


def fuzz(service: Service, folder: Path, examples: int, *options: str) -> None:
    """Have schemathesis send what the service's document allows, and what it does not."""
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert command
    # A caller may name a deadline of a millisecond, which a busy machine cannot keep.
    (folder / "schemathesis.toml").write_text(
        '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", 503]\n'
    )

    run = subprocess.run(
        [
            command, "run", f"{service.url}/openapi.json",
            "--checks", ",".join(CHECKS),
            "--max-examples", str(examples),
            "--seed", str(fuzzing.seed()),
            "--generation-database", "none",
            # In threads of its own the tool now and then trips over a fault of the interpreter (ast).
            "--workers", "1",
            # As long as the check of a model may take on a machine that is busy with something else.
            "--request-timeout", "600",
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
    assert service.alive


@pytest.mark.promise("A10")
def test_schemathesis(service: Service, tmp_path: Path) -> None:
    """Whatever is sent, there is no server error and no answer that is not documented."""
    fuzz(service, tmp_path, fuzzing.examples(60), "--exclude-path-regex", OPTIMISE)

    # Other tests use this service, and any model may have been unloaded.
    assert service.post("/v2/repository/models/default/load").ok


@pytest.mark.promise("A10")
def test_schemathesis_optimise(tmp_path: Path) -> None:
    """The same holds for optimisations, each of which takes seconds: fewer are sent, for a small model."""
    with Service(tmp_path / "data") as service:
        small = classifier(["red", "other"])
        service.post("/upload", files={"model": ("m.onnx", small)}).raise_for_status()
        fuzz(service, tmp_path, fuzzing.examples(5), "--include-path-regex", OPTIMISE)


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
