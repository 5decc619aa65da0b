"""Artifacts of a registry are fetched by their layers, with the digests that their manifest has."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from predictor.config import Settings
from predictor.errors import FetchError, InvalidRequest
from predictor.sources.oci import MANIFEST
from predictor.sources.pull import Pulled, pull
from tests.sources.hub import BUNDLE, MODEL, Files, Reply, serving

TITLE = "org.opencontainers.image.title"


def digest(body: bytes) -> str:
    """As registries write it."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


class Registry(Files):
    """A registry with the artifact `models/cats:v1`, which issues tokens to those with the password.

    Attributes:
        layers: of the manifest; a test may change them.
        open: whether it wants no token.
    """

    def __init__(self, bundle: Mapping[str, bytes]) -> None:
        super().__init__({digest(body): body for body in bundle.values()})
        self.layers: list[dict[str, Any]] = [
            {
                "mediaType": "application/octet-stream",
                "digest": digest(body),
                "size": len(body),
                "annotations": {TITLE: name},
            }
            for name, body in bundle.items()
        ]
        self.open = False

    @property
    def manifest(self) -> bytes:
        """The manifest's bytes."""
        return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": self.layers}).encode()

    def reply(self, path: str, headers: Mapping[str, str]) -> Reply:
        """What a request gets."""
        given = headers.get("Authorization", "")
        if path.startswith("/token?"):
            right = given == f"Basic {base64.b64encode(b'me:secret').decode()}" and "scope=repository" in path
            return (200, {}, b'{"token": "t0ken"}') if right else (401, {}, b"{}")
        if not self.open and given != "Bearer t0ken":
            realm = f'Bearer realm="{self.url}/token",service="reg",scope="repository:models/cats:pull"'
            return 401, {"WWW-Authenticate": realm}, b"{}"
        if path in {"/v2/models/cats/manifests/v1", f"/v2/models/cats/manifests/{digest(self.manifest)}"}:
            return 200, {"Content-Type": MANIFEST}, self.manifest
        body = self.files.get(path.removeprefix("/v2/models/cats/blobs/"))
        return (404, {}, b"{}") if body is None else (200, {}, body)


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry with the bundle."""
    made = Registry(BUNDLE)
    with serving(made):
        yield made


@pytest.fixture
def login(tmp_path: Path, registry: Registry) -> dict[str, str]:
    """The environment of those who have logged in."""
    auth = base64.b64encode(b"me:secret").decode()
    config = {"auths": {registry.url.removeprefix("http://"): {"auth": auth}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return {"DOCKER_CONFIG": str(tmp_path)}


def fetched(
    registry: Registry, settings: Settings, folder: Path, environment: dict[str, str], end: str = ":v1"
) -> Pulled:
    """What is fetched of the artifact."""
    folder.mkdir()
    return pull(f"oci:{registry.url.removeprefix('http://')}/models/cats{end}", folder, settings, environment)


@pytest.mark.parametrize("by_digest", [False, True])
def test_artifact(
    registry: Registry, login: dict[str, str], settings: Settings, tmp_path: Path, by_digest: bool
) -> None:
    """The layers have the names of their titles; the revision is the digest of the manifest."""
    known = digest(registry.manifest)
    found = fetched(registry, settings, tmp_path / "in", login, f"@{known}" if by_digest else ":v1")

    assert {one.name: one.path.read_bytes() for one in found.files} == {
        name: body for name, body in BUNDLE.items() if name.endswith((".json", ".onnx"))
    }
    assert found.revision == known


def test_anonymous(registry: Registry, settings: Settings, tmp_path: Path) -> None:
    """A registry that asks for nothing gets no credentials; one that asks for some says so."""
    with pytest.raises(FetchError, match="credentials"):
        fetched(registry, settings, tmp_path / "refused", {})
    registry.open = True

    assert fetched(registry, settings, tmp_path / "in", {}).files
    assert not [headers for _, _, headers in registry.asked if "Authorization" in headers]


def test_credentials_of_another(registry: Registry, settings: Settings, tmp_path: Path) -> None:
    """The password for one registry is not sent to another."""
    (tmp_path / "config.json").write_text('{"auths": {"other.example": {"auth": "bWU6c2VjcmV0"}}}')

    with pytest.raises(FetchError, match="credentials"):
        fetched(registry, settings, tmp_path / "in", {"DOCKER_CONFIG": str(tmp_path)})
    assert not [headers for _, _, headers in registry.asked if "Authorization" in headers]


def test_unreadable_credentials(registry: Registry, settings: Settings, tmp_path: Path) -> None:
    """A file of credentials that cannot be read is told, without its path."""
    with pytest.raises(InvalidRequest, match="DOCKER_CONFIG") as raised:
        fetched(registry, settings, tmp_path / "in", {"DOCKER_CONFIG": str(tmp_path / "gone")})
    assert str(tmp_path) not in raised.value.detail


def test_other_bytes(registry: Registry, login: dict[str, str], settings: Settings, tmp_path: Path) -> None:
    """A layer with another digest is refused, and so is a manifest that is not the one asked for."""
    known = digest(registry.manifest)
    registry.files = dict.fromkeys(registry.files, MODEL + b"x")
    with pytest.raises(FetchError, match="digest"):
        fetched(registry, settings, tmp_path / "layer", login)
    registry.layers.pop()
    registry.open = True
    with pytest.raises(FetchError, match="404"):
        fetched(registry, settings, tmp_path / "manifest", login, f"@{known}")


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        ({"annotations": {}}, "no file name"),
        ({"annotations": {TITLE: "../m.onnx"}}, "path cannot be used"),
        ({"annotations": {TITLE: "m", "io.deis.oras.content.unpack": "true"}}, "ZIP"),
        ({"annotations": {TITLE: "m.onnx"}, "digest": "md5:00"}, "digest"),
    ],
)
def test_layers(
    registry: Registry, settings: Settings, tmp_path: Path, layer: dict[str, Any], sentence: str
) -> None:
    """A layer that is no file under a name and a digest is refused with what to do."""
    registry.open = True
    registry.layers.append({"digest": digest(MODEL), "size": len(MODEL), **layer})

    with pytest.raises(FetchError, match=sentence):
        fetched(registry, settings, tmp_path / "in", {})


@pytest.mark.parametrize(
    "source",
    ["oci:", "oci:name:v1", "oci:reg.example/Name:v1", "oci:reg.example/name", "oci:reg.example/a@md5:1"],
)
def test_forms(settings: Settings, tmp_path: Path, source: str) -> None:
    """What is no artifact, or names neither tag nor digest, is refused."""
    with pytest.raises(InvalidRequest, match="oci:registry/name"):
        pull(source, tmp_path, settings, {})
