"""The files of an upload, with those that its archives hold, in a folder and under names of our own."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from predictor.archives import Entry, Unreadable, entries_of, is_archive, shown
from predictor.config import MEGA
from predictor.errors import InvalidRequest, ModelTooLarge

MAX_FILES = 1_000
"""Files of one upload, those in archives included."""

_ZIP = ".zip"


@dataclass(frozen=True)
class Sent:
    """A file as it came.

    Attributes:
        name: the uploader's relative path for it, with slashes; shown, and never used as a path.
        path: where it lies.
        model: whether it was sent as the model, which may be an archive whatever it is called.
    """

    name: str
    path: Path
    model: bool = False

    def is_archive(self) -> bool:
        """Whether the files in it are meant, and not the archive, as some tools write them for themselves."""
        named = self.name.lower().endswith(_ZIP) and "/" not in self.name
        return (self.model or named) and is_archive(self.path)


def unpacked(sent: Iterable[Sent], folder: Path, most: int) -> dict[str, Path]:
    """Where each file lies by its name, in the place of an archive the files in it.

    Args:
        sent: what came.
        folder: where files of archives are written; an archive is removed.
        most: bytes of all files together.

    Raises:
        InvalidRequest: an archive cannot be read, two files have one name, or there are too many.
        ModelTooLarge: the files have more bytes.
        OSError: the disk does not take them.
    """
    found = _Files(most)
    for one in sent:
        if not one.is_archive():
            found.add(one.name, one.path)
            continue
        for entry in entries_of(one.path, MAX_FILES):
            target = folder / f"entry-{len(found.paths)}"
            # One byte over what may still come shows that there is more.
            _unpack(entry, target, found.left + 1)
            found.add(entry.name, target)
        one.path.unlink()
    return found.paths


class _Files:
    """Files within bounds on their number and bytes, each under one name."""

    def __init__(self, most: int) -> None:
        self.paths: dict[str, Path] = {}
        self.left = most
        self._most = most

    def add(self, name: str, path: Path) -> None:
        if name in self.paths:
            raise InvalidRequest(f"Two files are named {shown(name)}; send one of them.")
        self.paths[name] = path
        self.left -= path.stat().st_size
        if self.left < 0:
            raise ModelTooLarge(f"The files of the model may have at most {self._most / MEGA:g} MB together.")
        if len(self.paths) > MAX_FILES:
            raise InvalidRequest(f"Send at most {MAX_FILES} files.")


def _unpack(entry: Entry, target: Path, most: int) -> None:
    try:
        entry.unpack(target, most)
    except Unreadable as error:
        raise InvalidRequest(f"{shown(entry.name)}: {error.detail}") from error
