"""What is known of a version since it was uploaded, kept in a file beside its own."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from predictor.errors import NotReady
from predictor.model_files import DATA, LABELS, MODEL, ORIGINAL, PREPROCESSING
from predictor.store.files import atomic_write

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MANIFEST = "manifest.json"
"""The file that says what is known of a version."""
_SHOWN = 100
_Value = TypeVar("_Value", bound="DataclassInstance")


@dataclass(frozen=True)
class Manifest:
    """What is known of a version since it was uploaded.

    Attributes:
        model: the uploader's name for the file; shown, never used as a path.
        labels: the same for the labels; None if none came.
        preprocessing: the same for the preprocessing.
        digest: `sha256:` and the digest of the model or, if other files came with it, of all digests.
        files: digest and bytes of each file, and the uploader's name for it.
        created: when, by RFC 3339.
        by: the address that the upload came from.
        report: what the check found out.
    """

    model: str
    labels: str | None
    preprocessing: str | None
    digest: str
    files: Mapping[str, Mapping[str, Any]]
    created: str
    by: str | None
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def forced(self) -> bool:
        """Whether it was published although it gets too few golden images right."""
        return bool((self.report.get("golden") or {}).get("forced"))

    def weights(self) -> dict[str, str]:
        """Names of the files with weights that lie beside the model, by the names that it knows them by."""
        beside = [name for name in self.files if name.startswith(DATA)]
        return {str(self.files[name]["name"]) if ORIGINAL in self.files else name: name for name in beside}

    def write(self, folder: Path) -> None:
        """Write it beside the files that it describes.

        Raises:
            StorageFull: there is no room.
        """
        atomic_write(folder / MANIFEST, json.dumps(dataclasses.asdict(self), indent=1).encode())

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read it.

        Raises:
            OSError, ValueError, TypeError: it is missing or damaged.
        """
        return cls.from_bytes((folder / MANIFEST).read_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Read the form of the file.

        Raises:
            ValueError, TypeError: it is of another form.
        """
        return known_fields(cls, json.loads(data))


def known_fields(kind: type[_Value], value: dict[str, Any]) -> _Value:
    """A dataclass from JSON, without fields that only later releases know, so that one can be put back.

    Raises:
        TypeError: it is no object, or lacks a field.
    """
    names = (one.name for one in dataclasses.fields(kind))
    return kind(**{name: value[name] for name in names if name in value})


def digest(path: Path) -> str:
    """`sha256:` and the hexadecimal digest of a file's bytes.

    Raises:
        NotReady: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise NotReady("The model file cannot be read.") from error


def described(folder: Path, names: Mapping[str, str], *, by: str | None, created: str) -> Manifest:
    """The manifest of files that lie in a folder.

    Args:
        folder: where they lie.
        names: the uploader's path for each of them; its last part is shown.
        by: where the upload came from.
        created: when, by RFC 3339.
    """
    files = {
        name: {"digest": digest(folder / name), "bytes": (folder / name).stat().st_size, "name": given}
        for name, given in names.items()
    }
    return Manifest(
        model=_last(names[MODEL]),
        labels=_last(names[LABELS]) if LABELS in names else None,
        preprocessing=_last(names[PREPROCESSING]) if PREPROCESSING in names else None,
        digest=_combined_digest(files),
        files=files,
        created=created,
        by=by,
    )


def _last(path: str) -> str:
    return path.rpartition("/")[2][:_SHOWN]


def _combined_digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    if len(files) == 1:
        return str(files[MODEL]["digest"])
    lines = "".join(f"{name} {files[name]['digest']}\n" for name in sorted(files))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
