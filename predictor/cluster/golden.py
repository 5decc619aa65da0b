"""Golden images of all machines: the names of a change say which sets count, the bucket has their files.

A machine has the images before it says that it serves a change that names them. Where the bucket has lost
them it serves the models nevertheless, and its gate stays closed: no upload passes without force.
"""

import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from predictor.cluster.blobs import Blobs
from predictor.errors import NotReady
from predictor.store.files import Staging, storage_errors
from predictor.store.golden import INDEX, GoldenFiles, GoldenSet
from predictor.store.state import Name

Names = Mapping[str, Name]

log = logging.getLogger(__name__)


class SharedGolden:
    """The golden images of this machine, as one of many; methods raise `Unavailable` without the store.

    Args:
        files: those of this machine.
        staging: where files lie until all of a set are there.
        blobs: files in the bucket.
    """

    def __init__(self, files: GoldenFiles, staging: Staging, blobs: Blobs) -> None:
        self._files = files
        self._staging = staging
        self._blobs = blobs

    def former(self, name: str) -> str | None:
        """The digest of the golden images that a former release kept for a name on this machine, or None."""
        return self._files.former(name) if self._files.whole(name, None) else None

    def publish(self, names: Names, known: Names) -> None:
        """Upload the sets of names; what is lost here keeps no machine from changes.

        Args:
            names: the models.
            known: models whose sets are in the bucket.
        """
        for name, index in _sets(names):
            if index == known.get(name, Name()).golden:
                continue
            if (golden := self._files.whole(name, index)) is None:
                log.error("The golden images of %s are not on this machine", name)
                continue
            folder = self._files.folder(name, index)
            images = {_key(one.digest): folder / one.digest for one in golden.images}
            self._blobs.upload(_key(index), folder / INDEX, images)

    def fetch(self, names: Names) -> None:
        """Give the sets their places that are not here; they are downloaded, if no former release kept them.

        Raises:
            StorageFull: there is no room.
        """
        for name, index in _sets(names):
            if self._files.lacks(name, index):
                try:
                    self._place(name, index)
                except NotReady as error:
                    log.error("Nothing can be judged by the golden images of %s: %s", name, error.detail)

    def replace_former(self, names: Names, *, joined: bool) -> None:
        """Remove what a former release kept here, where all machines have a set.

        Args:
            names: the models of all machines.
            joined: whether this machine is new among them, so that what it has counts no more.
        """
        for name, one in names.items():
            if joined or (one.golden and not self._files.lacks(name, one.golden)):
                self._files.remove_former(name)

    def digests(self, names: Names) -> set[str] | None:
        """All files of sets, by their digests in the bucket; None if a set is not here to tell them."""
        found = set[str]()
        for name, index in _sets(names):
            if (golden := self._files.whole(name, index)) is None:
                return None
            found |= {_key(index), *(_key(one.digest) for one in golden.images)}
        return found

    def _place(self, name: str, index: str) -> None:
        former = self._files.folder(name, None) if self.former(name) == index else None
        with self._staging.new_folder() as folder:
            self._get(index, folder / INDEX, former)
            try:
                golden = GoldenSet.from_bytes((folder / INDEX).read_bytes())
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise NotReady("The index cannot be read: another release wrote it.") from error
            for image in golden.images:
                self._get(image.digest, folder / image.digest, former)
            self._files.place(name, folder)

    def _get(self, digest: str, path: Path, former: Path | None) -> None:
        if former is None:
            self._blobs.download(_key(digest), path)
        else:
            with storage_errors():
                shutil.copyfile(former / path.name, path)


def indexes(names: Names) -> Iterator[tuple[str, str]]:
    """The names that have golden images, with the digest of their index in the bucket."""
    return ((name, _key(index)) for name, index in _sets(names))


def of_index(data: bytes) -> dict[str, str]:
    """The digests of the images of a set in the bucket, by the names of their files."""
    return {one.digest: _key(one.digest) for one in GoldenSet.from_bytes(data).images}


def _sets(names: Names) -> Iterator[tuple[str, str]]:
    return ((name, one.golden) for name, one in names.items() if one.golden)


def _key(digest: str) -> str:
    return f"sha256:{digest}"
