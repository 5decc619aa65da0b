"""Golden images on disk: images with their labels that each new version of a name must get right.

They lie in `golden/<name>/`, each under its digest, beside an index that is written whole and last.
"""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from predictor.errors import ModelConflict
from predictor.store.files import atomic_write, locked, remove, storage_errors

_INDEX = "golden.json"
_LOCK_SECONDS = 10.0

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
    """

    images: tuple[GoldenImage, ...]
    least: int
    created: str
    by: str | None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "GoldenSet":
        """Read what `dataclasses.asdict` gives.

        Raises:
            TypeError, KeyError, ValueError: it is of another form.
        """
        images = tuple(
            GoldenImage(
                str(one["name"]), str(one["digest"]), tuple(map(tuple, one["said"])), str(one["label"])
            )
            for one in value["images"]
        )
        return cls(images, int(value["least"]), str(value["created"]), value["by"])


class GoldenSets:
    """The golden images of all names.

    Args:
        data: the folder of everything that the service writes.
    """

    def __init__(self, data: Path) -> None:
        self._folder = data / "golden"
        self._lock = data / "golden.lock"

    def find(self, name: str) -> GoldenSet | None:
        """The golden images of a name; None if it has none.

        Raises:
            ModelConflict: what is kept of them cannot be read.
        """
        try:
            return GoldenSet.from_json(json.loads((self._folder / name / _INDEX).read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise _damaged(name) from error

    def data_of(self, name: str, image: GoldenImage) -> bytes:
        """The bytes of an image.

        Raises:
            ModelConflict: they cannot be read, or are others than were sent.
        """
        try:
            data = (self._folder / name / image.digest).read_bytes()
        except OSError as error:
            raise _damaged(name) from error
        if digest(data) != image.digest:
            raise _damaged(name)
        return data

    def write(self, name: str, golden: GoldenSet, contents: Sequence[bytes]) -> None:
        """Keep golden images in place of those that the name has.

        Args:
            name: of the model.
            golden: what is to be known of them.
            contents: the bytes of each image.

        Raises:
            StorageFull: there is no room; the former ones stay.
            ModelConflict: another change is under way.
        """
        folder = self._folder / name
        with self._alone():
            with storage_errors():
                folder.mkdir(parents=True, exist_ok=True)
            for image, data in zip(golden.images, contents, strict=True):
                atomic_write(folder / image.digest, data)
            atomic_write(folder / _INDEX, json.dumps(asdict(golden)).encode())
            kept = {_INDEX, *(image.digest for image in golden.images)}
            for path in folder.iterdir():
                if path.name not in kept:
                    path.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Forget the golden images of a name, if it has any."""
        with self._alone():
            remove(self._folder / name)

    @contextlib.contextmanager
    def _alone(self) -> Any:
        try:
            with storage_errors(), locked(self._lock, _LOCK_SECONDS):
                yield
        except TimeoutError as error:
            raise ModelConflict("Another change of golden images is in progress; try again.") from error


def digest(data: bytes) -> str:
    """The hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def _damaged(name: str) -> ModelConflict:
    return ModelConflict(f"The golden images of {name} are damaged; send them again, or delete them.")
