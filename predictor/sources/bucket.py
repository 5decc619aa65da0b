"""Objects of a bucket of S3, which a process of its own lists and saves (`predictor.cluster.objects`)."""

import hashlib
import importlib.util
import json
import logging
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from predictor import background
from predictor.errors import (
    FetchFailed,
    FetchTimeout,
    InvalidRequest,
    ModelTooLarge,
    PredictorError,
    StorageFull,
)
from predictor.fetch.files import Downloads
from predictor.importing.unpacking import MAX_FILES
from predictor.sources.listing import Listing, RemoteFile, as_object, inside

FORM = "s3://bucket/key"
_REFERENCE = re.compile(r"//(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<key>[^?#]*))?")
_COMMAND = (sys.executable, "-P", "-s", "-m", "predictor.cluster.objects")
_MISSING_PACKAGE = "For a source of S3, the service needs the package obstore (pip install obstore)."
_LOGGED = 500  # bytes of what the process says
_LATE = "The bucket of the source did not answer in time."
_REFUSALS: Mapping[str, tuple[type[PredictorError], str]] = {
    "missing": (FetchFailed, "The bucket of the source has no object of that key, and none below it."),
    "denied": (FetchFailed, "The bucket of the source refuses the credentials of the service's environment."),
    "changed": (FetchFailed, "An object of the source was replaced while it was read; try again."),
    "many": (InvalidRequest, f"The source has more than {MAX_FILES} objects; name a folder with fewer."),
    "large": (ModelTooLarge, "The files of the model are larger than PREDICTOR_MAX_MODEL_MB allows."),
    "disk": (StorageFull, "The disk does not take the model; nothing was changed."),
}
_FAILED = (
    FetchFailed,
    "The bucket of the source cannot be read; check the variables AWS_... of the service. The log says why.",
)
# What the process gets of the environment: neither tokens of the service nor those of other registries.
_PASSED_ON = ("PATH", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")

log = logging.getLogger(__name__)


class Bucket:
    """An object of a bucket, or all those below a key.

    Args:
        reference: what stands behind `s3:`.
        downloads: of this model.
        environment: of the process, with the address and the credentials in the variables of AWS.

    Raises:
        InvalidRequest: the reference has another form, or the package that reads buckets is not installed.
    """

    def __init__(self, reference: str, downloads: Downloads, environment: Mapping[str, str]) -> None:
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise InvalidRequest(f"The source of S3 has the form {FORM}.")
        if importlib.util.find_spec("obstore") is None:
            raise InvalidRequest(_MISSING_PACKAGE)
        self._bucket, self._key = found["bucket"], found["key"] or ""
        self._downloads = downloads
        passed_on = {
            name: value
            for name, value in environment.items()
            if name.startswith("AWS_") or name in _PASSED_ON
        }
        self._environment = {**passed_on, "PYTHONPATH": str(Path(__file__).parents[2])}
        self._etags: dict[str, str | None] = {}

    def listing(self) -> Listing:
        """The object of the key, or those below it; the revision is its ETag, or the digest of all ETags."""
        found = self._asked(key=self._key, most=MAX_FILES)["files"]
        self._etags = {one["key"]: one["etag"] for one in found}
        files = [
            RemoteFile(inside(self._name(one["key"])), one["key"], one["bytes"])
            for one in found
            if not one["key"].endswith("/")
        ]
        return Listing(files, self._revision(), named=[*self._etags] == [self._key])

    def save(self, files: Sequence[RemoteFile], paths: Sequence[Path]) -> str | None:
        """As `Place` has it."""
        wanted = [
            (file.place, self._etags[file.place], str(path.absolute()))
            for file, path in zip(files, paths, strict=True)
        ]
        self._asked(save=wanted, most=self._downloads.bytes_left)
        return None

    def _name(self, key: str) -> str:
        """The path of an object from the folder that the source names."""
        folder = self._key.rstrip("/")
        return key.removeprefix(f"{folder}/") if key != folder else key.rpartition("/")[2]

    def _revision(self) -> str | None:
        tags = [f"{key} {tag}" for key, tag in sorted(self._etags.items())]
        if len(tags) == 1:
            return next(iter(self._etags.values()))
        return f"sha256:{hashlib.sha256(chr(10).join(tags).encode()).hexdigest()}"

    def _asked(self, **request: Any) -> dict[str, Any]:
        seconds = self._downloads.seconds_left
        asked = {"bucket": self._bucket, "seconds": seconds, **request}
        try:
            done = background.run(
                _COMMAND, self._environment, seconds, json.dumps(asked).encode(), stderr=subprocess.PIPE
            )
        except subprocess.TimeoutExpired as error:
            raise FetchTimeout(_LATE) from error
        answer = as_object(done.stdout) if done.returncode == 0 else {"refused": "failed"}
        if (word := answer.get("refused")) is not None:
            log.warning("A bucket could not be read (%s): %r", word, done.stderr[-_LOGGED:])
            kind, sentence = _REFUSALS.get(word, _FAILED)
            raise kind(sentence)
        return answer
