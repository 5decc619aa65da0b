"""Bodies are inflated within bounds, and documents in the place of an image are named."""

import gzip
import zlib
from collections.abc import Callable, Iterator

import pytest

from predictor.errors import FetchFailed
from predictor.fetch import content

IMAGE = bytes(range(256)) * 1000


def raw(data: bytes) -> bytes:
    """A deflate stream without a header, as some servers send it."""
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


MAKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw),
}


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Data as it may come."""
    return (data[start : start + size] for start in range(0, len(data), size))


def inflate(data: bytes, coding: str, size: int = 65536) -> bytes:
    """All that comes out, no piece of it longer than it may be."""
    out = list(content.inflated(pieces(data, size), coding))
    assert max(map(len, out), default=0) <= content.PIECE_BYTES
    return b"".join(out)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("size", [1, 7, 65536])
def test_inflated(name: str, size: int) -> None:
    """Each coding gives the bytes that were compressed, however they come."""
    coding, made = MAKERS[name]
    assert inflate(made(IMAGE), coding, size) == IMAGE


@pytest.mark.parametrize("name", MAKERS)
def test_bomb(name: str) -> None:
    """Zeros by the megabyte come in small pieces; whoever counts them can stop."""
    coding, made = MAKERS[name]
    assert inflate(made(bytes(5_000_000)), coding) == bytes(5_000_000)


@pytest.mark.parametrize("size", [1, 65536])
def test_members(size: int) -> None:
    """Several gzip streams one after the other are one body."""
    body = gzip.compress(IMAGE) + gzip.compress(b"") + gzip.compress(b"end")
    assert inflate(body, "gzip", size) == IMAGE + b"end"


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("rubbish", [b"\0", bytes(600), b"cat", b"\x1f"])
@pytest.mark.parametrize("size", [1, 65536])
def test_bytes_behind_the_end(name: str, rubbish: bytes, size: int) -> None:
    """What stands behind the end of the stream is passed over."""
    coding, made = MAKERS[name]
    assert inflate(made(IMAGE) + rubbish, coding, size) == IMAGE


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("left", [1, 2, 100, -20, -1])
def test_cut(name: str, left: int) -> None:
    """A stream that ends too early is no body."""
    coding, made = MAKERS[name]
    with pytest.raises(FetchFailed, match="compressed body"):
        inflate(made(IMAGE)[:left], coding)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("data", [IMAGE, b"\xff\xd8\xff\xe0" + IMAGE, b"\x1f\x8b" + IMAGE, b"x\x9c" + IMAGE])
def test_damaged(coding: str, data: bytes) -> None:
    """Bytes that are not what the header says are a damaged body."""
    with pytest.raises(FetchFailed, match=r"damaged compressed body|incomplete"):
        inflate(data, coding)


def test_dictionary() -> None:
    """A stream that needs a dictionary of its sender cannot be read."""
    deflate = zlib.compressobj(zdict=b"cat")
    with pytest.raises(FetchFailed, match="damaged"):
        inflate(deflate.compress(IMAGE) + deflate.flush(), "deflate")


def test_too_many_members() -> None:
    """Streams without content could go on for ever."""
    with pytest.raises(FetchFailed, match="damaged"):
        inflate(gzip.compress(b"") * (content.MAX_MEMBERS + 1), "gzip")


def test_nothing() -> None:
    """An empty body stays one."""
    assert inflate(b"", "gzip") == b""


@pytest.mark.parametrize(
    ("named", "coding"),
    [
        ("", None),
        ("identity", None),
        ("none", None),
        ("utf-8", None),
        ("aws-chunked", None),
        ("binary, cat", None),
        ("gzip", "gzip"),
        ("X-GZIP", "gzip"),
        ("aws-chunked, gzip", "gzip"),
        ("gzip, identity", "gzip"),
        ("Deflate", "deflate"),
    ],
)
def test_coding(named: str, coding: str | None) -> None:
    """What is no registered coding says nothing about the bytes."""
    assert content.coding_of({"Content-Encoding": named}) == coding


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("br", "Brotli"),
        ("zstd", "Zstandard"),
        ("compress", "compress"),
        ("gzip, br", "Brotli"),
        ("gzip, gzip", "more than once"),
        ("deflate, aws-chunked, gzip", "more than once"),
        (", ".join(["gzip"] * 10), "more than once"),
    ],
)
def test_refused_coding(named: str, sentence: str) -> None:
    """Other codings, and several in a row, are refused by name."""
    with pytest.raises(FetchFailed, match=sentence):
        content.coding_of({"Content-Encoding": named})


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("multipart/x-mixed-replace; boundary=frame", "stream of images"),
        ("Multipart/Mixed", "stream of images"),
        ("video/mp4", "video or audio"),
        ("audio/mpeg", "video or audio"),
    ],
)
def test_stream(kind: str, sentence: str) -> None:
    """What may have no end is refused before it is read."""
    with pytest.raises(FetchFailed, match=sentence):
        content.check_type({"Content-Type": kind})


PAGES = [
    b"<!DOCTYPE html><html>",
    b"\xef\xbb\xbf \r\n<!doctype HTML PUBLIC>",
    b"<html><body>Please log in</body></html>",
    b"<!-- a comment --> <head>",
    b'<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml">',
    b"<script>location = '/login'</script>",
    b'<!doctype html><body><svg width="1">',
]


@pytest.mark.parametrize("data", PAGES)
@pytest.mark.parametrize("kind", [None, "text/html; charset=utf-8", "image/jpeg", "application/octet-stream"])
def test_page(data: bytes, kind: str | None) -> None:
    """A web page is called one, whatever its type."""
    with pytest.raises(FetchFailed, match=r"sent a web page \(text/html\), not an image"):
        content.check_bytes(data, {"Content-Type": kind} if kind else {})


@pytest.mark.parametrize(
    ("data", "kind", "sentence"),
    [
        (b"Please log in", "text/html", "web page"),
        (b"Please log in", "Application/XHTML+XML", "web page"),
        (b'{"error": "not found"}', "image/jpeg", "JSON"),
        (b'\n[{"a": 1}]', "", "JSON"),
        (b"[1, 2]", "", "JSON"),
        (b"null", "application/json", "JSON"),
        (b"null", "application/problem+json; charset=utf-8", "JSON"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "", "XML"),
        (b"<rss></rss>", "application/rss+xml", "XML"),
        (b"<Error/>", "text/xml", "XML"),
    ],
)
def test_document(data: bytes, kind: str, sentence: str) -> None:
    """JSON and XML are called so, by their bytes or their type."""
    with pytest.raises(FetchFailed, match=f"sent .*{sentence}.*, not an image"):
        content.check_bytes(data, {"Content-Type": kind})


@pytest.mark.parametrize("kind", ["text/html", "application/json", "text/xml", "image/jpeg", ""])
@pytest.mark.parametrize(
    "data",
    [b"\xff\xd8\xff\xe0\0\x10JFIF", b"\x89PNG\r\n\x1a\n\0\0", b"GIF89a\x10\0\x10\0", b"RIFF\x10\0\0\0WEBP"],
)
def test_image_under_any_type(data: bytes, kind: str) -> None:
    """The bytes of an image count, not the type that its server gives it."""
    content.check_bytes(data, {"Content-Type": kind})


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "image/svg+xml"),
        (b'<?xml version="1.0"?><svg>', "text/xml"),
        (b"version https://git-lfs.github.com/spec/v1", "text/plain"),
        (b"%PDF-1.7", "application/pdf"),
        (b"P6 1 1 255 abc", "image/x-portable-pixmap"),
    ],
)
def test_left_to_the_decoder(data: bytes, kind: str) -> None:
    """What the decoder names better, or may open, passes."""
    content.check_bytes(data, {"Content-Type": kind})
