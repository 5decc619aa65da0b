"""A registered model of MLflow is found by its alias or number; `tests/cluster` asks the real server."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from predictor.config import Settings
from predictor.errors import FetchError, InvalidRequest
from predictor.sources.pull import Pulled, pull
from tests.sources.hub import MODEL, Files, Reply, serving

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
USER = {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "s3cr3t"}


class Tracking(Files):
    """A tracking server with version 3 of the model `cats`, whose alias is `champion`.

    Attributes:
        uri: where the server says that the files of the version are.
    """

    def __init__(self) -> None:
        root = f"{ARTIFACTS}/1/models/m-1/artifacts"
        super().__init__({f"{root}/MLmodel": b"flavors:", f"{root}/data/model.onnx": MODEL})
        self.uri = "mlflow-artifacts:/1/models/m-1/artifacts"

    def reply(self, path: str, headers: Mapping[str, str]) -> Reply:
        """What a request gets."""
        url = urlsplit(path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        found: object = None
        if url.path == f"{API}/registered-models/alias" and asked == {"name": "cats", "alias": "champion"}:
            found = {"model_version": {"name": "cats", "version": "3"}}
        elif url.path == f"{API}/model-versions/get-download-uri" and asked == {
            "name": "cats",
            "version": "3",
        }:
            found = {"artifact_uri": self.uri}
        elif url.path == ARTIFACTS:
            found = {"files": self._listed(asked["path"])}
        if found is None:
            return super().reply(path, headers)
        return 200, {}, json.dumps(found).encode()

    def _listed(self, folder: str) -> list[dict[str, object]]:
        inside = [
            name.removeprefix(f"{ARTIFACTS}/{folder}/").split("/") for name in self.files if folder in name
        ]
        return [{"path": first, "is_dir": bool(more)} for first, *more in inside]


@pytest.fixture
def tracking() -> Iterator[Tracking]:
    """A tracking server."""
    made = Tracking()
    with serving(made):
        yield made


def fetched(tracking: Tracking, settings: Settings, folder: Path, source: str, **more: str) -> Pulled:
    """What is fetched."""
    return pull(source, folder, settings, {"MLFLOW_TRACKING_URI": f"{tracking.url}/", **more})


@pytest.mark.parametrize("source", ["mlflow:models:/cats@champion", "mlflow:models:/cats/3"])
def test_version(tracking: Tracking, settings: Settings, tmp_path: Path, source: str) -> None:
    """The files come through the proxy of the server, those of folders too; the revision is the number."""
    found = fetched(tracking, settings, tmp_path, source)

    assert {one.name: one.path.read_bytes() for one in found.files}["data/model.onnx"] == MODEL
    assert found.revision == "3"


@pytest.mark.parametrize(
    ("given", "header"),
    [
        (USER, f"Basic {base64.b64encode(b'me:s3cr3t').decode()}"),
        ({**USER, "MLFLOW_TRACKING_TOKEN": "t0ken"}, "Bearer t0ken"),
        ({}, None),
    ],
)
def test_credentials(
    tracking: Tracking, settings: Settings, tmp_path: Path, given: dict[str, str], header: str | None
) -> None:
    """The credentials of the environment are those that MLflow's own client sends."""
    fetched(tracking, settings, tmp_path, "mlflow:models:/cats/3", **given)

    assert {headers.get("Authorization") for _, _, headers in tracking.asked} == {header}


@pytest.mark.parametrize(
    "uri", ["file:///srv/mlruns/1", "/srv/mlruns/1", "http://other.example/1", "dbfs:/1"]
)
def test_elsewhere(tracking: Tracking, settings: Settings, tmp_path: Path, uri: str) -> None:
    """Files that the server does not hand out itself are not fetched from anywhere else."""
    tracking.uri = uri

    with pytest.raises(InvalidRequest, match="serve-artifacts"):
        fetched(tracking, settings, tmp_path, "mlflow:models:/cats/3")


@pytest.mark.parametrize("uri", ["mlflow-artifacts:/1/../../secret", "mlflow-artifacts:/"])
def test_paths(tracking: Tracking, settings: Settings, tmp_path: Path, uri: str) -> None:
    """A path that leads outside is refused."""
    tracking.uri = uri

    with pytest.raises(FetchError, match="path cannot be used"):
        fetched(tracking, settings, tmp_path, "mlflow:models:/cats/3")


@pytest.mark.parametrize(
    "source", ["mlflow:cats", "mlflow:models:/cats", "mlflow:models:/cats@", "mlflow:models:/c/x"]
)
def test_forms(tracking: Tracking, settings: Settings, tmp_path: Path, source: str) -> None:
    """What names no version is refused before anything is asked."""
    with pytest.raises(InvalidRequest, match="mlflow:models:/name@alias"):
        fetched(tracking, settings, tmp_path, source)
    assert tracking.asked == []


def test_no_server(settings: Settings, tmp_path: Path) -> None:
    """Without the server's address the setting is named."""
    with pytest.raises(InvalidRequest, match="MLFLOW_TRACKING_URI"):
        pull("mlflow:models:/cats/3", tmp_path, settings, {})


def test_password_in_the_address(settings: Settings, tmp_path: Path) -> None:
    """A password in the server's address is refused with what to set instead, and is not repeated."""
    with pytest.raises(InvalidRequest, match="MLFLOW_TRACKING_PASSWORD") as raised:
        pull("mlflow:models:/cats/3", tmp_path, settings, {"MLFLOW_TRACKING_URI": "http://me:s3cr3t@host"})
    assert "s3cr3t" not in raised.value.detail
