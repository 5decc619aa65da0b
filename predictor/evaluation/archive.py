"""A ZIP file -> what reads each of its files, within limits; nothing of it is unpacked to the disk."""

import zipfile
import zlib
from functools import partial
from pathlib import Path

from predictor.errors import ImageTooLarge, InvalidImage, InvalidRequest
from predictor.evaluation.pictures import Files

# By the ZIP file format specification (PKWARE's APPNOTE), sections 4.3.15 and 4.3.16.
_LOCATOR, _END = b"PK\x06\x07", b"PK\x05\x06"
_END_BYTES, _LOCATOR_BYTES, _MAX_COMMENT = 22, 20, 65_535
# Of files that are compressed otherwise the library unpacks each piece whole, whatever the limit.
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OTHERS = {9: "Deflate64", zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 93: "Zstandard"}
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    NotImplementedError,
    OSError,
    EOFError,
    ValueError,
)


def files_of(path: Path, max_bytes: int) -> Files:
    """What reads each file of an archive.

    Args:
        path: the archive.
        max_bytes: most bytes that a file may have when it is unpacked.

    Raises:
        InvalidRequest: it is no ZIP file, or one with more files than the short form can hold.
    """
    _refuse_long_form(path)
    try:
        archive = zipfile.ZipFile(path)
    except _UNREADABLE as error:
        raise InvalidRequest("The archive is not a valid ZIP file.") from error
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    # Some tools of Windows write its own mark between folders.
    return {entry.filename.replace("\\", "/"): partial(_read, archive, entry, max_bytes) for entry in entries}


def _refuse_long_form(path: Path) -> None:
    """The form for more than 65,534 files could make the library read a list that fills the memory."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _MAX_COMMENT - _END_BYTES - _LOCATOR_BYTES))
        tail = file.read()
    end = tail.rfind(_END)
    if end >= _LOCATOR_BYTES and tail[end - _LOCATOR_BYTES : end].startswith(_LOCATOR):
        raise InvalidRequest("The archive is in the ZIP64 format; send at most 65,534 files and 4 GB.")


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, max_bytes: int) -> bytes:
    if entry.compress_type not in _BOUNDED:
        method = _OTHERS.get(entry.compress_type, "another method")
        raise InvalidImage(f"The file cannot be extracted: compress it with deflate instead of {method}.")
    try:
        with archive.open(entry) as file:
            data = file.read(max_bytes + 1)
    except _UNREADABLE as error:
        raise InvalidImage("The file cannot be extracted: the archive is damaged.") from error
    if len(data) > max_bytes:
        raise ImageTooLarge(f"The file has more than {max_bytes} bytes.")
    return data
