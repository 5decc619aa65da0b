"""Files that are no image of an accepted format are called what they are."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.errors import InvalidImage, UnsupportedImage
from predictor.image.decode import Limits, decode
from predictor.image.kinds import describe, explain, is_text

Encode = Callable[..., bytes]
Pixels = npt.NDArray[np.uint8]


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("cat.jpg", b"cat")
    return out.getvalue()


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("cat.jpg"))
    return out.getvalue()


SENT = {
    "HEIC": b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(50),
    "iPhones": b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(50),
    "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0mif1avif" + bytes(50),
    "an AVIF": b"\0\0\0\x1cftypmif1\0\0\0\0miafavif" + bytes(50),
    "JPEG XL": b"\xff\x0a" + bytes(50),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50),
    "TIFF": b"II*\0\x08\0\0\0" + bytes(50),
    "CR2": b"II*\0\x10\0\0\0CR\x02\0" + bytes(50),
    "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1" + bytes(50),
    "RAF": b"FUJIFILMCCD-RAW 0201" + bytes(50),
    "ICO": b"\0\0\1\0\1\0" + bytes(50),
    "PSD": b"8BPS\0\1" + bytes(50),
    "DICOM": bytes(128) + b"DICM" + bytes(50),
    "PDF": b"%PDF-1.7\n%\xe2\xe3",
    "PNM": b"P6\n4 4\n255\n" + bytes(48),
    "SVG": b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "HTML": b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>403 Forbidden</body></html>",
    "XML": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "XML, perhaps": b"<h1>Not found</h1>",
    "JSON": b'{"error": "not found"}',
    "text": b"Not found",
    "a URL": b"https://example.com/cat.jpg\n",
    "zero bytes": bytes(3000),
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
    "ZIP": _zip(),
    "GZIP": gzip.compress(b"cat"),
    "TAR": _tar(),
    "MP4": b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(50),
    "MOV": b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(50),
    "Matroska": b"\x1aE\xdf\xa3" + bytes(50),
    "AVI": b"RIFF\x10\0\0\0AVI LIST" + bytes(50),
    "macOS": b"\0\x05\x16\x07\0\2\0\0Mac OS X" + bytes(50),
    "NumPy": b"\x93NUMPY\1\0v\0" + bytes(50),
}


@pytest.mark.parametrize("name", SENT)
def test_named(name: str) -> None:
    """Each is refused by its name, with the formats that are taken."""
    with pytest.raises(UnsupportedImage) as caught:
        decode(SENT[name], Limits(formats=("JPEG", "PNG")))

    assert name in caught.value.detail
    assert "JPEG, PNG" in caught.value.detail


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("encoding", "errors"), [("utf-8", "replace"), ("latin-1", "strict")])
def test_decoded_as_text(kind: str, encoding: str, errors: str, smooth: Pixels, encode: Encode) -> None:
    """An image whose bytes a program took for text and sent in UTF-8 is called that."""
    data = encode(Image.fromarray(smooth), kind).decode(encoding, errors).encode()

    with pytest.raises((InvalidImage, UnsupportedImage), match="decoded as text on their way"):
        decode(data, Limits())


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_question_marks(kind: str, smooth: Pixels, encode: Encode) -> None:
    """So is one with question marks for all that is not ASCII, as PowerShell writes it."""
    data = encode(Image.fromarray(smooth), kind).decode("latin-1").encode("ascii", "replace")

    assert "decoded as text" in explain(data)


def test_line_ends(smooth: Pixels, encode: Encode) -> None:
    """A PNG whose line ends a transfer in text mode changed is called that."""
    data = encode(Image.fromarray(smooth), "PNG").replace(b"\r\n", b"\n")

    assert "PNG image whose line ends were changed" in explain(data)


def test_not_accepted() -> None:
    """An image of a format that is switched off is called by its format."""
    with pytest.raises(UnsupportedImage, match=r"^This is a JPEG image\. .*: PNG\.$"):
        decode(b"\xff\xd8\xff\xe0" + bytes(50), Limits(formats=("PNG",)))


def test_empty() -> None:
    """An empty file is told so, with what to check."""
    with pytest.raises(InvalidImage, match=r"The image is empty; check"):
        decode(b"", Limits())


@pytest.mark.parametrize(
    "data", [b"", b"text", b"<", b"<svgfoo>", bytes(2000), b"\xff" * 2000, b"<!--" * 500, b"<!---->" * 100]
)
def test_unknown(data: bytes) -> None:
    """Other bytes get no name."""
    assert describe(data) is None


@pytest.mark.parametrize(
    "secret", [b"secret", b'{"secret": 1}', b"<p>secret", b"secret\xff\0", b"%PDF-secret"]
)
def test_no_echo(secret: bytes) -> None:
    """No sentence repeats any of the bytes."""
    assert "secret" not in explain(secret)


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", False), (b"a\r\n\tb", True), ("ä".encode() * 1023, True), (b"a\0", False), (b"\xffa", False)],
)
def test_text(data: bytes, expected: bool) -> None:
    """Text is UTF-8 without control characters, wherever the part that is looked at ends."""
    assert is_text(data) is expected
