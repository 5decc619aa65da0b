"""`pull`: a service fetches a model, or this machine downloads one that can be served."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from werkzeug.serving import make_server

from predictor.cli import main
from predictor.client import Client
from tests.patience import PATIENCE
from tests.sources.hub import BUNDLE, COMMIT, MODEL, Files, Hub, serving

pytestmark = pytest.mark.slow

TOKEN = "an-admin-token-of-tests"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub of the environment."""
    storage = Files({})
    made = Hub(BUNDLE, storage)
    with serving(storage), serving(made):
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made


@pytest.fixture
def url(make_app: Callable[..., Flask]) -> Iterator[str]:
    """The address of a running service."""
    app = make_app(fetch_allow=("127.0.0.1",), admin_token=TOKEN)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(PATIENCE)


def run(*words: object, **variables: str) -> Result:
    """Run `pull`."""
    variables = {"PREDICTOR_ADMIN_TOKEN": TOKEN, "PREDICTOR_FETCH_ALLOW": "127.0.0.1"} | variables
    return CliRunner().invoke(main, ["pull", *map(str, words)], env=variables)


def test_service(url: str, hub: Hub, cat: Path) -> None:
    """The service fetches, and serves once the command ends; the Python client does the same."""
    result = run("hf:org/name", "--url", url, "--name", "pets")

    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "Version 1 of pets is live.")
    with Client(url, TOKEN) as client:
        assert client.predict(cat, model="pets").label == "green"
        assert client.upload(source="hf:org/name", name="pets")["unchanged"]


def test_folder(hub: Hub, tmp_path: Path) -> None:
    """With --out the files lie in a folder, under their names, and no service is asked."""
    out = tmp_path / "new" / "model"

    result = run("hf:org/name@main", "--out", out)
    again = run("hf:org/name@main", "--out", out)

    assert (result.exit_code, result.output) == (0, result.output)
    assert f"hf:org/name@main at {COMMIT} is in {out}, files: 3." in result.stdout
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == {
        name: BUNDLE[name] for name in ("config.json", "preprocessor_config.json", "onnx/model.onnx")
    }
    assert [path.name for path in out.parent.iterdir()] == ["model"]
    assert (again.exit_code, "not empty" in again.output) == (1, True)


def test_json(hub: Hub, tmp_path: Path) -> None:
    """With --json what was found is printed: revision, digests, and how the model would be fed."""
    found = json.loads(run("hf:org/name", "--out", tmp_path / "out", "--json").stdout)

    assert (found["source"], found["revision"]) == ("hf:org/name", COMMIT)
    assert {one["name"]: one["bytes"] for one in found["files"]}["onnx/model.onnx"] == len(MODEL)
    assert found["spec"]["classes"] == 3


@pytest.mark.parametrize(
    ("words", "variables", "code", "sentence"),
    [
        (("hf:org/other",), {}, 1, "404"),
        (("nothing",), {}, 1, "mlflow:models:"),
        (("hf:org/name",), {"PREDICTOR_FETCH_ALLOW": ""}, 1, "PREDICTOR_FETCH_ALLOW"),
        (("hf:org/name", "--url", "http://127.0.0.1:1"), {}, 2, "--out"),
    ],
)
def test_refused(
    hub: Hub, tmp_path: Path, words: tuple[str, ...], variables: dict[str, str], code: int, sentence: str
) -> None:
    """What cannot be fetched is told in one sentence, and no folder is made."""
    result = run(*words, "--out", tmp_path / "out", **variables)

    assert (result.exit_code, sentence in result.output) == (code, True), result.output
    assert [*tmp_path.iterdir()] == []


def test_not_a_model(hub: Hub, tmp_path: Path) -> None:
    """What the check refuses is not written."""
    hub.files["onnx/model.onnx"] = b"no model"

    result = run("hf:org/name", "--out", tmp_path / "out")

    assert (result.exit_code, "ONNX" in result.output) == (1, True)
    assert [*tmp_path.iterdir()] == []
