"""The files of images on disk and in archives, within bounds -> bytes."""

import os
import stat
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from predictor import archives
from predictor.config import MEGA
from predictor.errors import ImageTooLarge, InvalidImage

MAX_ENTRIES = 65_534
"""Files and folders in an archive of them; systems add files of their own."""
SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif",
    ".tiff", ".avif", ".avifs", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".ico", ".tga", ".pcx",
    ".psd", ".svg", ".ppm", ".pgm", ".pbm", ".pnm", ".qoi", ".dds", ".dng", ".cr2", ".cr3", ".nef", ".arw",
}  # fmt: skip
"""What the names of images end in, in lower case. Those that are not accepted are read, to be named."""

Read = Callable[[], bytes]


def read_file(path: Path, max_bytes: int, *, pipes: bool = False) -> bytes:
    """The bytes of a file.

    Args:
        path: where it lies.
        max_bytes: most bytes that it may have.
        pipes: whether it may be a pipe or a device, whose end may never come.

    Raises:
        InvalidImage: it is not there, cannot be read, or is a pipe or a device.
        ImageTooLarge: it has too many bytes.
    """
    try:
        with open(path, "rb", opener=None if pipes else _at_once) as file:
            if not pipes and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidImage("The file is a pipe or a device, not a regular file.")
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise InvalidImage(f"There is no file {archives.shown(path.name)}.") from error
    except (OSError, ValueError) as error:
        raise InvalidImage("The file cannot be read.") from error
    if len(data) > max_bytes:
        raise ImageTooLarge(f"The file has more than {max_bytes / MEGA:g} MB.")
    return data


def _at_once(path: str, flags: int) -> int:
    """Open a file; a pipe as well, without a wait for somebody who writes into it."""
    return os.open(path, flags | os.O_NONBLOCK)


def files_of(path: Path, max_bytes: int) -> Mapping[str, Read]:
    """What reads each file of an archive.

    Args:
        path: the archive.
        max_bytes: most bytes that a file may have when it is unpacked.

    Raises:
        InvalidRequest: it is no ZIP file, one with too many entries, or one with entries that are no plain
            files inside of it.
    """
    entries = archives.entries_of(path, MAX_ENTRIES)
    return {entry.name: partial(_unpacked, entry, max_bytes) for entry in entries}


def _unpacked(entry: archives.Entry, max_bytes: int) -> bytes:
    try:
        data = entry.read(max_bytes + 1)
    except archives.Unreadable as error:
        raise InvalidImage(error.detail) from error
    if len(data) > max_bytes:
        raise ImageTooLarge(f"The file has more than {max_bytes} bytes.")
    return data
