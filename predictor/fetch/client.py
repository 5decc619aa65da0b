"""URL -> bytes, safely: permitted addresses only, one deadline, one byte limit. The only user of requests.

The check of the address sits where urllib3 makes its socket, so that what was checked is what is connected.
The URL is never rewritten, so Host, SNI and the name in the certificate are the URL's.
"""

import contextlib
import functools
import http.client
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool

from predictor.config import Settings
from predictor.errors import FetchFailed, ImageTooLarge, InvalidRequest
from predictor.fetch import content, urls
from predictor.fetch.addresses import AllowList, is_host, tls_context
from predictor.fetch.dial import Deadline, Dialer, Resolve, system_answers
from predictor.fetch.transport import Dial, check_status, connection_pool, reusable_seconds, translation

MAX_REDIRECTS = 5
CHUNK_BYTES = 65_536
REDIRECTS = frozenset({301, 302, 303, 307, 308})

LOST = f"The server of the image URL redirected more than {MAX_REDIRECTS} times."
EMPTY = "The server of the image URL sent an empty body."

_FOREIGN = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,  # with ssl.SSLError
    ValueError,  # with UnicodeError
)


@dataclass(frozen=True)
class Download:
    """What a URL gave.

    Attributes:
        data: the body.
        reusable: for how many seconds it may stand for the URL, by the servers of the whole chain of
            redirects; None if none of them says so.
    """

    data: bytes
    reusable: int | None = None


class Fetcher:
    """Downloads images; one instance serves any number of threads and keeps nothing between downloads.

    Args:
        allow: hosts or networks that may be reached although they are not public, or on another port.
        seconds: time for one download: lookup, connection, redirects and body together.
        max_bytes: largest body, as it comes and as it is inflated.
        headers: of each request.
        ca_file: PEM file of authorities that are trusted besides those of certifi.
        resolve: gives the addresses of a host; by default the system's resolver.

    Raises:
        ConfigError: an entry of `allow`, or `ca_file`, cannot be used.
    """

    def __init__(
        self,
        *,
        allow: tuple[str, ...] = (),
        seconds: float = 10.0,
        max_bytes: int = 20_000_000,
        headers: Mapping[str, str] | None = None,
        ca_file: Path | None = None,
        resolve: Resolve = system_answers,
    ) -> None:
        self._dialer = Dialer(AllowList.parse(allow), resolve)
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._headers = headers or content.request_headers()
        self._context = tls_context(DEFAULT_CA_BUNDLE_PATH, ca_file)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """A fetcher as it is set.

        Raises:
            ConfigError: PREDICTOR_FETCH_ALLOW or PREDICTOR_FETCH_CA cannot be used.
        """
        return cls(
            allow=settings.fetch_allow,
            seconds=settings.fetch_seconds,
            max_bytes=settings.max_image_bytes,
            headers=content.request_headers(settings.formats, content.user_agent(settings)),
            ca_file=settings.fetch_ca,
        )

    def fetch(self, url: str) -> bytes:
        """The body at `url`; raises what `download` raises."""
        return self.download(url).data

    def download(self, url: str) -> Download:
        """The body at `url`, and for how long it may stand for it.

        Raises:
            InvalidRequest: `url` is no http or https URL, has a user part, or is too long.
            FetchBlocked: its port or address is not permitted, or a redirect leads to what is not permitted.
            FetchTimeout: the time was over before the body was complete.
            FetchFailed: no server, no trusted certificate, no status 200, no complete body, or no image.
            ImageTooLarge: the body has more bytes than allowed.
        """
        with Deadline(self._seconds) as deadline, self.answer(url, deadline) as (response, heads):
            stated = [seconds for head in heads if (seconds := reusable_seconds(head)) is not None]
            return Download(self._body(response, deadline), min(stated, default=None))

    @contextlib.contextmanager
    def answer(
        self, url: str, deadline: Deadline, headers: Mapping[str, str] | None = None
    ) -> Iterator[tuple[requests.Response, list[Mapping[str, str]]]]:
        """The answer behind all redirects, whose body is not read yet, and the headers of all answers.

        Args:
            url: what is asked for.
            deadline: of all of it.
            headers: sent besides, to the server of `url` and to no other that a redirect leads to.

        Raises:
            FetchError, InvalidRequest: as `download`.
        """
        request = self._prepared(urls.read(url), headers)
        heads: list[Mapping[str, str]] = []
        for _ in range(1 + MAX_REDIRECTS):
            with self._opened(request, deadline) as response:
                heads.append(response.headers)
                location = response.headers.get("Location")
                if not location or response.status_code not in REDIRECTS:
                    yield response, heads
                    return
            target = urls.joined(str(request.url), location)
            headers = headers if urls.same_server(str(request.url), target) else None
            request = self._redirected(target, headers)
        raise FetchFailed(LOST)

    def _prepared(self, url: str, headers: Mapping[str, str] | None) -> requests.PreparedRequest:
        try:
            request = requests.Request("GET", url, headers={**self._headers, **(headers or {})}).prepare()
            host = urlsplit(str(request.url)).hostname
        except (requests.RequestException, ValueError) as error:
            raise InvalidRequest(urls.HOST) from error
        if host is None or not is_host(host):
            raise InvalidRequest(urls.HOST)
        return request

    def _redirected(self, target: str, headers: Mapping[str, str] | None) -> requests.PreparedRequest:
        try:
            return self._prepared(urls.read(target), headers)
        except InvalidRequest as error:
            raise FetchFailed(urls.MISDIRECTED) from error

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
        check_status(response.status_code)
        content.check_type(response.headers)
        coding = content.coding_of(response.headers)
        chunks = self._chunks(response, deadline)
        body = bytearray()
        for piece in content.inflated(chunks, coding) if coding else chunks:
            body += piece
            self._check_size(len(body))
        if not body:
            raise FetchFailed(EMPTY)
        content.check_bytes(bytes(body[: content.LOOKED_AT]), response.headers)
        return bytes(body)

    def _chunks(self, response: requests.Response, deadline: Deadline) -> Iterator[bytes]:
        """The body as it comes."""
        self._check_size(response.raw.length_remaining or 0)
        size = 0
        for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
            size += len(chunk)
            self._check_size(size)
            yield chunk
        deadline.check()  # a body without a stated length seems complete when its connection is shut

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise ImageTooLarge(f"The image has more than {self._max_bytes} bytes.")


@contextlib.contextmanager
def _translated(deadline: Deadline) -> Iterator[None]:
    try:
        yield
    except _FOREIGN as error:
        raise translation(error, late=deadline.expired) from error


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
