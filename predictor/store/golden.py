"""Golden images on disk: images with their labels that each new version of a name must get right.

They lie in `golden/<name>/<digest of the index>/`: the index, and each image under its digest. The folder
gets its place whole, as that of a version does, and counts once the state of the name has the digest.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from predictor.errors import ModelConflict
from predictor.store.files import move_folder, remove, storage_errors

INDEX = "golden.json"
"""The file of a set that says what is known of its images."""
DIGEST = re.compile(r"[0-9a-f]{64}")
"""What a digest looks like that becomes the name of a file or folder."""

Said = tuple[tuple[str, ...], ...]
"""For each class of an image what may name it, the surest first."""


@dataclass(frozen=True)
class GoldenImage:
    """An image that versions are judged by.

    Attributes:
        name: what its sender called it; shown, never used as a path.
        digest: the hexadecimal SHA-256 of its bytes, and the name of its file.
        said: what may name its classes.
        label: its class, as the version called it that was live when it came.
    """

    name: str
    digest: str
    said: Said
    label: str


@dataclass(frozen=True)
class GoldenSet:
    """The golden images of a name.

    Attributes:
        images: at least one.
        least: how many of them a version must get right.
        created: when they were sent, by RFC 3339.
        by: the address that they came from.
        by_name: whether no label is an index, whose class another version may have at another place. A set
            of a former release may have indices.
    """

    images: tuple[GoldenImage, ...]
    least: int
    created: str
    by: str | None
    by_name: bool = False

    def to_bytes(self) -> bytes:
        """The form that `from_bytes` reads back: the index of the set."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "GoldenSet":
        """Read the form that `to_bytes` writes.

        Raises:
            TypeError, KeyError, ValueError: it is of another form.
        """
        value: dict[str, Any] = json.loads(data)
        images = tuple(
            GoldenImage(
                str(one["name"]), str(one["digest"]), tuple(map(tuple, one["said"])), str(one["label"])
            )
            for one in value["images"]
        )
        if not all(DIGEST.fullmatch(one.digest) for one in images):
            raise ValueError("A digest would lead elsewhere.")
        by_name = value.get("by_name") is True
        return cls(images, int(value["least"]), str(value["created"]), value["by"], by_name)


class GoldenFiles:
    """The files of golden images.

    An index that is None, of a name whose state has none, means those that a former release kept: they lie in
    `golden/<name>/` itself, and count until others take their place.

    Args:
        root: the folder of the golden images of all names.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, name: str, index: str | None) -> GoldenSet | None:
        """The golden images of a name; None if it has none.

        Args:
            name: of the model.
            index: the digest of the set's index.

        Raises:
            ModelConflict: they are missing or cannot be read.
        """
        try:
            data = (self.folder(name, index) / INDEX).read_bytes()
            found = GoldenSet.from_bytes(data)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            if index is None and isinstance(error, FileNotFoundError | NotADirectoryError):
                return None
            raise _damaged(name) from error
        if index not in {None, digest(data)}:
            raise _damaged(name)
        return found

    def data_of(self, name: str, index: str | None, image: GoldenImage) -> bytes:
        """The bytes of an image.

        Raises:
            ModelConflict: they cannot be read, or are others than were sent.
        """
        try:
            data = (self.folder(name, index) / image.digest).read_bytes()
        except OSError as error:
            raise _damaged(name) from error
        if digest(data) != image.digest:
            raise _damaged(name)
        return data

    def folder(self, name: str, index: str | None) -> Path:
        """Where a set lies."""
        found = self.root / name / (index or "")
        return found if found.is_dir() else self.root / name

    def place(self, name: str, folder: Path) -> str:
        """Give a set that was written to a folder its place; the digest of its index.

        Raises:
            StorageFull: there is no room.
        """
        index = digest((folder / INDEX).read_bytes())
        target = self.root / name / index
        remove(target)
        move_folder(folder, target)
        return index

    def whole(self, name: str, index: str | None) -> GoldenSet | None:
        """A set whose files are all here, whatever images hold; else None."""
        with suppress(ModelConflict):
            found, folder = self.find(name, index), self.folder(name, index)
            if found and all((folder / one.digest).is_file() for one in found.images):
                return found
        return None

    def lacks(self, name: str, index: str) -> bool:
        """Whether a set is not whole at its own place."""
        return not (self.root / name / index).is_dir() or self.whole(name, index) is None

    def former(self, name: str) -> str | None:
        """The digest of the index that a former release wrote for a name, or None."""
        try:
            return digest((self.root / name / INDEX).read_bytes())
        except OSError:
            return None

    def remove_former(self, name: str) -> None:
        """Remove what a former release kept of a name, the index last: without it nothing else is found."""
        if self.former(name):
            found = [path for path in (self.root / name).iterdir() if path.is_file()]
            with storage_errors():
                for path in sorted(found, key=lambda path: path.name == INDEX):
                    path.unlink(missing_ok=True)

    def newest(self, name: str) -> str | None:
        """The digest of the newest set on disk, or None; it counts where the state does not say."""
        found = sorted((self.root / name).glob(f"*/{INDEX}"), key=lambda path: path.stat().st_mtime)
        return found[-1].parent.name if found else None

    def remove_unknown(self, known: Mapping[str, str | None]) -> None:
        """Remove the sets that are not those of the names, and those of other names.

        Args:
            known: the digest of the index of each name; None where it has none.
        """
        for folder in self.root.glob("*"):
            if folder.name not in known:
                remove(folder)
        for folder in self.root.glob("*/*/"):
            if folder.name != known.get(folder.parent.name):
                remove(folder)


def write_set(folder: Path, golden: GoldenSet, contents: Iterable[bytes]) -> None:
    """Write a set to a folder.

    Args:
        folder: an empty one.
        golden: what is to be known of the images.
        contents: the bytes of each.

    Raises:
        StorageFull: there is no room.
    """
    with storage_errors():
        for image, data in zip(golden.images, contents, strict=True):
            (folder / image.digest).write_bytes(data)
        (folder / INDEX).write_bytes(golden.to_bytes())


def digest(data: bytes) -> str:
    """The hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def _damaged(name: str) -> ModelConflict:
    return ModelConflict(f"The golden images of {name} are damaged; send them again, or delete them.")
