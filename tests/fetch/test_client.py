"""Downloads from real servers on loopback, well-behaved and hostile ones."""

import datetime as dt
import gzip
import re
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from predictor import __version__
from predictor.config import Settings
from predictor.errors import (
    ConfigError,
    FetchBlocked,
    FetchFailed,
    FetchTimeout,
    ImageTooLarge,
    InvalidRequest,
    PredictorError,
)
from predictor.fetch.client import Fetcher
from predictor.fetch.dial import Answer
from tests.fetch.hostile import (
    CHUNKED,
    PATIENCE,
    PICTURE,
    SLOW,
    Script,
    Server,
    answer,
    drips,
    headers_of,
    path_of,
    redirects,
    says,
)

Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers, and closes them after the test."""
    servers: list[Server] = []

    def start(script: Script, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(script, host, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def fetcher(*servers: Server, seconds: float = PATIENCE, max_bytes: int = 1_000_000) -> Fetcher:
    """A Fetcher that may reach these servers and nothing else on this machine."""
    return Fetcher(
        allow=tuple(f"127.0.0.1:{server.port}" for server in servers), seconds=seconds, max_bytes=max_bytes
    )


# What a download gives, and what it sends.


def test_body(serve: Serve) -> None:
    """A download is the body, byte for byte."""
    server = serve(says(answer()))
    assert fetcher(server).fetch(server.url) == PICTURE


def test_body_without_length(serve: Serve) -> None:
    """A body that ends with the connection is complete."""
    server = serve(says(b"HTTP/1.0 200 OK\r\n\r\n" + PICTURE))
    assert fetcher(server).fetch(server.url) == PICTURE


def test_body_in_tiny_chunks(serve: Serve) -> None:
    """A chunked body is put together, be its chunks ever so small."""
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in PICTURE[:5000])
    server = serve(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"))
    assert fetcher(server).fetch(server.url) == PICTURE[:5000]


def test_request(serve: Serve) -> None:
    """A request names the URL's host, path, query and the product, asks for no compression, and no more.

    It asks for the formats that can be opened, and never for every kind of image.
    """
    server = serve(says(answer()))
    settings = Settings(fetch_allow=("127.0.0.1",), formats=("JPEG", "WEBP", "HEIF"))
    Fetcher.of(settings).fetch(f"http://127.0.0.1:{server.port}/b%C3%BCld/ü.jpg?size=1&x=%2F#part")
    assert path_of(server.heads[0]) == "/b%C3%BCld/%C3%BC.jpg?size=1&x=%2F"
    assert headers_of(server.heads[0]) == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": f"image-prediction-api/{__version__}",
        "accept": "image/jpeg,image/webp,image/heic,image/heif,*/*;q=0.1",
        "accept-encoding": "identity",
        "connection": "close",
    }


def test_agent(serve: Serve) -> None:
    """The operator's own User-Agent takes the place of the product's."""
    server = serve(says(answer()))
    agent = "my-service/1.0 (+https://example.org/contact)"
    Fetcher.of(Settings(fetch_allow=("127.0.0.1",), fetch_agent=agent)).fetch(server.url)
    assert headers_of(server.heads[0])["user-agent"] == agent


@pytest.mark.parametrize(
    ("hosts", "prefix", "contact"),
    [
        (("predict.example.org", "other.example.org"), None, " (+https://predict.example.org/)"),
        (
            ("10.0.0.1", ".example.org", "predict.corp.internal", "a.example.org"),
            None,
            " (+https://a.example.org/)",
        ),
        (("predict.example.org",), "/ml", " (+https://predict.example.org/ml/)"),
        (
            ("localhost", "predictor", "predictor.ns.svc", "predictor.ns.svc.cluster.local", "nas.lan"),
            None,
            "",
        ),
    ],
)
def test_contact(serve: Serve, hosts: tuple[str, ...], prefix: str | None, contact: str) -> None:
    """The product names the service's first public name as its contact, and no name of the own network."""
    server = serve(says(answer()))
    settings = Settings(fetch_allow=("127.0.0.1",), trusted_hosts=hosts, prefix=prefix)
    Fetcher.of(settings).fetch(server.url)
    assert headers_of(server.heads[0])["user-agent"] == f"image-prediction-api/{__version__}{contact}"


def test_ipv6(serve: Serve) -> None:
    """An IPv6 address in brackets is reached as the allow list names it."""
    try:
        server = serve(says(answer()), "::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    allow = (f"[::1]:{server.port}",)
    assert Fetcher(allow=allow).fetch(f"http://[::1]:{server.port}/") == PICTURE
    assert headers_of(server.heads[0])["host"] == f"[::1]:{server.port}"


def test_many_threads(serve: Serve) -> None:
    """Downloads at the same time get each its own body."""

    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(answer(path_of(head).encode() * 1000))

    server = serve(script)
    shared = fetcher(server)
    paths = [f"/{number}" for number in range(64)]
    with ThreadPoolExecutor(16) as pool:
        bodies = list(pool.map(lambda path: shared.fetch(f"http://127.0.0.1:{server.port}{path}"), paths))
    assert bodies == [path.encode() * 1000 for path in paths]


def test_no_traces(serve: Serve) -> None:
    """No cookie, referer or connection goes from one request to the next, across redirects or downloads."""

    def script(connection: socket.socket, head: bytes) -> None:
        if path_of(head) == "/end":
            connection.sendall(answer(PICTURE, "200 OK", "Set-Cookie: b=2; Path=/"))
        else:
            connection.sendall(answer(b"", "302 Found", "Location: /end", "Set-Cookie: a=1; Path=/"))

    server = serve(script)
    shared = fetcher(server)
    for _ in range(2):
        shared.fetch(server.url)
    assert server.connections == len(server.heads) == 4
    assert not any({"cookie", "referer"} & headers_of(head).keys() for head in server.heads)


@pytest.mark.promise("S7")
def test_environment(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies and passwords of the environment play no part."""
    server = serve(says(answer()))
    proxy = serve(says(answer(b"proxy")))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetcher(server).fetch(server.url) == PICTURE
    assert proxy.connections == 0
    assert "authorization" not in headers_of(server.heads[0])


# Which URLs are accepted.


class Asked(list[str]):
    """A resolver that knows no name and keeps those it was asked for."""

    def __call__(self, host: str, _port: int) -> Sequence[Answer]:
        """Answer as getaddrinfo does."""
        self.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cat.jpg",
        "/cat.jpg",
        "//pictures.test/cat.jpg",
        "www.pictures.test/cat.jpg",
        "http:",
        "http://",
        "http:///cat.jpg",
        "http:pictures.test",
        "http:/pictures.test",
        "http://:80/",
        "http://?cat",
        "http://pictures.test:port/",
        "http://pictures.test:65536/",
        "http://pictures.test:-1/",
        "http://pictures..test/",
        "http://.pictures.test/",
        "http://*.test/",
        "http://[::1/",
        "http://[::1%25lo]/",
        "http://[127.0.0.1]/",
        "http://[1:2:3:4:5:6:7:8:9]/",
        "http://pictures.test\\@127.0.0.1/",
        "http:\\\\pictures.test\\cat.jpg",
        "http://pictures.test/\r\nHost: other",
        "http://pictures.test\n/",
        "http://pictures.test/\tcat.jpg",
        "http://pictures.test/\x00",
        "http://pictures.test%00/",
        "http://pictures.test%0d%0a/",
        "http://pictures.test%2ecom%2f/",
        "http://pic\u200btures.test/",
        "http://pictures.test/\ud800",
        "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
        f"http://{'a' * 64}.test/",
        f"http://pictures.test/{'a' * 8172}",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "ftp://pictures.test/cat.jpg",
        "gopher://127.0.0.1:6379/_INFO",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "unix:///run/docker.sock",
        "http+unix://%2Frun%2Fdocker.sock/info",
        "s3://bucket/cat.jpg",
        "http://user@pictures.test/",
        "http://user:password@pictures.test/",
        "http://@pictures.test/",
        "http://pictures.test:80@127.0.0.1/",
        "http://pictures.test%40@127.0.0.1/",
        "http://127.0.0.1%2f@pictures.test",
    ],
)
def test_malformed_url(url: str) -> None:
    """Text that is no plain absolute http or https URL is the caller's mistake, and nothing is looked up."""
    asked = Asked()
    with pytest.raises(InvalidRequest) as error:
        Fetcher(resolve=asked).fetch(url)
    assert error.value.detail.endswith(".")
    assert asked == []


@pytest.mark.parametrize(
    "url", ["http://pictures.test:22/", "https://pictures.test:8443/", "http://pictures.test:1/"]
)
def test_port_not_permitted(url: str) -> None:
    """Other ports are refused with one sentence that names the setting, and nothing is looked up."""
    asked = Asked()
    with pytest.raises(FetchBlocked, match=r"its port is not 80 or 443\. PREDICTOR_FETCH_ALLOW"):
        Fetcher(resolve=asked).fetch(url)
    assert asked == []


def test_url_with_spaces(serve: Serve) -> None:
    """White space around is dropped; spaces and other characters behind the host are encoded."""
    server = serve(says(answer()))
    fetcher(server).fetch(f"\ufeff http://127.0.0.1:{server.port}/my cat\u00a0.jpg?name=my cat\r\n")
    assert path_of(server.heads[0]) == "/my%20cat%C2%A0.jpg?name=my%20cat"


def test_long_url(serve: Serve) -> None:
    """A signed URL of eight thousand characters is sent whole."""
    server = serve(says(answer()))
    url = f"http://127.0.0.1:{server.port}/cat.jpg?token="
    fetcher(server).fetch(url + "a" * (8192 - len(url)))
    assert path_of(server.heads[0]) == "/cat.jpg?token=" + "a" * (8192 - len(url))


def numeric(host: str, port: int) -> Sequence[Answer]:
    """The system's reading of numeric addresses, and a name for this machine; no query leaves it."""
    if host.removesuffix(".") == "localhost":
        host = "127.0.0.1"
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)


@pytest.mark.promise("S1")
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0177.1",
        "00000177.0.0.01",
        "0x7f000001",
        "0X7F000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "127.000.000.001",
        "127.0.0.0x1",
        "127.127.127.127",
        "0",
        "0x0",
        "00",
        "0.0.0.0",
        "000.000.000.000",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "%6c%6fcalhost",
        "%31%32%37.0.0.1",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
    ],
)
def test_spelling(serve: Serve, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """However this machine's own address is written, nothing is connected, even on a permitted port."""
    server = serve(says(answer()))
    monkeypatch.setattr("predictor.fetch.addresses.WEB_PORTS", frozenset({server.port}))
    with pytest.raises(FetchBlocked):
        Fetcher(resolve=numeric).fetch(f"http://{host}:{server.port}/")
    assert server.connections == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "[::1]", "[::ffff:10.0.0.1]", "[::ffff:a00:1]", "[64:ff9b::10.0.0.1]"]
)
def test_spelling_without_port(scheme: str, host: str) -> None:
    """An address on its scheme's own port is refused like any other, however it is written."""
    with pytest.raises(FetchBlocked):
        Fetcher(resolve=numeric).fetch(f"{scheme}://{host}/")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1.",
        "2130706433.",
        "4294967296",
        "127.0.0.256",
        "0x7f.0x0.0x0.0xg",
        "127\u30020\u30020\u30021",  # ideographic full stops
        "127\uff0e0\uff0e0\uff0e1",  # fullwidth full stops
        "127\uff610\uff610\uff611",  # halfwidth ideographic full stops
        "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",  # enclosed digits
        "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",  # enclosed letters
        "\uff11\uff12\uff17.\uff10.\uff10.\uff11",  # fullwidth digits
    ],
)
def test_spelling_of_nothing(serve: Serve, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Spellings that only other software takes for an address lead nowhere."""
    server = serve(says(answer()))
    monkeypatch.setattr("predictor.fetch.addresses.WEB_PORTS", frozenset({server.port}))
    with pytest.raises((InvalidRequest, FetchFailed)):
        Fetcher(resolve=numeric).fetch(f"http://{host}:{server.port}/")
    assert server.connections == 0


def test_spelling_control(serve: Serve) -> None:
    """The listener of these tests logs a connection once its address is opened."""
    server = serve(says(answer()))
    opened = Fetcher(allow=("127.0.0.0/8",), resolve=numeric)
    assert opened.fetch(f"http://2130706433:{server.port}/") == PICTURE
    assert server.connections == 1


def test_no_oracle(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inner ports that are open, closed or of no machine cannot be told apart."""
    server = serve(says(answer()))
    gone = serve(says(b""))
    gone.close()
    monkeypatch.setattr("predictor.fetch.addresses.WEB_PORTS", frozenset({server.port, gone.port}))
    sentences = set()
    for target in (f"127.0.0.1:{server.port}", f"127.0.0.1:{gone.port}", f"10.255.255.1:{server.port}"):
        with pytest.raises(FetchBlocked) as error:
            Fetcher().fetch(f"http://{target}/")
        sentences.add(error.value.detail)
    assert len(sentences) == 1
    assert not re.search(r"\d", sentences.pop())
    assert server.connections == 0


def test_international_name(serve: Serve) -> None:
    """A host name beyond ASCII is looked up and sent in its IDNA form."""
    server = serve(says(answer()))
    asked = []

    def resolve(host: str, port: int) -> Sequence[Answer]:
        asked.append(host)
        return numeric("127.0.0.1", port)

    allow = ("xn--bcher-kva.test",)
    assert Fetcher(allow=allow, resolve=resolve).fetch(f"http://Bücher.test:{server.port}/") == PICTURE
    assert asked == ["xn--bcher-kva.test"]
    assert headers_of(server.heads[0])["host"] == f"xn--bcher-kva.test:{server.port}"


def test_unusable_allow() -> None:
    """An entry that cannot be used stops the start."""
    with pytest.raises(ConfigError, match="PREDICTOR_FETCH_ALLOW"):
        Fetcher(allow=("10.0.0.0/8", "http://cdn.internal"))


# Redirects.


@pytest.mark.parametrize("status", ["301 a", "302 b", "303 c", "307 d", "308 e"])
def test_redirect(serve: Serve, status: str) -> None:
    """A redirect is followed, relative to the URL that it came from."""
    server = serve(redirects("../end", status))
    assert fetcher(server).fetch(f"http://127.0.0.1:{server.port}/a/b") == PICTURE
    assert [path_of(head) for head in server.heads] == ["/a/b", "/end"]


def test_redirect_loop(serve: Serve) -> None:
    """Five redirects are followed; the next one ends the download."""
    server = serve(redirects("/again"))
    with pytest.raises(FetchFailed, match="more than 5 times"):
        fetcher(server).fetch(server.url)
    assert server.connections == 6


def test_five_redirects(serve: Serve) -> None:
    """A short link, https, www, a CDN and a signed URL are no loop."""

    def script(connection: socket.socket, head: bytes) -> None:
        left = int(path_of(head)[1:])
        connection.sendall(answer(b"", "302 Found", f"Location: /{left - 1}") if left else answer())

    server = serve(script)
    assert fetcher(server).fetch(f"http://127.0.0.1:{server.port}/5") == PICTURE


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/end of it?name=my cat", "/end%20of%20it?name=my%20cat"),
        ("//127.0.0.1:{port}/end", "/end"),
        ("end", "/a/end"),
        ("?end", "/a/b?end"),
        ("/ende-\u00fc", "/ende-%C3%BC"),
        ("/end#part", "/end"),
    ],
)
def test_location(serve: Serve, location: str, path: str) -> None:
    """A location may be relative, without scheme, in UTF-8, and hold spaces."""

    def script(connection: socket.socket, head: bytes) -> None:
        away = answer(b"", "302 Found", f"Location: {location.format(port=server.port)}")
        connection.sendall(away if path_of(head) == "/a/b" else answer())

    server = serve(script)
    assert fetcher(server).fetch(f"http://127.0.0.1:{server.port}/a/b") == PICTURE
    assert path_of(server.heads[1]) == path


@pytest.mark.promise("S12")
def test_redirect_body_is_not_read(serve: Serve) -> None:
    """The endless body of a redirect is left alone."""
    head = b"HTTP/1.1 302 Found\r\nLocation: /end\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = serve(redirects("", tail=drips(head, b"1000\r\n" + bytes(4096) + b"\r\n", 0)))
    assert fetcher(server).fetch(server.url) == PICTURE


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{inner}/",
        "//127.0.0.1:{inner}/",
        "http://2130706433:{inner}/",
        "http://localhost:{inner}/",
        "http://[::ffff:127.0.0.1]:{inner}/",
        "http://user@127.0.0.1:{port}/end",
        "//user@127.0.0.1:{port}/end",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{port}/end",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
def test_redirect_not_permitted(serve: Serve, monkeypatch: pytest.MonkeyPatch, location: str) -> None:
    """Where a redirect leads is checked like the URL itself."""
    inner = serve(says(answer(b"inner")))
    monkeypatch.setattr("predictor.fetch.addresses.WEB_PORTS", frozenset({80, inner.port}))
    ports = {"inner": inner.port}

    def script(connection: socket.socket, head: bytes) -> None:
        redirects(location.format(**ports))(connection, head)

    server = serve(script)
    ports["port"] = server.port
    allow = (f"127.0.0.1:{server.port}",)
    with pytest.raises(FetchBlocked):
        Fetcher(allow=allow, resolve=numeric).fetch(server.url)
    assert (server.connections, inner.connections) == (1, 0)


@pytest.mark.parametrize(
    "location",
    ["http://*", "\\\\127.0.0.1\\end", "/a\tb", "http://[::1/", "/\xfc", "/" * 9000, "http://a b/"],
)
def test_redirect_to_no_url(serve: Serve, location: str) -> None:
    """A redirect to something that is no URL is the server's failure, not the caller's."""
    data = f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n".encode("latin-1")
    server = serve(says(data))
    with pytest.raises(FetchFailed, match="redirected to an invalid URL"):
        fetcher(server).fetch(server.url)
    assert server.connections == 1


def test_each_hop_is_resolved_once(serve: Serve) -> None:
    """A name is resolved once for each hop, and the second hop's answer is checked anew."""
    asked = []

    def resolve(host: str, port: int) -> Sequence[Answer]:
        asked.append(host)
        return numeric("127.0.0.1" if len(asked) % 3 else "127.0.0.9", port)

    server = serve(redirects("/end"))
    changing = Fetcher(allow=(f"127.0.0.1:{server.port}",), resolve=resolve)
    url = f"http://pictures.test:{server.port}/cat.jpg"
    assert changing.fetch(url) == PICTURE
    assert len(asked) == 2
    with pytest.raises(FetchBlocked):
        changing.fetch(url)
    assert len(asked) == 3


# Answers that are no image.


FAILURES = {
    "not found": (answer(PICTURE, "404 Not Found"), FetchFailed, r"status 404 \(Not Found\)\."),
    "login": (answer(PICTURE, "401 Unauthorized"), FetchFailed, "status 401 .*: it wants a login"),
    "policy": (answer(PICTURE, "403 Forbidden"), FetchFailed, "status 403 .*PREDICTOR_FETCH_AGENT"),
    "timeout": (answer(PICTURE, "408 Late"), FetchFailed, "status 408 .*; try again later"),
    "too early": (answer(PICTURE, "425 Too Early"), FetchFailed, "status 425 .*; try again later"),
    "too many": (answer(PICTURE, "429 Slow down"), FetchFailed, "status 429 .*; try again later"),
    "unavailable": (answer(PICTURE, "503 Busy"), FetchFailed, "status 503 .*; try again later"),
    "made-up status": (answer(PICTURE, "599 Oops"), FetchFailed, r"status 599\."),
    "protocol": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", FetchFailed, "status 101"),
    "server error": (answer(PICTURE, "500 Oops"), FetchFailed, "status 500"),
    "partial": (answer(PICTURE, "206 Partial Content"), FetchFailed, "status 206"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", FetchFailed, "status 204"),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\n\r\n", FetchFailed, "status 304"),
    "redirect to nowhere": (answer(b"", "302 Found"), FetchFailed, "status 302"),
    "choices": (answer(b"", "300 Choices", "Location: /end"), FetchFailed, "status 300"),
    "empty": (answer(b""), FetchFailed, "empty body"),
    "empty chunked": (CHUNKED + b"0\r\n\r\n", FetchFailed, "empty body"),
    "silence": (b"", FetchFailed, "closed the connection early"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", FetchFailed, "empty body"),
    "truncated": (answer()[:-1], FetchFailed, "closed the connection early"),
    "truncated chunk": (CHUNKED + b"5\r\nabc", FetchFailed, "closed the connection early"),
    "no last chunk": (CHUNKED + b"3\r\nabc\r\n", FetchFailed, "closed the connection early"),
    "chunk of no size": (CHUNKED + b"cat\r\nabc\r\n0\r\n\r\n", FetchFailed, "closed the connection early"),
    "long chunk line": (
        CHUNKED + b"3;" + b"x" * 200_000 + b"\r\nabc\r\n0\r\n\r\n",
        FetchFailed,
        "closed the connection early",
    ),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabcd",
        FetchFailed,
        "closed the connection early",
    ),
    "not http": (b"SSH-2.0-OpenSSH_9.6\r\n", FetchFailed, "closed the connection early"),
    "binary": (bytes(range(256)) * 4, FetchFailed, "closed the connection early"),
    "long status": (
        b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n",
        FetchFailed,
        "closed the connection early",
    ),
    "long header": (
        answer(PICTURE, "200 OK", "X: " + "x" * 70_000),
        FetchFailed,
        "closed the connection early",
    ),
    "2000 headers": (answer(PICTURE, "200 OK", *["X: x"] * 2000), FetchFailed, "closed the connection early"),
    "gzip": (answer(PICTURE, "200 OK", "Content-Encoding: gzip"), FetchFailed, "compressed"),
    "nested": (answer(PICTURE, "200 OK", "Content-Encoding: gzip, br, zstd"), FetchFailed, "compressed"),
    "json": (answer(b'{"error": 1}', "200 OK", "Content-Type: application/json"), FetchFailed, "sent JSON"),
    "bomb": (
        answer(gzip.compress(bytes(5_000_000), mtime=0), "200 OK", "Content-Encoding: gzip"),
        ImageTooLarge,
        "1000000 bytes",
    ),
    "empty streams": (
        answer(b"\0\0\0\xff\xff" * 300_000, "200 OK", "Content-Encoding: deflate"),
        ImageTooLarge,
        "1000000 bytes",
    ),
    "cut gzip": (
        answer(gzip.compress(PICTURE, mtime=0)[:-9], "200 OK", "Content-Encoding: gzip"),
        FetchFailed,
        "incomplete",
    ),
    "interim flood": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000, FetchFailed, "invalid HTTP response"),
    "interim alone": (b"HTTP/1.1 103 Early Hints\r\n\r\n", FetchFailed, "closed the connection early"),
    "gzip transfer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        FetchFailed,
        "compressed",
    ),
    "huge length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000000\r\n\r\n",
        ImageTooLarge,
        "1000000 bytes",
    ),
    "huge chunk": (CHUNKED + b"ffffffffff\r\n" + bytes(1_100_000), ImageTooLarge, "1000000 bytes"),
    "large body": (b"HTTP/1.0 200 OK\r\n\r\n" + bytes(1_000_001), ImageTooLarge, "1000000 bytes"),
}


@pytest.mark.promise("S11")
@pytest.mark.parametrize("name", FAILURES)
def test_useless_answer(serve: Serve, name: str) -> None:
    """An answer without a complete, plain body of status 200 fails, and the sentence says what was wrong."""
    data, error, sentence = FAILURES[name]
    server = serve(says(data))
    with pytest.raises(error, match=sentence) as raised:
        fetcher(server, seconds=PATIENCE).fetch(server.url)
    assert_harmless(raised.value)


@pytest.mark.parametrize(
    "data",
    [
        answer(b"<!doctype html><p>Please log in</p>", "200 OK", "Content-Type: text/html; charset=utf-8"),
        answer(b"Please log in", "200 OK", "Content-Type: text/html"),
        answer(b"<html>", "200 OK", "Content-Type: image/jpeg"),
        answer(gzip.compress(b"<html>", mtime=0), "200 OK", "Content-Encoding: gzip"),
    ],
)
def test_page(serve: Serve, data: bytes) -> None:
    """A web page in the place of an image is called one."""
    server = serve(says(data))
    with pytest.raises(FetchFailed) as raised:
        fetcher(server).fetch(server.url)
    assert raised.value.detail == (
        "The server of the image URL sent a web page (text/html), not an image; give the URL of the image "
        "itself."
    )


INTERIM = {
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nContent-Length: 5\r\n\r\n",
    "processing": b"HTTP/1.1 102 Processing\r\n\r\n" * 5,
    "several": b"HTTP/1.1 103 A\r\n\r\nHTTP/1.1 100 B\r\n\r\nHTTP/1.1 103 C\r\n\r\n",
}


@pytest.mark.parametrize("name", INTERIM)
@pytest.mark.parametrize("answered", [answer(), CHUNKED + b"3\r\ncat\r\n0\r\n\r\n"], ids=["length", "chunks"])
def test_interim_answers(serve: Serve, name: str, answered: bytes) -> None:
    """What comes before the answer that counts is passed over."""
    server = serve(says(INTERIM[name] + answered))
    assert fetcher(server).fetch(server.url) in {PICTURE, b"cat"}


CODINGS = {
    "aws-chunked": PICTURE,
    "utf-8": PICTURE,
    "none": PICTURE,
    "cat": PICTURE,
    "gzip": gzip.compress(PICTURE, mtime=0),
    "aws-chunked, gzip": gzip.compress(PICTURE, mtime=0),
    "x-gzip": gzip.compress(PICTURE[:1000], mtime=0) + gzip.compress(PICTURE[1000:]) + b"\0\0",
    "deflate": zlib.compress(PICTURE),
}


@pytest.mark.promise("S11")
@pytest.mark.parametrize("name", CODINGS)
def test_coded_body(serve: Serve, name: str) -> None:
    """A body is inflated where it must be; what is no compression changes nothing."""
    server = serve(says(answer(CODINGS[name], "200 OK", f"Content-Encoding: {name}")))
    assert fetcher(server).fetch(server.url) == PICTURE


@pytest.mark.promise("S11")
def test_limit_holds_for_what_comes_out(serve: Serve) -> None:
    """A compressed body may have as many bytes as a plain one."""
    server = serve(says(answer(gzip.compress(PICTURE, mtime=0), "200 OK", "Content-Encoding: gzip")))
    assert fetcher(server, max_bytes=len(PICTURE)).fetch(server.url) == PICTURE
    with pytest.raises(ImageTooLarge):
        fetcher(server, max_bytes=len(PICTURE) - 1).fetch(server.url)


def test_camera(serve: Serve) -> None:
    """A camera's stream is refused by its type, long before the time is over."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
    server = serve(drips(head, b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + PICTURE))
    with pytest.raises(FetchFailed, match="stream of images"):
        fetcher(server).fetch(server.url)


def test_reset(serve: Serve) -> None:
    """A connection that is reset is said to be."""

    def script(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    server = serve(script)
    with pytest.raises(FetchFailed, match="reset the connection"):
        fetcher(server).fetch(server.url)


@pytest.mark.parametrize(
    ("hops", "reusable"),
    [
        ([""], None),
        (["Cache-Control: max-age=60"], 60),
        (["Cache-Control: no-store"], 0),
        (["Cache-Control: public", "Cache-Control: max-age=60"], 60),
        (["Cache-Control: no-store", "Cache-Control: max-age=60"], 0),
        (["Cache-Control: max-age=60", "Expires: 0", ""], 0),
        (["Cache-Control: max-age=60\r\nCache-Control: no-cache"], 0),
    ],
)
def test_reusable(serve: Serve, hops: list[str], reusable: int | None) -> None:
    """Every server of a chain of redirects may shorten the time for which an image stands for its URL."""

    def script(connection: socket.socket, head: bytes) -> None:
        hop = int(path_of(head)[1:])
        more = [f"Location: /{hop + 1}"] if hop + 1 < len(hops) else []
        headers = more + ([hops[hop]] if hops[hop] else [])
        connection.sendall(answer(PICTURE, "302 Found" if more else "200 OK", *headers))

    server = serve(script)
    download = fetcher(server).download(f"http://127.0.0.1:{server.port}/0")
    assert (download.data, download.reusable) == (PICTURE, reusable)


def assert_harmless(error: PredictorError) -> None:
    """No address, path or library in the sentence."""
    assert not re.search(r"127\.|::|/|urllib3|HTTPConnection|object at|Errno", error.detail), error.detail


def test_largest_body(serve: Serve) -> None:
    """A body of just the limit passes; one byte more does not."""
    server = serve(says(answer(PICTURE)))
    assert fetcher(server, max_bytes=len(PICTURE)).fetch(server.url) == PICTURE
    with pytest.raises(ImageTooLarge):
        fetcher(server, max_bytes=len(PICTURE) - 1).fetch(server.url)


@pytest.mark.promise("S10")
@pytest.mark.parametrize("start", [CHUNKED, b"HTTP/1.0 200 OK\r\n\r\n"], ids=["chunked", "no length"])
def test_endless_body(serve: Serve, start: bytes) -> None:
    """A body without end is cut at the limit."""
    server = serve(drips(start, b"1000\r\n" + bytes(4096) + b"\r\n", 0))
    with pytest.raises(ImageTooLarge):
        fetcher(server, seconds=PATIENCE).fetch(server.url)


def test_negative_chunk(serve: Serve) -> None:
    """A chunk size below 0 ends the download at once; it would be read without limit."""
    server = serve(drips(CHUNKED + b"-1\r\n", bytes(4096)))
    with pytest.raises(FetchFailed, match="closed the connection early"):
        fetcher(server, seconds=PATIENCE).fetch(server.url)


# The deadline.

SECONDS = 0.4


@pytest.mark.promise("S8")
@pytest.mark.parametrize("name", SLOW)
def test_deadline(serve: Serve, name: str) -> None:
    """A server that drips is given up when the time is over, wherever in its answer it is."""
    server = serve(SLOW[name])
    with pytest.raises(FetchTimeout) as raised:
        fetcher(server, seconds=SECONDS).fetch(server.url)
    assert not server.outlasted
    assert_harmless(raised.value)


def test_deadline_holds_for_all_hops(serve: Serve) -> None:
    """Hops share one time: four that are each quick enough are together too slow."""

    def script(connection: socket.socket, _: bytes) -> None:
        time.sleep(SECONDS * 0.4)
        connection.sendall(answer(b"", "302 Found", "Location: /again"))

    server = serve(script)
    with pytest.raises(FetchTimeout):
        fetcher(server, seconds=SECONDS).fetch(server.url)
    assert server.connections < 4


def test_deadline_holds_after_a_cut_redirect(serve: Serve) -> None:
    """A redirect whose head was cut by the deadline is not followed; its target would know no deadline."""
    flood = SLOW["continue flood"]
    away = drips(b"HTTP/1.1 302 Found\r\nLocation: /flood\r\nX: ", b"x")
    server = serve(lambda connection, head: (flood if path_of(head) == "/flood" else away)(connection, head))
    with pytest.raises(FetchTimeout):
        # Enough to connect on a busy machine.
        fetcher(server, seconds=5 * SECONDS).fetch(server.url)
    assert server.connections == 1
    assert not server.outlasted


def test_black_hole() -> None:
    """A name whose lookup never ends is given up when the time is over."""
    over = threading.Event()

    def resolve(host: str, port: int) -> Sequence[Answer]:
        over.wait(PATIENCE)
        raise socket.gaierror(host, port)

    with pytest.raises(FetchTimeout):
        Fetcher(seconds=SECONDS, resolve=resolve).fetch("http://pictures.test/")
    over.set()


@pytest.mark.promise("S9")
def test_black_hole_costs_two_seconds() -> None:
    """A name whose lookup never ends is given up long before the time of a slow download is over."""
    over = threading.Event()

    def resolve(host: str, port: int) -> Sequence[Answer]:
        over.wait(PATIENCE)
        raise socket.gaierror(host, port)

    start = time.monotonic()
    with pytest.raises(FetchTimeout):
        Fetcher(seconds=PATIENCE, resolve=resolve).fetch("http://pictures.test/")
    assert time.monotonic() - start < PATIENCE / 2
    over.set()


def test_deadline_is_for_one_download(serve: Serve) -> None:
    """A download that timed out leaves nothing behind that could end the next one."""
    server = serve(redirects("", tail=SLOW["body"]))
    # Enough for a whole image on a busy machine.
    shared = fetcher(server, seconds=10 * SECONDS)
    with pytest.raises(FetchTimeout):
        shared.fetch(server.url)
    assert shared.fetch(f"http://127.0.0.1:{server.port}/end") == PICTURE


# TLS.


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A throw-away certificate authority."""
    return trustme.CA()


@pytest.fixture
def secure(serve: Serve, authority: trustme.CA) -> Callable[[Script, str], tuple[Server, list[str]]]:
    """Starts a TLS server with a certificate for a name; gives it, and the names that clients ask for."""

    def start(script: Script, name: str) -> tuple[Server, list[str]]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        asked: list[str] = []
        context.sni_callback = lambda _socket, name, _context: asked.append(name)
        return serve(script, context=context), asked

    return start


Secure = Callable[[Script, str], tuple[Server, list[str]]]


@pytest.fixture
def trusting(authority: trustme.CA, tmp_path: Path) -> Callable[..., Fetcher]:
    """Makes a Fetcher that trusts the authority and takes every name for this machine."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def make(seconds: float = PATIENCE) -> Fetcher:
        return Fetcher(
            allow=("127.0.0.0/8",),
            seconds=seconds,
            ca_file=tmp_path / "ca.pem",
            resolve=lambda _host, port: numeric("127.0.0.1", port),
        )

    return make


def test_tls(secure: Secure, trusting: Callable[..., Fetcher]) -> None:
    """With TLS the server is asked for, and verified as, the host of the URL, by many threads at once."""
    server, asked = secure(says(answer()), "pictures.test")
    shared = trusting()
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(shared.fetch, [f"https://pictures.test:{server.port}/"] * 24))
    assert bodies == [PICTURE] * 24
    assert set(asked) == {"pictures.test"}
    assert {headers_of(head)["host"] for head in server.heads} == {f"pictures.test:{server.port}"}


def test_tls_address(secure: Secure, trusting: Callable[..., Fetcher]) -> None:
    """A certificate for an address is verified against the address in the URL."""
    server, _ = secure(says(answer()), "127.0.0.1")
    assert trusting().fetch(f"https://127.0.0.1:{server.port}/") == PICTURE
    with pytest.raises(FetchFailed, match="certificate"):
        trusting().fetch(f"https://127.0.0.2:{server.port}/")


def test_tls_wrong_name(secure: Secure, trusting: Callable[..., Fetcher]) -> None:
    """A certificate for another name is refused before anything is asked."""
    server, _ = secure(says(answer()), "other.test")
    with pytest.raises(FetchFailed, match="certificate is for another host") as raised:
        trusting().fetch(f"https://pictures.test:{server.port}/")
    assert_harmless(raised.value)
    assert server.heads == []


def test_tls_unknown_authority(secure: Secure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A certificate of an unknown authority is refused, whatever the environment trusts."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    server, _ = secure(says(answer()), "127.0.0.1")
    with pytest.raises(FetchFailed, match=r"certificate is of an authority .* PREDICTOR_FETCH_CA"):
        fetcher(server).fetch(f"https://127.0.0.1:{server.port}/")
    assert server.heads == []


def test_tls_own_authority(secure: Secure, authority: trustme.CA, tmp_path: Path) -> None:
    """PREDICTOR_FETCH_CA has downloads trust the certificates of the operator's own authority."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server, _ = secure(says(answer()), "127.0.0.1")
    environment = {"PREDICTOR_FETCH_ALLOW": f"127.0.0.1:{server.port}"}
    url = f"https://127.0.0.1:{server.port}/"
    with pytest.raises(FetchFailed, match="certificate"):
        Fetcher.of(Settings.from_environment(environment)).fetch(url)
    environment["PREDICTOR_FETCH_CA"] = str(tmp_path / "ca.pem")
    assert Fetcher.of(Settings.from_environment(environment)).fetch(url) == PICTURE


@pytest.mark.parametrize(("first", "last", "sentence"), [(-9, -1, "has expired"), (1, 9, "is not valid yet")])
def test_tls_dates(
    serve: Serve,
    authority: trustme.CA,
    trusting: Callable[..., Fetcher],
    first: int,
    last: int,
    sentence: str,
) -> None:
    """A certificate whose days are over, or have not come, is refused and says so."""
    now = dt.datetime.now(dt.UTC)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(
        "pictures.test", not_before=now + dt.timedelta(first), not_after=now + dt.timedelta(last)
    ).configure_cert(context)
    server = serve(says(answer()), context=context)
    with pytest.raises(FetchFailed, match=f"certificate {sentence}") as raised:
        trusting().fetch(f"https://pictures.test:{server.port}/")
    assert_harmless(raised.value)
    assert server.heads == []


def test_no_tls_behind_https(serve: Serve) -> None:
    """A server that speaks plain HTTP where TLS is due is a failed download."""
    server = serve(says(answer()))
    with pytest.raises(FetchFailed, match="secure connection") as raised:
        fetcher(server).fetch(f"https://127.0.0.1:{server.port}/")
    assert_harmless(raised.value)


def test_tls_redirect(secure: Secure, trusting: Callable[..., Fetcher]) -> None:
    """A redirect to another name verifies the other name."""
    server, asked = secure(redirects("/end"), "pictures.test")
    target, _ = secure(says(answer()), "elsewhere.test")
    first, _ = secure(redirects(f"https://elsewhere.test:{target.port}/"), "pictures.test")
    assert trusting().fetch(f"https://pictures.test:{server.port}/") == PICTURE
    assert asked == ["pictures.test"] * 2
    assert trusting().fetch(f"https://pictures.test:{first.port}/") == PICTURE
    assert headers_of(target.heads[0])["host"] == f"elsewhere.test:{target.port}"


def test_tls_deadline_in_body(secure: Secure, trusting: Callable[..., Fetcher]) -> None:
    """The deadline ends a drip inside TLS."""
    server, _ = secure(SLOW["body without length"], "pictures.test")
    with pytest.raises(FetchTimeout):
        trusting(seconds=SECONDS).fetch(f"https://pictures.test:{server.port}/")
    assert not server.outlasted


@pytest.mark.promise("S8")
def test_tls_deadline_in_handshake(serve: Serve) -> None:
    """The deadline ends a handshake whose bytes come one by one."""
    server = serve(drips(b"\x16\x03\x03\x40\x00", b"\x02"))
    with pytest.raises(FetchTimeout):
        fetcher(server, seconds=SECONDS).fetch(f"https://127.0.0.1:{server.port}/")
    assert not server.outlasted
