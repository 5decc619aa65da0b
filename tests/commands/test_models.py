"""The commands for the models of a service, which print lines, tables or JSON."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from werkzeug.serving import make_server

from predictor.cli import main
from tests.patience import PATIENCE
from tools.sample_models import classifier


@pytest.fixture
def url(make_app: Callable[..., Flask]) -> Iterator[str]:
    """The address of a running service with tokens."""
    server = make_server("127.0.0.1", 0, make_app(admin_token="a1,a2", predict_token="p"), threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(PATIENCE)


def run(*words: object, **variables: str) -> Result:
    """Run a command."""
    variables = {"PREDICTOR_ADMIN_TOKEN": "a1,a2"} | variables
    return CliRunner().invoke(main, [str(word) for word in words], env=variables)


def test_life_of_a_model(url: str, tmp_path: Path) -> None:
    """Models are uploaded, listed, switched and deleted, each with a line of what came of it."""
    labels, models = tmp_path / "labels.txt", [tmp_path / "0.onnx", tmp_path / "1.onnx"]
    labels.write_text("red\ngreen\n")
    for number, path in enumerate(models):
        path.write_bytes(classifier(["a", "b"], winner=number))

    said = [
        run("upload", models[0], "--labels", labels, "--name", "pets", "--url", url),
        run("upload", models[1], "--labels", labels, "--name", "pets", "--url", url),
        run("activate", "pets", 1, "--url", url),
        run("rollback", "pets", "--url", url),
        run("delete", "pets", 1, "--url", url),
    ]
    listed = run("models", "pets", "--url", url)
    deleted = run("delete", "pets", "--url", url)
    left = run("models", "--url", url, "--json")

    assert [result.exit_code for result in (*said, listed, deleted, left)] == [0] * 8
    assert [result.stdout.splitlines()[0] for result in (*said, deleted)] == [
        "Version 1 of pets is live.",
        "Version 2 of pets is live.",
        "Version 1 of pets is live.",
        "Version 2 of pets is live.",
        "Version 1 of pets is deleted.",
        "The model pets is deleted.",
    ]
    heading, row = (line.split("\t") for line in listed.stdout.splitlines())
    assert dict(zip(heading, row, strict=True)).items() >= {
        ("NAME", "pets"), ("VERSION", "2"), ("STATE", "live"), ("CLASSES", "2"), ("MODEL", "1.onnx"),
    }  # fmt: skip
    assert [model["name"] for model in json.loads(left.stdout)["models"]] == ["default"]


def test_json(url: str, tmp_path: Path) -> None:
    """With --json the answer of the service is printed."""
    (tmp_path / "m.onnx").write_bytes(classifier(["a", "b"], winner=0))

    uploaded = run("upload", tmp_path / "m.onnx", "--url", url, "--json")
    back = run("rollback", "default", "--url", url, "--json")

    assert json.loads(uploaded.stdout)["report"]["classes"] == 2
    assert json.loads(back.stdout)["version"] == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("activate", "default", 7), "version"),
        (("rollback", "default"), "rsion"),
        (("delete", "gone"), "No model"),
        (("models", "gone"), "No model"),
        (("upload", __file__), "ONNX"),
        (("activate", "default", 1, "--token", "wrong"), "token"),
    ],
)
def test_sentences(url: str, words: tuple[object, ...], sentence: str) -> None:
    """What the service refuses is told in its sentence, without a stack."""
    result = run(*words, "--url", url)

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert sentence in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("words", [("activate", "default", 1), ("models",), ("models", "pair")])
def test_no_service(words: tuple[object, ...]) -> None:
    """Where nothing answers, that is said after one attempt."""
    attempts = list[object]()

    def close() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.close()
                attempts.append(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=close, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        result = run(*words, "--url", url)
        listener.shutdown(socket.SHUT_RDWR)

    sentence = f"The service cannot be reached at {url}; check its URL."
    assert (result.exit_code, sentence in result.output) == (1, True)
    assert len(attempts) == 1


def test_tokens(url: str, cat: Path) -> None:
    """A prediction takes the token for predictions, or that of the administrator."""
    none = {"PREDICTOR_ADMIN_TOKEN": ""}

    assert run("predict", cat, "--url", url).exit_code == 0
    assert run("predict", cat, "--url", url, **none, PREDICTOR_PREDICT_TOKEN="p").exit_code == 0
    assert run("predict", cat, "--url", url, "--token", "p", **none).exit_code == 0
    refused = run("predict", cat, "--url", url, **none)
    assert (refused.exit_code, "A valid token" in refused.output) == (1, True)
