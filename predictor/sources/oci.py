"""An artifact in a registry of OCI, as `oras push` makes it: each layer is a file, its title is its name."""

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from werkzeug.datastructures import WWWAuthenticate

from predictor.errors import FetchFailed, InvalidRequest
from predictor.fetch.files import Answer, Downloads
from predictor.sources.listing import Listing, OnTheWeb, RemoteFile, as_object, inside

FORM = "oci:registry/name:tag, or oci:registry/name@sha256:..."
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
# As the specification of the distribution API has them.
_REFERENCE = re.compile(
    r"(?P<registry>(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|\[[0-9a-fA-F:]+\]|[A-Za-z0-9-]+(?=:))"
    r"(?::[0-9]{1,5})?)/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOOPBACK = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?")
_RENEWED_SECONDS = 30.0
_TITLE = "org.opencontainers.image.title"
_UNPACK = "io.deis.oras.content.unpack"
_NO_TITLE = (
    "A layer of the artifact has no file name (annotation org.opencontainers.image.title); push the files "
    "with oras push."
)
_FOLDER = (
    "{} in the artifact is a folder packed as tar; push its files one by one, or a ZIP file of the folder."
)


class Artifact(OnTheWeb):
    """An artifact of a registry.

    Args:
        reference: what stands behind `oci:`, the registry, a name, and a tag or a digest.
        downloads: of this model.
        environment: `DOCKER_CONFIG` names the folder of Docker's `config.json` with the credentials.

    Raises:
        InvalidRequest: the reference has another form.
    """

    def __init__(self, reference: str, downloads: Downloads, environment: Mapping[str, str]) -> None:
        found = _REFERENCE.fullmatch(reference)
        if found is None or not (found["tag"] or found["digest"]):
            raise InvalidRequest(f"The source of a registry has the form {FORM}.")
        super().__init__(downloads)
        # As all clients of registries have it: without TLS on this machine, with TLS elsewhere.
        scheme = "http" if _LOOPBACK.fullmatch(found["registry"]) else "https"
        self._base = f"{scheme}://{found['registry']}/v2/{found['name']}"
        self._reference = found["digest"] or found["tag"]
        self._password = _password(found["registry"], environment)
        self._challenge: WWWAuthenticate | None = None
        self._renewed = 0.0

    def listing(self) -> Listing:
        """The artifact's layers, and the digest of its manifest."""
        manifest = self._manifest()
        digest = f"sha256:{hashlib.sha256(manifest.body).hexdigest()}"
        if self._reference.startswith("sha256:") and self._reference != digest:
            raise FetchFailed("The registry sent a manifest with another digest than was asked for.")
        found = as_object(manifest.body)
        layers = found.get("layers")
        if not isinstance(layers, list):
            raise FetchFailed(
                "The registry sent no manifest of an artifact: images of several platforms are none."
            )
        return Listing([*self._layers(layers)], digest)

    def _layers(self, layers: list[Any]) -> Iterator[RemoteFile]:
        for layer in layers:
            known = layer if isinstance(layer, dict) else {}
            notes = known.get("annotations") or {}
            digest, size = known.get("digest"), known.get("size")
            if not isinstance(notes, dict) or _TITLE not in notes:
                raise FetchFailed(_NO_TITLE)
            name = inside(notes[_TITLE])
            if notes.get(_UNPACK) == "true":
                raise FetchFailed(_FOLDER.format(name))
            if not isinstance(digest, str) or not _DIGEST.fullmatch(digest) or not isinstance(size, int):
                raise FetchFailed("The registry sent a layer without a digest (sha256) or a size.")
            yield RemoteFile(name, f"{self._base}/blobs/{digest}", size, digest)

    def save(self, files: Sequence[RemoteFile], paths: Sequence[Path]) -> str | None:
        """As `Place` has it; a token that is about to end is replaced."""
        for file, path in zip(files, paths, strict=True):
            if time.monotonic() - self._renewed > _RENEWED_SECONDS:
                self._authorise()
            super().save([file], [path])
        return None

    def _manifest(self) -> Answer:
        url = f"{self._base}/manifests/{self._reference}"
        self._headers = {"Accept": f"{MANIFEST}, {_DOCKER}"}
        answer = self._downloads.read(url, self._headers)
        if answer.status == 401 and (asked := answer.headers.get("WWW-Authenticate")):
            self._challenge = WWWAuthenticate.from_header(asked)
            self._authorise()
            answer = self._downloads.read(url, self._headers)
        return answer.checked()

    def _authorise(self) -> None:
        """Get what the registry asked for: a token of its own for this repository, or the password."""
        self._renewed = time.monotonic()
        if self._challenge is None:
            return
        basic = {"Authorization": f"Basic {self._password}"} if self._password else {}
        given = basic
        if self._challenge.type == "bearer":
            answer = self._downloads.read(self._realm(), basic).checked()
            found = as_object(answer.body)
            given = {"Authorization": f"Bearer {found.get('token') or found.get('access_token')}"}
        self._headers = {**self._headers, **given}

    def _realm(self) -> str:
        """Where the registry has its tokens issued, with what the token is to allow."""
        assert self._challenge is not None  # noqa: S101 - asked for by `_authorise` only
        asked = self._challenge.parameters
        realm = asked.get("realm") or ""
        if self._base.startswith("https://") and not realm.startswith("https://"):
            raise FetchFailed(
                "The registry has its tokens issued without TLS; the password is not sent there."
            )
        wanted = {name: value for name in ("service", "scope") if (value := asked.get(name))}
        return f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(wanted)}"


def _password(registry: str, environment: Mapping[str, str]) -> str:
    """`user:password` in base64 for a registry, as `docker login` keeps it; empty if there is none.

    Raises:
        InvalidRequest: the file of credentials cannot be read.
    """
    if not (folder := environment.get("DOCKER_CONFIG", "").strip()):
        return ""
    try:
        known = json.loads((Path(folder) / "config.json").read_bytes())["auths"].get(registry, {})
        return str(known.get("auth") or "")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InvalidRequest(
            "The file config.json in the folder DOCKER_CONFIG of the service has no readable auths."
        ) from error
