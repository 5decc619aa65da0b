"""Files of models in the bucket, each under its digest, so that equal files are there once."""

from collections.abc import Callable, Iterable, Mapping
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
        files = {known["digest"]: folder / name for name, known in Manifest.read(folder).files.items()}
        self.upload(found, folder / MANIFEST, files)
        return found

    def upload(self, first: str, path: Path, others: Mapping[str, Path]) -> None:
        """Upload a file and those that it names, each by its digest."""
        self._bucket.upload(_PREFIX + first, path, since=inf)
        written = self._bucket.find(_PREFIX + first)
        # What is older and has no name yet might be swept before this file gives it one.
        since = written.time - _UNNAMED_SECONDS / 2 if written else inf
        for known, other in others.items():
            self._bucket.upload(_PREFIX + known, other, since=since)

    def fetch(self, wanted: str, folder: Path, between: Callable[[], None] = lambda: None) -> Manifest:
        """Download the files of a version into a folder, as far as they are not there.

        Args:
            wanted: the digest of its manifest.
            folder: where the files shall lie.
            between: called before each part of a file; what it raises ends the attempt.

        Raises:
            NotReady: a file is missing in the store, or is not what its digest says.
            StorageFull: there is no room.
        """
        self.download(wanted, folder / MANIFEST, between)
        try:
            manifest = Manifest.read(folder)
        except (OSError, ValueError, TypeError) as error:
            raise NotReady("A version in the store cannot be read: another release wrote it.") from error
        for name, known in manifest.files.items():
            if name != Path(name).name or name.startswith("."):
                raise NotReady("A version in the store names a file that cannot be one of its own.")
            self.download(known["digest"], folder / name, between)
        return manifest

    def download(self, wanted: str, path: Path, between: Callable[[], None] = lambda: None) -> None:
        """Download a file by its digest.

        Raises:
            NotReady, StorageFull: as for `fetch`.
        """
        with storage_errors():
            found = self._bucket.download(_PREFIX + wanted, path, between)
        if found != wanted:
            path.unlink(missing_ok=True)
            raise NotReady("A file is missing or damaged in the store.")

    def missing(self, wanted: str, first: str, named: Callable[[bytes], Mapping[str, str]]) -> list[str]:
        """The names of files that are not in the store, of a file and those that it names.

        Args:
            wanted: the digest of the file.
            first: its name.
            named: the digest of each file that it names, by its name.

        Raises:
            NotReady: the file cannot be read.
        """
        if (data := self._bucket.get(_PREFIX + wanted)) is None:
            return [first]
        try:
            files = named(data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NotReady("A file in the store cannot be read: another release wrote it.") from error
        return [name for name, found in files.items() if self._bucket.find(_PREFIX + found) is None]

    def sweep(self, folders: Iterable[Path], others: Iterable[str], present: float) -> None:
        """Remove blobs that nothing names, and that are older than a day.

        Args:
            folders: of all versions that there are.
            others: the digests of the other files that are named.
            present: the time by the store's clock.
        """
        named = set(others)
        for folder in folders:
            named |= {known["digest"] for known in Manifest.read(folder).files.values()}
            named.add(digest(folder / MANIFEST))
        oldest = present - _UNNAMED_SECONDS
        for entry in self._bucket.entries(_PREFIX):
            if entry.key.removeprefix(_PREFIX) not in named and entry.time < oldest:
                # An upload may have written it again since it was listed, to give it a name soon.
                found = self._bucket.find(entry.key)
                if found is not None and found.time < oldest:
                    self._bucket.remove([entry.key])


def of_manifest(data: bytes) -> dict[str, str]:
    """The digests of a version's files by their names, as its manifest has them."""
    return {name: str(one["digest"]) for name, one in Manifest.from_bytes(data).files.items()}
