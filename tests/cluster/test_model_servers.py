"""Models are pulled from MLflow's own server and from a registry of OCI, and served right.

`tools/install_model_servers.sh` installs both.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from oras.client import OrasClient

from tests.live.service import Service, free_port
from tests.patience import PATIENCE
from tools.sample_models import classifier

pytestmark = pytest.mark.cluster

LABELS = ["red", "green", "blue"]
USER, PASSWORD = "me", "secret"
# Of the password above, by bcrypt, which is all that the registry takes.
HASHED = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"
LOG_MODEL = """
import sys, mlflow, onnx
mlflow.set_tracking_uri(sys.argv[1])
for path in sys.argv[2:]:
    with mlflow.start_run():
        mlflow.onnx.log_model(onnx.load(path), name="model", registered_model_name="cats")
mlflow.MlflowClient().set_registered_model_alias("cats", "champion", "1")
"""


@contextmanager
def started(command: Sequence[str], url: str, log: Path) -> Iterator[None]:
    """A server, from when it answers to the end of the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=log.parent)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                requests.get(url, timeout=5)
                break
            except requests.RequestException:
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models: the first says `green` to everything, the second `blue`."""
    folder = tmp_path_factory.mktemp("models")
    paths = [folder / "first.onnx", folder / "second.onnx"]
    for winner, path in enumerate(paths, 1):
        path.write_bytes(classifier(LABELS, winner=winner))
    return paths


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory, models: list[Path]) -> Iterator[str]:
    """The URL of MLflow's server with two versions of the model `cats`, of which the first is `champion`."""
    folder = tmp_path_factory.mktemp("mlflow")
    binary = shutil.which("mlflow", path=f"{sys.prefix}/mlflow/bin") or shutil.which("mlflow")
    assert binary, "install it with tools/install_model_servers.sh"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        binary, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination", f"{folder}/artifacts",
    ]  # fmt: skip
    with started(command, f"{url}/health", folder / "log"):
        python = Path(binary).parent / "python"
        logged = subprocess.run(
            [python, "-c", LOG_MODEL, url, *models], check=False, capture_output=True, text=True, cwd=folder
        )
        assert logged.returncode == 0, logged.stderr
        yield url


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a registry that wants a password."""
    folder = tmp_path_factory.mktemp("registry")
    binary = shutil.which("docker-registry")
    assert binary, "install it with tools/install_model_servers.sh"
    host = f"127.0.0.1:{free_port()}"
    (folder / "htpasswd").write_text(f"{USER}:{HASHED}\n")
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": host},
        "auth": {"htpasswd": {"realm": "models", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    command = [binary, "serve", str(folder / "config.yml")]
    with started(command, f"http://{host}/v2/", folder / "log"):
        yield host


def oras(registry: str) -> Any:
    """A client of the registry."""
    return OrasClient(hostname=registry, insecure=True, auth_backend="basic")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, mlflow: str, registry: str) -> Iterator[Service]:
    """A service with the addresses of both in its environment, and what `oras login` has written."""
    folder = tmp_path_factory.mktemp("service")
    oras(registry).login(USER, PASSWORD, hostname=registry, config_path=str(folder / "config.json"))
    running = Service(folder / "data", fetch_allow="127.0.0.1", cache="off")
    running.environment = {"MLFLOW_TRACKING_URI": mlflow, "DOCKER_CONFIG": str(folder)}
    with running:
        yield running


def pulled(service: Service, source: str, **fields: str) -> dict[str, Any]:
    """The answer to an upload of a source."""
    answer = service.post("/upload", files={"source": (None, source)}, data=fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def label(service: Service, cat: Path, model: str) -> str:
    """What a model says of the cat."""
    headers = {"Content-Type": "image/jpeg"}
    answer = service.post(f"/predict?model={model}", data=cat.read_bytes(), headers=headers)
    return str(answer.json()["predicted_label"])


def test_mlflow(service: Service, cat: Path) -> None:
    """An alias and a number stand for a version of MLflow's, which is served with its labels."""
    champion = pulled(service, "mlflow:models:/cats@champion", name="mlflow")
    assert label(service, cat, "mlflow") == "green"
    second = pulled(service, "mlflow:models:/cats/2", name="mlflow")
    assert label(service, cat, "mlflow") == "blue"

    assert champion["report"]["source"] == {"source": "mlflow:models:/cats@champion", "revision": "1"}
    assert second["report"]["source"] == {"source": "mlflow:models:/cats/2", "revision": "2"}
    assert champion["model"] == "model.onnx"


@pytest.mark.parametrize("source", ["mlflow:models:/cats@gone", "mlflow:models:/dogs/1"])
def test_not_in_mlflow(service: Service, source: str) -> None:
    """What MLflow does not have is told in a sentence."""
    answer = service.post("/upload", files={"source": (None, source)})

    assert (answer.status_code, answer.json()["code"]) == (502, "fetch_failed")


def test_registry(service: Service, registry: str, models: list[Path], tmp_path: Path, cat: Path) -> None:
    """What oras pushes is pulled by its tag, and by the digest of its manifest after the tag has moved."""
    client = oras(registry)
    client.login(USER, PASSWORD, hostname=registry, config_path=str(tmp_path / "config.json"))
    (tmp_path / "labels.txt").write_text("\n".join(("rouge", "vert", "bleu")))

    def push(model: Path) -> None:
        shutil.copyfile(model, tmp_path / "model.onnx")
        files = [str(tmp_path / name) for name in ("model.onnx", "labels.txt")]
        client.push(target=f"{registry}/models/cats:v1", files=files, disable_path_validation=True)

    push(models[0])
    first = pulled(service, f"oci:{registry}/models/cats:v1", name="oci")
    assert label(service, cat, "oci") == "vert"
    push(models[1])
    pulled(service, f"oci:{registry}/models/cats:v1", name="oci")
    assert label(service, cat, "oci") == "bleu"

    revision = first["report"]["source"]["revision"]
    again = pulled(service, f"oci:{registry}/models/cats@{revision}", name="oci")
    assert (label(service, cat, "oci"), again["report"]["source"]["revision"]) == ("vert", revision)


def test_wrong_password(registry: str, tmp_path: Path) -> None:
    """A registry that refuses the credentials is told from one that cannot be reached."""
    command = [
        sys.executable,
        "-m",
        "predictor",
        "pull",
        f"oci:{registry}/models/cats:v1",
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "", "PREDICTOR_FETCH_ALLOW": "127.0.0.1"},
    )

    assert (done.returncode, "401" in done.stderr) == (1, True), done.stderr
