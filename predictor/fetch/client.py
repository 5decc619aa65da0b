"""URL -> bytes, safely: permitted addresses only, one deadline, one byte limit. The only user of requests.

The check of the address sits in urllib3's connection class, where host and port are what is really connected.
The URL is never rewritten, so Host, SNI and the name in the certificate are the URL's.
"""

import contextlib
import functools
import http.client
import re
import ssl
from collections.abc import Iterator, Mapping
from urllib.parse import urljoin, urlsplit

import requests
import urllib3.exceptions
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool

from predictor.errors import (
    FetchBlocked,
    FetchError,
    FetchFailed,
    FetchTimeout,
    ImageTooLarge,
    InvalidRequest,
)
from predictor.fetch.addresses import AllowList, is_host
from predictor.fetch.dial import BLOCKED, LATE, Deadline, Dialer, Resolve, system_answers
from predictor.fetch.transport import Dial, connection_pool, tls_context

MAX_URL_CHARACTERS = 2048
MAX_REDIRECTS = 3
CHUNK_BYTES = 65_536
REDIRECTS = frozenset({301, 302, 303, 307, 308})
HEADERS = {
    "User-Agent": "image-prediction-api",
    "Accept": "image/*,*/*;q=0.5",
    "Accept-Encoding": "identity",
    "Connection": "close",
}

INVALID = f"The image URL is not a valid http or https URL of at most {MAX_URL_CHARACTERS} characters."
MISDIRECTED = "The server of the image URL redirected to an invalid URL."
LOST = f"The server of the image URL redirected more than {MAX_REDIRECTS} times."
UNTRUSTED = (
    "No secure connection to the server of the image URL: its certificate or TLS version is not accepted."
)
BROKEN = "The server of the image URL closed the connection early or sent an invalid HTTP response."
COMPRESSED = "The server of the image URL sent a compressed body, which is not accepted."
EMPTY = "The server of the image URL sent an empty body."

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*):(?://(?P<authority>[^/?#]*))?", re.IGNORECASE)
_FOREIGN = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,  # with ssl.SSLError
    ValueError,  # with UnicodeError
)
_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)


class Fetcher:
    """Downloads pictures; one instance serves any number of threads and keeps nothing between downloads.

    Args:
        allow: hosts or networks that may be reached although they are not public, or on another port.
        seconds: time for one download: lookup, connection, redirects and body together.
        max_bytes: largest body.
        ca_file: PEM file of the trusted authorities; by default the bundle that requests uses.
        resolve: gives the addresses of a host; by default the system's resolver.

    Raises:
        ConfigError: an entry of `allow` cannot be used.
    """

    def __init__(
        self,
        *,
        allow: tuple[str, ...] = (),
        seconds: float = 10.0,
        max_bytes: int = 20_000_000,
        ca_file: str | None = None,
        resolve: Resolve = system_answers,
    ) -> None:
        self._dialer = Dialer(AllowList.parse(allow), resolve)
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._context = tls_context(ca_file or DEFAULT_CA_BUNDLE_PATH)

    def fetch(self, url: str) -> bytes:
        """The body at `url`.

        Raises:
            InvalidRequest: `url` is no http or https URL, or too long.
            FetchBlocked: its scheme, port, user part or address is not permitted, here or after a redirect.
            FetchTimeout: the time was over before the body was complete.
            FetchFailed: no server, no trusted certificate, no status 200, or no complete, uncompressed body.
            ImageTooLarge: the body has more bytes than allowed.
        """
        request = _prepared(url)
        with Deadline(self._seconds) as deadline:
            for _ in range(1 + MAX_REDIRECTS):
                with self._opened(request, deadline) as response:
                    location = response.headers.get("Location")
                    if not location or response.status_code not in REDIRECTS:
                        return self._body(response, deadline)
                request = _redirected(request, location)
        raise FetchFailed(LOST)

    def close(self) -> None:
        """Nothing is held between downloads; an owner may close this like its other resources."""

    @contextlib.contextmanager
    def _opened(self, request: requests.PreparedRequest, deadline: Deadline) -> Iterator[requests.Response]:
        # An adapter without a Session knows no environment, no .netrc, no proxies and no cookie jar.
        adapter = _Adapter(functools.partial(self._dialer.dial, deadline), self._context)
        with _translated(deadline), contextlib.closing(adapter):
            response = adapter.send(request, stream=True, timeout=deadline.remaining())
            with contextlib.closing(response):
                deadline.check()  # a head that broke off when its connection was shut passes for a whole one
                yield response

    def _body(self, response: requests.Response, deadline: Deadline) -> bytes:
        _check_answer(response)
        self._check_size(response.raw.length_remaining or 0)
        body = bytearray()
        for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
            body += chunk
            self._check_size(len(body))
        deadline.check()  # a body without a stated length seems complete when its connection is shut
        if not body:
            raise FetchFailed(EMPTY)
        return bytes(body)

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise ImageTooLarge(f"The image has more than {self._max_bytes} bytes.")


def _prepared(url: str) -> requests.PreparedRequest:
    _check_text(url)
    parts = _URL.match(url)
    if parts is None:
        raise InvalidRequest(INVALID)
    if parts["scheme"].lower() not in {"http", "https"} or "@" in (parts["authority"] or ""):
        raise FetchBlocked(BLOCKED)
    try:
        request = requests.Request("GET", url, headers=HEADERS).prepare()
        host = urlsplit(str(request.url)).hostname
    except (requests.RequestException, ValueError) as error:
        raise InvalidRequest(INVALID) from error
    if host is None or not is_host(host):
        raise InvalidRequest(INVALID)
    return request


def _check_text(url: str) -> None:
    if len(url) > MAX_URL_CHARACTERS or not url.isprintable() or " " in url or "\\" in url:
        raise InvalidRequest(INVALID)


def _redirected(request: requests.PreparedRequest, location: str) -> requests.PreparedRequest:
    try:
        text = location.encode("latin-1").decode()  # headers are read as Latin-1, but written as UTF-8
        _check_text(text)  # before urljoin, which drops line ends and tabs
        return _prepared(urljoin(str(request.url), text))
    except (InvalidRequest, ValueError) as error:
        raise FetchFailed(MISDIRECTED) from error


def _check_answer(response: requests.Response) -> None:
    if response.status_code != 200:
        raise FetchFailed(f"The server of the image URL answered with status {response.status_code}.")
    if _is_coded(response.headers, "Content-Encoding", "identity"):
        raise FetchFailed(COMPRESSED)
    if _is_coded(response.headers, "Transfer-Encoding", "chunked"):
        raise FetchFailed(COMPRESSED)


def _is_coded(headers: Mapping[str, str], name: str, plain: str) -> bool:
    return headers.get(name, plain).strip().lower() not in {plain, ""}


@contextlib.contextmanager
def _translated(deadline: Deadline) -> Iterator[None]:
    try:
        yield
    except _FOREIGN as error:
        raise _translation(error, deadline) from error


def _translation(error: Exception, deadline: Deadline) -> FetchError:
    if deadline.expired or isinstance(error, _TIMEOUTS):
        return FetchTimeout(LATE)
    if isinstance(error, requests.exceptions.SSLError):
        return FetchFailed(UNTRUSTED)
    return FetchFailed(BROKEN)


class _Adapter(HTTPAdapter):
    """Sends one request over a connection made by `dial`, with TLS as `context` verifies it."""

    def __init__(self, dial: Dial, context: ssl.SSLContext) -> None:
        super().__init__()
        self.poolmanager.pool_classes_by_scheme = {}  # no way to connect but the one below
        self._dial = dial
        self._context = context
        self._pool: HTTPConnectionPool | None = None

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *_: object, **__: object
    ) -> ConnectionPool:
        url = urlsplit(str(request.url))
        self._pool = connection_pool(url.scheme, str(url.hostname), url.port, self._dial, self._context)
        return self._pool

    def cert_verify(self, *_: object) -> None:
        """Leave the pool as it is: its context verifies, and loading the authorities anew is slow."""

    def close(self) -> None:
        super().close()
        if self._pool is not None:
            self._pool.close()
