"""A registered model of an MLflow tracking server (`MLFLOW_TRACKING_URI`), by its REST API.

The server says which version an alias stands for and where its files lie, and hands them out itself, through
the proxy for artifacts that `mlflow server` has by default.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from predictor.errors import FetchFailed, InvalidRequest
from predictor.fetch.files import Downloads
from predictor.importing.unpacking import MAX_FILES
from predictor.sources.listing import Listing, OnTheWeb, RemoteFile, inside, quoted

FORM = "mlflow:models:/name@alias, or mlflow:models:/name/version"
_REFERENCE = re.compile(
    r"models:/(?P<name>[^/:@]{1,256})(?:@(?P<alias>[^/@]{1,256})|/(?P<version>[0-9]{1,9}))"
)
_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_ELSEWHERE = (
    "The MLflow server does not hand out the files of this version itself. Start it with --serve-artifacts, "
    "which is its default, or name the bucket with the files as the source."
)


class RegisteredModel(OnTheWeb):
    """A version of a registered model.

    Args:
        reference: what stands behind `mlflow:`, `models:/name@alias` or `models:/name/version`.
        downloads: of this model.
        environment: `MLFLOW_TRACKING_URI` names the server; `MLFLOW_TRACKING_TOKEN`, or
            `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, are the credentials for it.

    Raises:
        InvalidRequest: the reference has another form, or no server is set.
    """

    def __init__(self, reference: str, downloads: Downloads, environment: Mapping[str, str]) -> None:
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise InvalidRequest(f"The source of MLflow has the form {FORM}.")
        self._server = environment.get("MLFLOW_TRACKING_URI", "").strip().rstrip("/")
        if not self._server.startswith(("http://", "https://")):
            raise InvalidRequest(
                "For a source of MLflow, the environment of the service must have MLFLOW_TRACKING_URI, the "
                "http or https URL of the tracking server."
            )
        if "@" in self._server.split("/")[2]:
            raise InvalidRequest(
                "MLFLOW_TRACKING_URI of the service must not hold a user name or a password: set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            )
        super().__init__(downloads, _credentials(environment))
        self._name, self._alias, self._version = found["name"], found["alias"], found["version"]

    def listing(self) -> Listing:
        """The version's files, and its number."""
        version = self._version or self._aliased()
        uri = self._asked("model-versions/get-download-uri", version=version).get("artifact_uri")
        root = _path(str(uri), self._server)
        return Listing([*self._files(root)], version)

    def _aliased(self) -> str:
        found = self._asked("registered-models/alias", alias=self._alias or "").get("model_version")
        version = str(found.get("version")) if isinstance(found, dict) else ""
        if not version.isdecimal():
            raise FetchFailed("The MLflow server did not say which version the alias stands for.")
        return version

    def _asked(self, what: str, **arguments: str) -> dict[str, Any]:
        return self.json(f"{self._server}{_API}/{what}?{urlencode({'name': self._name, **arguments})}")

    def _files(self, root: str) -> Iterator[RemoteFile]:
        """The files below a folder, one folder after the other."""
        folders, known = [""], 0
        while folders:
            folder = folders.pop()
            listed = self.json(f"{self._server}{_ARTIFACTS}?{urlencode({'path': root + folder})}").get(
                "files"
            )
            for one in filter(_is_entry, listed if isinstance(listed, list) else ()):
                known += 1
                if known > MAX_FILES:
                    raise InvalidRequest(f"The source has more than {MAX_FILES} files and folders.")
                name = inside(folder.lstrip("/") + "/" * bool(folder) + one["path"])
                if one.get("is_dir"):
                    folders.append(f"/{name}")
                    continue
                size = one.get("file_size")
                place = f"{self._server}{_ARTIFACTS}/{quoted(f'{root}/{name}', slashes=True)}"
                yield RemoteFile(name, place, size if isinstance(size, int) else None)


def _is_entry(one: object) -> bool:
    return isinstance(one, dict) and isinstance(one.get("path"), str)


def _path(uri: str, server: str) -> str:
    """The path of a version's files under the proxy of the server.

    Raises:
        InvalidRequest: the server does not hand them out.
        FetchFailed: its answer cannot be read.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise FetchFailed("The answer of the MLflow server names no place of files.") from error
    path = parts.path
    if parts.scheme in {"http", "https"} and uri.startswith(f"{server}{_ARTIFACTS}/"):
        path = urlsplit(uri.removeprefix(f"{server}{_ARTIFACTS}")).path
    elif parts.scheme != "mlflow-artifacts":
        raise InvalidRequest(_ELSEWHERE)
    return inside(path.strip("/"))


def _credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """The header for the tracking server, as MLflow's own client makes it."""
    if token := environment.get("MLFLOW_TRACKING_TOKEN", "").strip():
        return {"Authorization": f"Bearer {token}"}
    user, password = (environment.get(f"MLFLOW_TRACKING_{one}", "") for one in ("USERNAME", "PASSWORD"))
    if not user:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
