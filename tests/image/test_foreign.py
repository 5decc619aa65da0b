"""What is sent in place of an image is named in the refusal."""

import pytest

from predictor.errors import UnsupportedImage
from predictor.image.decode import Limits, decode
from predictor.image.foreign import describe

SENT = {
    "HEIC": b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(50),
    "JPEG XL": b"\xff\x0a" + bytes(50),
    "PDF": b"%PDF-1.7\n%\xe2\xe3",
    "SVG": b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "HTML": b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>403 Forbidden</body></html>",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
    "ZIP": b"PK\x03\x04" + bytes(50),
}


@pytest.mark.parametrize("name", SENT)
def test_named(name: str) -> None:
    """Each is refused by its name, with the formats that are taken."""
    with pytest.raises(UnsupportedImage) as caught:
        decode(SENT[name], Limits())

    assert name in caught.value.detail
    assert "JPEG, PNG" in caught.value.detail


@pytest.mark.parametrize(
    "data", [b"", b"text", b"<", b"<svgfoo>", bytes(2000), b"\xff" * 2000, b"<!--" * 500, b"<!---->" * 100]
)
def test_unknown(data: bytes) -> None:
    """Other bytes get no name."""
    assert describe(data) is None
