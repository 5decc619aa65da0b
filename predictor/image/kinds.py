"""Which kind of file bytes are that are not opened as an image, and what to do about it.

No sentence repeats any of the bytes.
"""

import codecs
import re

DECODED = (
    "These bytes were decoded as text on their way, which no image survives; read and send the file as bytes."
)
"""The sentence on bytes for which `was_decoded` holds."""

_LOOKED_AT = 1024
_CONVERT = "convert it"
_EXPORT = "export it from the program that made it"
_DEVELOP = "a camera's raw image; develop it first"
_UNPACK = "unpack it first"
_FRAME = "send one of its frames"
_NOT_AN_IMAGE = "not an image; check what the file holds"

# Offset, bytes there, and what the data is, with its article and what to do.
_MARKS: tuple[tuple[int, bytes, str], ...] = (
    # Raw images of cameras are containers of other formats: these stand before those.
    (8, b"CR\x02", f"a CR2 file, {_DEVELOP}"),
    (0, b"IIU\0", f"an RW2 file, {_DEVELOP}"),
    (0, b"IIRO", f"an ORF file, {_DEVELOP}"),
    (0, b"IIRS", f"an ORF file, {_DEVELOP}"),
    (0, b"MMOR", f"an ORF file, {_DEVELOP}"),
    (0, b"FUJIFILMCCD-RAW", f"a RAF file, {_DEVELOP}"),
    (0, b"FOVb", f"an X3F file, {_DEVELOP}"),
    (0, b"\0MRM", f"an MRW file, {_DEVELOP}"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\x89PNG", "a PNG image whose line ends were changed on its way; copy and send it in binary mode"),
    (0, b"GIF87a", "a GIF image"),
    (0, b"GIF89a", "a GIF image"),
    (0, b"II*\0", f"a TIFF image; {_CONVERT}"),
    (0, b"MM\0*", f"a TIFF image; {_CONVERT}"),
    (0, b"II+\0", f"a BigTIFF image; {_CONVERT}"),
    (0, b"MM\0+", f"a BigTIFF image; {_CONVERT}"),
    (0, b"\xff\x0a", f"a JPEG XL image; {_CONVERT}"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", f"a JPEG XL image; {_CONVERT}"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", f"a JPEG 2000 image; {_CONVERT}"),
    (0, b"\xff\x4f\xff\x51", f"a JPEG 2000 image; {_CONVERT}"),
    (0, b"II\xbc", f"a JPEG XR image; {_CONVERT}"),
    (0, b"8BPS", f"a Photoshop document (PSD); {_EXPORT}"),
    (0, b"gimp xcf", f"a GIMP document (XCF); {_EXPORT}"),
    (0, b"%!PS", f"a PostScript document; {_EXPORT}"),
    (0, b"\xc5\xd0\xd3\xc6", f"a PostScript document (EPS); {_EXPORT}"),
    (0, b"\xd7\xcd\xc6\x9a", f"a Windows metafile (WMF); {_EXPORT}"),
    (40, b" EMF", f"a Windows metafile (EMF); {_EXPORT}"),
    (0, b"\0\0\1\0", f"a Windows icon (ICO); {_CONVERT}"),
    (0, b"\0\0\2\0", f"a Windows cursor (CUR); {_CONVERT}"),
    (0, b"icns", f"a macOS icon (ICNS); {_CONVERT}"),
    (0, b"DDS ", f"a DDS texture; {_CONVERT}"),
    (0, b"qoif", f"a QOI image; {_CONVERT}"),
    (0, b"v/1\x01", f"an OpenEXR image; {_CONVERT}"),
    (0, b"#?RADIANCE", f"a Radiance HDR image; {_CONVERT}"),
    (0, b"SIMPLE  =", f"a FITS image; {_CONVERT}"),
    (128, b"DICM", f"a DICOM image; {_CONVERT}"),
    (0, b"AT&TFORM", f"a DjVu document; {_EXPORT}"),
    (0, b"%PDF-", "a PDF document; send a page of it as an image"),
    (0, b"\x1aE\xdf\xa3", f"a video (Matroska or WebM); {_FRAME}"),
    (0, b"FLV\1", f"a video (FLV); {_FRAME}"),
    (0, b"\0\0\1\xba", f"a video (MPEG); {_FRAME}"),
    (0, b"\0\0\1\xb3", f"a video (MPEG); {_FRAME}"),
    (0, b"0&\xb2u\x8ef\xcf\x11", f"a video (WMV); {_FRAME}"),
    (0, b"ID3", f"a sound file (MP3), {_NOT_AN_IMAGE}"),
    (0, b"OggS", f"a sound or video file (Ogg), {_NOT_AN_IMAGE}"),
    (0, b"fLaC", f"a sound file (FLAC), {_NOT_AN_IMAGE}"),
    (0, b"PK\x03\x04", f"a ZIP archive; {_UNPACK}"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"\x1f\x8b", f"a GZIP archive; {_UNPACK}"),
    (0, b"BZh", f"a BZIP2 archive; {_UNPACK}"),
    (0, b"\xfd7zXZ\0", f"an XZ archive; {_UNPACK}"),
    (0, b"(\xb5/\xfd", f"a Zstandard archive; {_UNPACK}"),
    (0, b"7z\xbc\xaf\x27\x1c", f"a 7-Zip archive; {_UNPACK}"),
    (0, b"Rar!\x1a\x07", f"a RAR archive; {_UNPACK}"),
    (257, b"ustar", f"a TAR archive; {_UNPACK}"),
    (0, b"version https://git-lfs", "a Git LFS pointer: the file itself was not downloaded (git lfs pull)"),
    (0, b"\0\x05\x16\x07", "a macOS metadata file (its name begins with ._); send the file beside it"),
    (0, b"\x93NUMPY", "a NumPy array; encode it as PNG or JPEG"),
    (0, b"\x89HDF\r\n\x1a\n", f"an HDF5 file, {_NOT_AN_IMAGE}"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"an old Office document, {_NOT_AN_IMAGE}"),
    (0, b"SQLite format 3\0", f"an SQLite database, {_NOT_AN_IMAGE}"),
    (0, b"\x7fELF", f"a program, {_NOT_AN_IMAGE}"),
    (0, b"MZ\x90\0", f"a program, {_NOT_AN_IMAGE}"),
)
_HEIC = "a HEIC image, as iPhones make them; share it as JPEG, or set the camera to Most Compatible"
# Brands of the container of AVIF, HEIC and videos (ISO/IEC 14496-12 and 23008-12), by their beginnings, the
# more telling ones first.
_BRANDS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    ((b"avif", b"avis"), f"an AVIF image; {_CONVERT}"),
    ((b"hei", b"hev"), _HEIC),
    ((b"crx ",), f"a CR3 file, {_DEVELOP}"),
    ((b"jxl ",), f"a JPEG XL image; {_CONVERT}"),
    ((b"M4A", b"M4B", b"F4A"), f"a sound file (M4A), {_NOT_AN_IMAGE}"),
    # Of an image whose codec no brand names.
    ((b"mif1", b"msf1", b"miaf"), _HEIC),
    ((b"",), f"a video (MP4 or MOV); {_FRAME}"),
)
_BEFORE = rb"(?:<\?xml[^>]*>|<!--.*?-->|\s)*+"
_PATTERNS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), "a BMP image"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "a WebP image"),
    (re.compile(rb"RIFF.{4}AVI ", re.DOTALL), f"a video (AVI); {_FRAME}"),
    (re.compile(rb"RIFF.{4}WAVE", re.DOTALL), f"a sound file (WAV), {_NOT_AN_IMAGE}"),
    (re.compile(rb"\0.{3}(?:moov|mdat|wide|free|skip|pnot)", re.DOTALL), f"a video (MOV); {_FRAME}"),
    (
        re.compile(
            rb"(?:<\?xml[^>]*>|<!--.*?-->|<!doctype svg[^>]*>|\s)*+<svg[\s>]", re.DOTALL | re.IGNORECASE
        ),
        "an SVG drawing; export it as PNG",
    ),
    (
        re.compile(_BEFORE + rb"<(?:!doctype html|html|head|body)[\s>]", re.DOTALL | re.IGNORECASE),
        "a web page (HTML), perhaps an error or login page that was saved as an image",
    ),
    (re.compile(rb"<\?xml\s", re.IGNORECASE), "an XML document, perhaps an error that was saved as an image"),
    (re.compile(rb"P[1-7][\s#]"), f"a PNM image; {_CONVERT}"),
)
_CONTENTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\0{16,}\Z"), "a file of zero bytes: it was not written or copied completely"),
    (re.compile(rb'\s*(?:\{\s*["}]|\[\s*["{\[\]\d-])'), "JSON, perhaps an error that was saved as an image"),
    (re.compile(rb"\s*(?:https?|s3|gs|file)://\S", re.IGNORECASE), "a URL; send it as image_url"),
    (re.compile(rb"\s*<[a-z!?]", re.IGNORECASE), "HTML or XML, perhaps an error that was saved as an image"),
)
_BINARY = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def describe(data: bytes) -> str | None:
    """What kind of file the first bytes announce, with its article and what to do; None if unknown."""
    begin = _begin(data)
    if begin[4:8] == b"ftyp":
        return _container(begin)
    for offset, mark, what in _MARKS:
        if begin.startswith(mark, offset):
            return what
    return _matching(_PATTERNS, begin)


def _container(begin: bytes) -> str:
    """What a file is by its major brand or else by one that it is compatible with."""
    box = begin[: int.from_bytes(begin[:4])]
    brands = [begin[8:12], *(box[place : place + 4] for place in range(16, len(box), 4))]
    return next(what for known, what in _BRANDS if any(brand.startswith(known) for brand in brands))


def explain(data: bytes) -> str:
    """A sentence on what the bytes are, if they are no image of a known format."""
    begin = _begin(data)
    if what := describe(data) or _matching(_CONTENTS, begin):
        return f"This is {what}."
    if is_text(begin):
        return "This is text, not an image."
    if was_decoded(begin):
        return DECODED
    return "The bytes are not an image of a known format."


def is_text(data: bytes) -> bool:
    """Whether the first bytes are text in UTF-8."""
    begin = data[:_LOOKED_AT]
    return bool(begin) and not _BINARY.search(begin) and _is_utf8(begin)


def _is_utf8(begin: bytes) -> bool:
    try:
        # A letter of several bytes may be cut at the end.
        codecs.getincrementaldecoder("utf-8")().decode(begin)
    except UnicodeDecodeError:
        return False
    return True


def was_decoded(data: bytes) -> bool:
    """Whether bytes that are no text were made one: letters or marks stand where bytes over 127 were."""
    begin = data[:_LOOKED_AT]
    return _is_utf8(begin) and (begin[:1] == b"?" or not begin.isascii())


def _begin(data: bytes) -> bytes:
    return data[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf")


def _matching(patterns: tuple[tuple[re.Pattern[bytes], str], ...], begin: bytes) -> str | None:
    return next((what for pattern, what in patterns if pattern.match(begin)), None)
