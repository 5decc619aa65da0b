"""The files of versions in the bucket, each under its digest, so that equal files are there once."""

import json
from collections.abc import Iterable
from math import inf
from pathlib import Path

from predictor.cluster.bucket import Bucket
from predictor.errors import NotReady
from predictor.store.files import storage_errors
from predictor.store.manifest import MANIFEST, Manifest, digest

_PREFIX = "blobs/"
_UNNAMED_SECONDS = 86_400.0


class Blobs:
    """Files by their digests; the methods raise `Unavailable` where the store does not answer."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def publish(self, folder: Path) -> str:
        """Upload the files of a version; the digest of its manifest, which names all of them.

        Raises:
            NotReady: a file cannot be read.
        """
        found = digest(folder / MANIFEST)
        self._bucket.upload(_PREFIX + found, folder / MANIFEST, since=inf)
        written = self._bucket.find(_PREFIX + found)
        # What is older and has no name yet might be swept before this version gives it one.
        since = written.time - _UNNAMED_SECONDS / 2 if written else inf
        for name, known in Manifest.read(folder).files.items():
            self._bucket.upload(_PREFIX + known["digest"], folder / name, since=since)
        return found

    def fetch(self, wanted: str, folder: Path) -> Manifest:
        """Download the files of a version into an empty folder.

        Args:
            wanted: the digest of its manifest.
            folder: where the files shall lie.

        Raises:
            NotReady: a file is missing in the store, or is not what its digest says.
            StorageFull: there is no room.
        """
        self._fetch(wanted, folder / MANIFEST)
        try:
            manifest = Manifest.read(folder)
        except (OSError, ValueError, TypeError) as error:
            raise NotReady("A version in the store cannot be read: another release wrote it.") from error
        for name, known in manifest.files.items():
            if name != Path(name).name or name.startswith("."):
                raise NotReady("A version in the store names a file that cannot be one of its own.")
            self._fetch(known["digest"], folder / name)
        return manifest

    def missing(self, wanted: str) -> list[str]:
        """The files that are not in the store, of the version whose manifest has a digest.

        Raises:
            NotReady: the manifest cannot be read.
        """
        if (data := self._bucket.get(_PREFIX + wanted)) is None:
            return [MANIFEST]
        try:
            files = Manifest(**json.loads(data)).files
        except (ValueError, TypeError) as error:
            raise NotReady("A version in the store cannot be read: another release wrote it.") from error
        return [name for name, one in files.items() if self._bucket.find(_PREFIX + one["digest"]) is None]

    def sweep(self, folders: Iterable[Path], present: float) -> None:
        """Remove blobs that no version names, and that are older than a day.

        Args:
            folders: of all versions that there are.
            present: the time by the store's clock.
        """
        named = set[str]()
        for folder in folders:
            named |= {known["digest"] for known in Manifest.read(folder).files.values()}
            named.add(digest(folder / MANIFEST))
        self._bucket.remove(
            entry.key
            for entry in self._bucket.entries(_PREFIX)
            if entry.key.removeprefix(_PREFIX) not in named and entry.time < present - _UNNAMED_SECONDS
        )

    def _fetch(self, wanted: str, path: Path) -> None:
        with storage_errors():
            found = self._bucket.download(_PREFIX + wanted, path)
        if found != wanted:
            raise NotReady("A file of the version is missing or damaged in the store.")
