"""ZIP archives that strangers made: what lies in them, within bounds on memory, names and places.

The standard library reads the format. What it would believe is looked at first, and what it reads at once is
bounded, so that neither a long list of entries nor a small file that unpacks to a large one fills the memory.
"""

import io
import itertools
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from predictor.errors import InvalidRequest

MAX_DEPTH = 16
"""Folders in which a file of an archive may lie."""
MAX_NAME = 500
"""Characters of a file's path in an archive."""

_BEGINS = (b"PK\x03\x04", b"PK\x05\x06")
_LISTED = b"PK\x01\x02"
_HEADER_BYTES = 30
_LISTED_BYTES = 46
# Bytes of the list for each entry: 46, its name, and times and owners as usual tools write them.
_ENTRY_BYTES = 256
# The end of the file, in which the library looks for the place of the list.
_TAIL_BYTES = 70_000
_CHUNK_BYTES = 1 << 16
_SHOWN = 100
_OF_SYSTEMS = ("__macosx", "thumbs.db", "desktop.ini")
_DRIVE = re.compile(r"[A-Za-z]:")
_PLAIN = (0, stat.S_IFREG, stat.S_IFDIR)
_ENCRYPTED = 0x1
# Of files that are compressed otherwise the library unpacks each piece whole, whatever the limit.
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OTHERS = {9: "Deflate64", zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 93: "Zstandard"}
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RuntimeError,
    NotImplementedError,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
)


class Unreadable(InvalidRequest):
    """A file of an archive cannot be unpacked; the sentence says why, without the file's name."""


@dataclass(frozen=True)
class Entry:
    """A file of an archive.

    Attributes:
        name: its path in the archive, with slashes; it leads to no place outside.
        archive: what it lies in, open as long as an entry is known.
        info: what the archive says of it.
    """

    name: str
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    def read(self, most: int) -> bytes:
        """The first bytes of the file, at most so many.

        Raises:
            Unreadable: it cannot be unpacked.
        """
        return b"".join(self._pieces(most))

    def unpack(self, target: Path, most: int) -> int:
        """Write the first bytes of the file to another one, at most so many; how many there were.

        Raises:
            Unreadable: it cannot be unpacked.
            OSError: the disk does not take it.
        """
        with target.open("wb") as file:
            return sum(map(file.write, self._pieces(most)))

    def _pieces(self, most: int) -> Iterator[bytes]:
        self._refuse_form()
        try:
            with self.archive.open(self.info) as file:
                while most and (piece := file.read(min(_CHUNK_BYTES, most))):
                    most -= len(piece)
                    yield piece
        except _UNREADABLE as error:
            raise Unreadable("The file cannot be extracted: the archive is damaged.") from error

    def _refuse_form(self) -> None:
        if self.info.flag_bits & _ENCRYPTED:
            raise Unreadable("The file cannot be extracted: make the archive without a password.")
        if self.info.compress_type not in _BOUNDED:
            method = _OTHERS.get(self.info.compress_type, "another method")
            raise Unreadable(f"The file cannot be extracted: compress it with deflate instead of {method}.")


def is_archive(path: Path) -> bool:
    """Whether a file begins like a ZIP archive, whatever it is called."""
    with path.open("rb") as file:
        return file.read(4) in _BEGINS


def entries_of(path: Path, most: int) -> list[Entry]:
    """The files of an archive, in its order.

    Args:
        path: the archive.
        most: files and folders that it may have.

    Raises:
        InvalidRequest: it is no ZIP archive, has too many entries, or one that is no plain file inside of it.
        OSError: the archive cannot be opened.
    """
    file = _Bounded(io.FileIO(path), most)
    try:
        archive = zipfile.ZipFile(file)
    except _UNREADABLE as error:
        raise InvalidRequest("The archive is not a valid ZIP file.") from error
    file.opened()
    infos = archive.infolist()
    if len(infos) > most:
        raise _too_many(most)
    _refuse_overlap(infos)
    entries = [Entry(_safe(info), archive, info) for info in infos]
    files = [entry for entry in entries if not _named(entry.info).endswith("/")]
    _refuse_twice([entry.name for entry in files])
    return files


def is_hidden(name: str) -> bool:
    """Whether a path leads to what a system puts beside a person's files, or hides from them."""
    return any(part.startswith(".") or part.lower() in _OF_SYSTEMS for part in PurePosixPath(name).parts)


def shown(name: str) -> str:
    """The end of a stranger's path, as it may stand in a sentence."""
    text = "".join(letter if letter.isprintable() else "?" for letter in name[-_SHOWN:])
    return text if len(name) <= _SHOWN else f"...{text}"


def written(name: str) -> str:
    """A file's name as text, which it may not be: bytes of it that are no UTF-8 are written as numbers."""
    return name.encode(errors="backslashreplace").decode()


class _Bounded(io.BufferedReader):
    """A file of which only so much is read at once as the list of an archive may have.

    The library reads the list at once and makes an object of each entry, however many the archive says there
    are; so the bytes are bounded, and the entries are counted before the library sees them.
    """

    def __init__(self, file: io.FileIO, most: int) -> None:
        super().__init__(file)
        self._bytes = os.fstat(self.fileno()).st_size
        self._entries = most
        self._at_once = max(_TAIL_BYTES, most * _ENTRY_BYTES)
        # The end of the list is read once more with the tail.
        self._left: int | None = most + _TAIL_BYTES // _LISTED_BYTES

    def __del__(self) -> None:
        # The library closes only what it has opened itself.
        self.close()

    def opened(self) -> None:
        """The list is read: what follows are the files."""
        self._left = None

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._bytes - self.tell() if size is None or size < 0 else size
        if wanted > self._at_once:
            raise _too_many(self._entries)
        data = super().read(size)
        if self._left is not None:
            self._left -= data.count(_LISTED)
            if self._left < 0:
                raise _too_many(self._entries)
        return data


def _too_many(most: int) -> InvalidRequest:
    return InvalidRequest(f"The archive has more than {most} files and folders, or very long names.")


def _named(info: zipfile.ZipInfo) -> str:
    # Some tools of Windows write its own mark between folders.
    return info.filename.replace("\\", "/")


def _safe(info: zipfile.ZipInfo) -> str:
    """The path of an entry, which stays inside of the archive."""
    name = _named(info)
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if not parts or name.startswith("/") or _DRIVE.match(name) or ".." in parts:
        raise InvalidRequest(f"The archive has an entry outside of itself: {shown(name)}. Make it again.")
    # The upper half holds the mode of Unix, whose tools write links and devices that way.
    if stat.S_IFMT(info.external_attr >> 16) not in _PLAIN:
        raise InvalidRequest(
            f"{shown(name)} in the archive is a link or device; put the file itself into it."
        )
    if len(name) > MAX_NAME or len(parts) > MAX_DEPTH + 1:
        raise InvalidRequest(f"{shown(name)} in the archive has a path that is too long or too deep.")
    return "/".join(parts)


def _refuse_overlap(infos: Sequence[zipfile.ZipInfo]) -> None:
    """Entries that share bytes unpack to much more than the archive holds."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    for one, following in itertools.pairwise(ordered):
        if one.header_offset + _HEADER_BYTES + one.compress_size > following.header_offset:
            raise InvalidRequest("The archive is not a valid ZIP file: its entries overlap.")


def _refuse_twice(names: Sequence[str]) -> None:
    seen = set[str]()
    for name in names:
        if name in seen:
            raise InvalidRequest(f"{shown(name)} is in the archive twice.")
        seen.add(name)
