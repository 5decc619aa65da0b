"""What bytes are that people send in place of an image that can be opened, so that a refusal can name it."""

import re

_MARKS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"version https://git-lfs", "a Git LFS pointer: the file itself was not downloaded (git lfs pull)"),
)
_TEXTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (
        re.compile(
            rb"(?:<\?xml[^>]*>|<!--.*?-->|<!doctype svg[^>]*>|\s)*+<svg[\s>]", re.DOTALL | re.IGNORECASE
        ),
        "an SVG drawing",
    ),
    (
        re.compile(rb"(?:<!--.*?-->|\s)*+<(?:!doctype html|html|head|body)[\s>]", re.DOTALL | re.IGNORECASE),
        "a web page (HTML)",
    ),
)
# Brands of the container that AVIF uses as well (ISO/IEC 23008-12, annex B).
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_LOOKED_AT = 1024


def describe(data: bytes) -> str | None:
    """What the first bytes say that the data is, with its article; None if that is not known."""
    begin = data[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf")
    if begin[4:8] == b"ftyp" and begin[8:12] in _HEIC:
        return "a HEIC image, the format of iPhones"
    for mark, name in _MARKS:
        if begin.startswith(mark):
            return name
    return next((name for pattern, name in _TEXTS if pattern.match(begin)), None)
