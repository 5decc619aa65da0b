"""What a server is asked for and what it sent: compressed or not, an image or something else, by its bytes.

Compressed bodies are inflated piece by piece, so that a limit of bytes holds for what comes out.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from predictor import __version__
from predictor.config import Settings
from predictor.errors import FetchFailed

AGENT = f"image-prediction-api/{__version__}"
PIECE_BYTES = 65_536
MAX_MEMBERS = 1000
"""Most gzip streams one after the other in a body; block gzip has one for each 64 kB."""

COMPRESSED = (
    "The server of the image URL sent a body compressed with {}, which is not accepted; gzip and deflate are."
)
TWICE = "The server of the image URL sent a body that is compressed more than once, which is not accepted."
TRANSFER = (
    "The server of the image URL sent a body with a compressed transfer encoding, which is not accepted."
)
DAMAGED = "The server of the image URL sent a damaged compressed body."
CUT = "The server of the image URL sent a compressed body that is incomplete."
STREAM = (
    "The server of the image URL sends a stream of images (multipart/x-mixed-replace), not one image; give "
    "the URL of a single image."
)
MEDIA = "The server of the image URL sent {}, not an image."
PAGE = (
    "The server of the image URL sent a web page (text/html), not an image; give the URL of the image itself."
)

_MEDIA_TYPES = {"HEIF": "image/heic,image/heif", "JPEG2000": "image/jp2", "ICO": "image/x-icon"}
_INFLATED = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
# What IANA's registry has besides these; other names, such as S3's aws-chunked, say nothing of the bytes.
_REFUSED = {
    "br": "Brotli (br)",
    "zstd": "Zstandard (zstd)",
    "compress": "compress",
    "x-compress": "compress",
    "dcb": "Brotli (dcb)",
    "dcz": "Zstandard (dcz)",
    "exi": "EXI",
    "pack200-gzip": "Pack200",
}
# A host name with a domain, and not under one of those that networks use inside.
_PUBLIC_NAME = re.compile(
    r"[\w-]+(\.[\w-]+)*\.(?!(?:arpa|corp|home|internal|intranet|lan|local|localhost|private|svc)$)[a-z][\w-]+",
    re.ASCII,
)
_GZIP = b"\x1f\x8b"
LOOKED_AT = 1024
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_PAGE_BYTES = re.compile(
    rb"(?:<\?xml[^>]*>|<!--.*?-->|\s)*+<(?:!doctype html|html|head|body|title|meta|script|style|link|iframe"
    rb"|div|table|h[1-6]|center|form|font|img|a|b|p|br)[\s/>]",
    re.DOTALL | re.IGNORECASE,
)
_XML_BYTES = re.compile(rb"\s*<\?xml\s")
_JSON_BYTES = re.compile(rb'\s*(?:\{\s*["}]|\[\s*["{\[\]\d-])')


def user_agent(settings: Settings) -> str:
    """The User-Agent of downloads: as it is set, or the product with the first public name of the service.

    The owner of an image server reaches the operator by that name. A name that only the own network knows is
    no contact, and is not told to servers outside.
    """
    if settings.fetch_agent is not None:
        return settings.fetch_agent
    public = next((host for host in settings.trusted_hosts if _PUBLIC_NAME.fullmatch(host)), None)
    return AGENT if public is None else f"{AGENT} (+https://{public}{settings.prefix or ''}/)"


def request_headers(formats: Iterable[str] = (), agent: str | None = None) -> dict[str, str]:
    """What every request says, besides its host.

    Args:
        formats: Pillow's names of the formats that are asked for; others come as a last resort. `image/*` is
            never said, because servers take it for "decodes anything".
        agent: the User-Agent; by default the name and version of the service.
    """
    types = [_MEDIA_TYPES.get(name, f"image/{name.lower()}") for name in formats if name.isalnum()]
    return {
        "User-Agent": agent or AGENT,
        "Accept": ",".join([*types, "*/*;q=0.1"]),
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def check_type(headers: Mapping[str, str]) -> None:
    """Refuse what may have no end, before it is read.

    Raises:
        FetchFailed: a camera's stream, video or audio.
    """
    kind = _media_type(headers)
    if kind.startswith("multipart/"):
        raise FetchFailed(STREAM)
    if kind.startswith(("video/", "audio/")):
        raise FetchFailed(MEDIA.format("video or audio"))


def check_bytes(data: bytes, headers: Mapping[str, str]) -> None:
    """Refuse a document in the place of an image; an image under any type passes, as does what is not known.

    Raises:
        FetchFailed: a web page, JSON or XML, by its bytes or by its type.
    """
    begin = data[:LOOKED_AT].removeprefix(b"\xef\xbb\xbf")
    kind = _media_type(headers)
    if _BINARY.search(begin):
        return
    if _PAGE_BYTES.match(begin):
        raise FetchFailed(PAGE)
    if b"<svg" in begin.lower():
        return  # the decoder names it
    if kind in {"text/html", "application/xhtml+xml"}:
        raise FetchFailed(PAGE)
    if _JSON_BYTES.match(begin) or kind.endswith(("/json", "+json")):
        raise FetchFailed(MEDIA.format("JSON"))
    if _XML_BYTES.match(begin) or (kind.endswith(("/xml", "+xml")) and not kind.startswith("image/")):
        raise FetchFailed(MEDIA.format("XML"))


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def coding_of(headers: Mapping[str, str]) -> str | None:
    """How a body is compressed: `gzip`, `deflate` or not at all.

    Raises:
        FetchFailed: in another way, or more than once.
    """
    if headers.get("Transfer-Encoding", "chunked").strip().lower() not in {"chunked", ""}:
        raise FetchFailed(TRANSFER)
    names = [name.strip().lower() for name in headers.get("Content-Encoding", "").split(",")]
    known = [name for name in names if name in _INFLATED or name in _REFUSED]
    for name in known:
        if name in _REFUSED:
            raise FetchFailed(COMPRESSED.format(_REFUSED[name]))
    if len(known) > 1:
        raise FetchFailed(TWICE)
    return _INFLATED[known[0]] if known else None


def inflated(chunks: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """A compressed body's bytes, in pieces of at most 64 kB; what stands behind its end is passed over.

    Args:
        chunks: the body as it comes.
        coding: `gzip` (RFC 1952), or `deflate`: zlib (RFC 1950), or raw (RFC 1951) as some servers send it.

    Raises:
        FetchFailed: the body is damaged or incomplete, or has more than 1000 gzip streams.
    """
    inflater = _Inflater(coding)
    for chunk in chunks:
        try:
            yield from inflater.feed(chunk)
        except zlib.error as error:
            raise FetchFailed(DAMAGED) from error
    if not inflater.complete:
        raise FetchFailed(CUT)


class _Stream(Protocol):
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Inflater:
    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: _Stream | None = None
        self._held = b""
        self._members = 0
        self._over = False

    @property
    def complete(self) -> bool:
        """Whether what came so far is whole; nothing at all is, too."""
        return self._stream is None and (self._members > 0 or not self._held)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Inflate what came next."""
        data, self._held = self._held + chunk, b""
        while data and not self._over:
            if self._stream is None:
                if len(data) < 2:  # two bytes tell what begins here
                    self._held = data
                    return
                self._stream = self._begun(data)
            if self._stream is not None:
                yield from _pieces(self._stream, data)
                data = self._stream.unused_data
                self._stream = None if self._stream.eof else self._stream

    def _begun(self, data: bytes) -> _Stream | None:
        """What inflates the stream that begins with these bytes; None behind the end."""
        zipped = self._coding == "gzip"
        if self._members and not (zipped and data.startswith(_GZIP)):
            self._over = True
            return None
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise zlib.error
        if zipped:
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        # A zlib header's two bytes are a multiple of 31, and its method is 8 (RFC 1950 section 2.2).
        wrapped = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
        return zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


def _pieces(stream: _Stream, data: bytes) -> Iterator[bytes]:
    full = True
    while (data or full) and not stream.eof:
        piece = stream.decompress(data, PIECE_BYTES)
        data, full = stream.unconsumed_tail, len(piece) == PIECE_BYTES
        yield piece
