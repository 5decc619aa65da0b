"""Objects of a bucket are fetched from a real server of S3, by a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from predictor.config import Settings
from predictor.errors import FetchError, InvalidRequest, ModelTooLarge
from predictor.sources.pull import pull
from tests.sources.hub import BUNDLE, MODEL
from tests.sources.localbucket import buckets


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that leads to a bucket with the bundle, a model alone, and other objects."""
    folder = tmp_path_factory.mktemp("buckets")
    objects = {f"models/vit/v1/{name}": content for name, content in BUNDLE.items()}
    objects |= {
        "models/m.onnx": MODEL,
        "models/vit/v10/m.onnx": b"other",
        "models/large/m.onnx": b"x" * 10_000_001,
    }
    with buckets(folder, objects) as found:
        yield found


def fetched(environment: dict[str, str], settings: Settings, folder: Path, source: str) -> dict[str, bytes]:
    """The bytes of each file that is fetched."""
    found = pull(source, folder, settings, environment)
    return {one.name: one.path.read_bytes() for one in found.files}


@pytest.mark.parametrize("end", ["", "/"])
def test_folder(environment: dict[str, str], settings: Settings, tmp_path: Path, end: str) -> None:
    """Objects below a key are files with their paths from there; what begins alike is another folder."""
    found = fetched(environment, settings, tmp_path, f"s3://models/vit/v1{end}")

    assert found == {name: BUNDLE[name] for name in BUNDLE if name.endswith((".json", ".onnx"))}


def test_object(environment: dict[str, str], settings: Settings, tmp_path: Path) -> None:
    """One object is a model alone; its ETag is the revision."""
    found = pull("s3://models/m.onnx", tmp_path, settings, environment)

    (file,) = found.files
    assert (file.name, file.path.read_bytes(), file.model) == ("m.onnx", MODEL, True)
    assert found.revision


def test_revision(environment: dict[str, str], settings: Settings, tmp_path: Path) -> None:
    """The revision of several objects stays the same as long as they do."""
    source = "s3://models/vit/v1"

    first = pull(source, tmp_path, settings, environment).revision

    assert first == pull(source, tmp_path, settings, environment).revision
    assert str(first).startswith("sha256:")


@pytest.mark.parametrize(
    ("source", "error", "sentence"),
    [
        ("s3://models/gone", FetchError, "no object of that key"),
        ("s3://other/m.onnx", FetchError, "bucket of the source"),
        ("s3://models/large/m.onnx", ModelTooLarge, "10 MB"),
        ("s3://models/vit/v1/README.md/", FetchError, "no object"),
        ("s3://models/vit/v1/config.json?versionId=1", InvalidRequest, "s3://bucket/key"),
        ("s3://Models/m.onnx", InvalidRequest, "s3://bucket/key"),
        ("s3:models", InvalidRequest, "s3://bucket/key"),
    ],
)
def test_refused(
    environment: dict[str, str],
    settings: Settings,
    tmp_path: Path,
    source: str,
    error: type[Exception],
    sentence: str,
) -> None:
    """What is not there, or too large, or no object, is told in one sentence."""
    with pytest.raises(error, match=sentence):
        pull(source, tmp_path, settings, environment)


def test_no_server(settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server that cannot be reached ends the attempt in time; the log says why, without the credentials."""
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}
    nowhere["AWS_ACCESS_KEY_ID"] = "test"
    with pytest.raises(FetchError, match="AWS_") as raised:
        pull("s3://models/m.onnx", tmp_path, settings, nowhere)

    assert "127.0.0.1" not in raised.value.detail
    assert "s3cr3t" not in caplog.text


def test_library_stays_out(environment: dict[str, str], tmp_path: Path) -> None:
    """The process that pulls does not import the library, whose threads do not survive a fork."""
    program = (
        "import os, sys, pathlib;"
        "from predictor.config import Settings; from predictor.sources.pull import pull;"
        "pull('s3://models/m.onnx', pathlib.Path(sys.argv[1]), Settings(), os.environ);"
        "sys.exit('obstore' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program, tmp_path], check=False, env=environment)

    assert done.returncode == 0
