"""The container's file is well made, takes the runtime without CUDA, and gets all that it needs."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from predictor import __version__
from predictor.config import Settings
from tests.deploy.programs import ROOT, program, run

FILE = ROOT / "deploy" / "Containerfile"
TEXT = FILE.read_text().replace("\\\n", " ")
REQUIREMENTS = ("requirements.txt", "requirements-cuda.txt")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())


def test_lint() -> None:
    """Hadolint has nothing to say."""
    run(program("hadolint"), FILE)


def test_runtime_of_the_processor(tmp_path: Path) -> None:
    """For a CPU the runtime without CUDA is taken on every machine; all other packages stay as they are."""
    (command,) = re.findall(r"sed -i -E '[^']+'", TEXT)
    for name in REQUIREMENTS:
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run(["sh", "-c", f"{command} {' '.join(REQUIREMENTS)}"], cwd=tmp_path, check=True)

    before, after = packages(ROOT / REQUIREMENTS[0]), packages(tmp_path / REQUIREMENTS[0])
    runtime = after.pop("onnxruntime")
    assert runtime.marker is None
    assert runtime.specifier == before.pop("onnxruntime").specifier
    assert before.pop("onnxruntime-gpu").specifier == runtime.specifier
    assert after == before
    assert packages(tmp_path / REQUIREMENTS[1]) == {}


def packages(file: Path) -> dict[str, Requirement]:
    """What a file of requirements names."""
    lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    return {one.name: one for one in map(Requirement, filter(None, lines))}


def test_copied() -> None:
    """What the build copies is there, and nothing else goes to it."""
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, re.MULTILINE) for name in line.split()
    }
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert {name.rstrip("/") for name in copied} == sent
    assert [name for name in sent if not (ROOT / name).exists()] == []


def test_settings() -> None:
    """The image and Compose give the service settings that it has."""
    named = dict(re.findall(r"(PREDICTOR_\w+)=(\S+)", TEXT)) | COMPOSE["services"]["api"]["environment"]

    assert Settings.from_environment(named).data == Path("/data")


def test_compose() -> None:
    """Each service names its version, and each file that a service reads is there."""
    services = COMPOSE["services"]
    sources = [one.split(":")[0] for service in services.values() for one in service.get("volumes", ())]
    files = {source for source in sources if source.startswith("./")}

    assert services.keys() == {"api", "nginx", "redis", "prometheus", "grafana"}
    assert all(re.fullmatch(r"[\w./-]+:v?\d[\w.-]+", service["image"]) for service in services.values())
    assert services["api"]["image"] == f"image-prediction-api:{__version__}"
    assert [file for file in files if not (ROOT / "deploy" / file).exists()] == []
    assert set(sources) - files == COMPOSE["volumes"].keys()
    # From other machines only nginx is reached.
    published = {port for service in services.values() for port in service.get("ports", ())}
    assert {port for port in published if not port.startswith("127.0.0.1:")} == {"80:80"}
    # nginx does not notice that another container of the service has another address.
    assert services["nginx"]["depends_on"]["api"]["restart"]


def test_compose_is_read() -> None:
    """Docker's own reader takes the file."""
    docker = program("docker")
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no compose plug-in: deploy/compose.yaml is NOT checked by it")
    run(
        "env",
        "PREDICTOR_ADMIN_TOKEN=x",
        "GRAFANA_PASSWORD=x",
        docker,
        "compose",
        "-f",
        "deploy/compose.yaml",
        "config",
    )
