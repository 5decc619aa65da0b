"""A source is one line, which says where a model lies and holds no secret when it is shown."""

import zipfile
from pathlib import Path

import pytest

from predictor.archives import is_archive
from predictor.config import Settings
from predictor.errors import FetchBlocked, FetchError, InvalidRequest, ModelTooLarge
from predictor.sources.pull import pull
from tests.sources.hub import MODEL, Files, Hub


@pytest.mark.parametrize(
    "source",
    [
        "",
        "model.onnx",
        "gs://bucket/key",
        "file:///etc/passwd",
        "git+https://x",
        "hf",
        "C:\\m.onnx",
        "hf:a\nb",
    ],
)
def test_unknown(settings: Settings, tmp_path: Path, source: str) -> None:
    """Another form is refused with a list of all that there are."""
    with pytest.raises(InvalidRequest, match=r"hf:.*mlflow:.*oci:.*s3:.*https:"):
        pull(source, tmp_path, settings, {})


def test_file_of_the_web(storage: Files, settings: Settings, tmp_path: Path) -> None:
    """One file of a web server is taken under its name; the query, which may be a signature, is not shown."""
    storage.files["/a b/my model.onnx"] = MODEL

    found = pull(f" {storage.url}/a%20b/my%20model.onnx?X-Amz-Signature=secret#x ", tmp_path, settings, {})

    (file,) = found.files
    assert (file.name, file.path.read_bytes(), file.model) == ("my model.onnx", MODEL, True)
    assert found.source == f"{storage.url}/a%20b/my%20model.onnx"
    assert str(found.revision).startswith("sha256:")
    assert "secret" not in repr(found)


def test_archive_of_the_web(storage: Files, settings: Settings, tmp_path: Path) -> None:
    """So is a ZIP file, whatever its URL is."""
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("m.onnx", MODEL)
    storage.files["/download/"] = (tmp_path / "m.zip").read_bytes()

    (file,) = pull(f"{storage.url}/download/", tmp_path, settings, {}).files

    assert is_archive(file.path)
    assert file.is_archive()


@pytest.mark.parametrize(
    ("url", "error", "sentence"),
    [
        ("{}/gone.onnx", FetchError, r"The server of the source answered with status 404"),
        ("http://me:secret@127.0.0.1/m.onnx", InvalidRequest, "source must not hold a user name"),
        ("http://127.0.0.2:1/m.onnx", FetchBlocked, "PREDICTOR_FETCH_ALLOW"),
        ("http://127.0.0.1:1/m.onnx", FetchError, "The server of the source could not be reached"),
    ],
)
def test_refused(
    storage: Files, settings: Settings, tmp_path: Path, url: str, error: type[Exception], sentence: str
) -> None:
    """What cannot be fetched is told of the source, through the rules of all downloads."""
    with pytest.raises(error, match=sentence):
        pull(url.format(storage.url), tmp_path, settings, {})


def test_too_large(storage: Files, settings: Settings, tmp_path: Path) -> None:
    """A file with more bytes than a model may have is refused before it is fetched."""
    storage.files["/m.onnx"] = b"x" * 10_000_001

    with pytest.raises(ModelTooLarge, match="10 MB"):
        pull(f"{storage.url}/m.onnx", tmp_path, settings, {})
    assert all(path.stat().st_size == 0 for path in tmp_path.glob("pulled-*"))


def test_all_files_for_a_signature(hub: Hub, tmp_path: Path) -> None:
    """Where a signature is demanded, all files come, for it is about all of them."""
    settings = Settings(fetch_allow=("127.0.0.1",), signing_key=tmp_path / "key.pub")

    found = pull("hf:org/name", tmp_path, settings, {"HF_ENDPOINT": hub.url})

    assert {one.name for one in found.files} == hub.files.keys()
