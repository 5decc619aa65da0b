"""Requests that no proper client sends: one answer at most for each, and nothing hidden in it is ever run."""

import http.client
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.live.proxy import Proxy
from tests.live.raw import exchange, statuses
from tests.live.service import Service
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: here\r\n\r\n"
PROBE = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: image/jpeg\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"
# To whoever goes by the length, all that follows is body; to whoever sees chunks, a request stands behind it.
LENGTH = b"Content-Length: %d\r\n" % len(END + HIDDEN)
CHUNK = b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n"


def framed(*headers: bytes, body: bytes = END + HIDDEN) -> bytes:
    """A POST with headers of its own."""
    return POST + b"".join(headers) + b"\r\n" + body


def line(first: bytes, *headers: bytes) -> bytes:
    """A request without a body."""
    return b"\r\n".join([first, b"Host: here", *headers, b"", b""])


# Two opinions about where a body ends.
LENGTHS = {
    "length and chunks": framed(LENGTH, CHUNKED),
    "chunks and length": framed(CHUNKED, b"Content-Length: 4\r\n", body=CHUNK + END),
    "chunks and no length": framed(CHUNKED, b"Content-Length: 0\r\n", body=CHUNK + END),
    "space before the colon": framed(LENGTH, b"Transfer-Encoding : chunked\r\n"),
    "unknown coding": framed(LENGTH, b"Transfer-Encoding: xchunked\r\n"),
    "coding after chunks": framed(LENGTH, b"Transfer-Encoding: chunked, identity\r\n"),
    "coding before chunks": framed(b"Transfer-Encoding: gzip, chunked\r\n", body=CHUNK + END),
    "chunks twice": framed(CHUNKED, CHUNKED),
    "chunks of chunks": framed(b"Transfer-Encoding: chunked, chunked\r\n"),
    "chunks and identity": framed(CHUNKED, b"Transfer-Encoding: identity\r\n"),
    "identity": framed(b"Transfer-Encoding: identity\r\n", LENGTH),
    "vertical tab": framed(LENGTH, b"Transfer-Encoding:\x0bchunked\r\n"),
    "folded coding": framed(LENGTH, b"Transfer-Encoding:\r\n chunked\r\n"),
    "quoted coding": framed(LENGTH, b'Transfer-Encoding: "chunked"\r\n'),
    "underscore": framed(LENGTH, b"Transfer_Encoding: chunked\r\n"),
    "two lengths": framed(b"Content-Length: 5\r\n", LENGTH),
    "two equal lengths": framed(b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    "list of lengths": framed(b"Content-Length: 5, 5\r\n"),
    "signed length": framed(b"Content-Length: +5\r\n"),
    "negative length": framed(b"Content-Length: -1\r\n"),
    "hexadecimal length": framed(b"Content-Length: 0x5\r\n"),
    "length with a digit of another script": framed(
        "Content-Length: \N{ARABIC-INDIC DIGIT FIVE}\r\n".encode()
    ),
    "length with an underscore": framed(b"Content-Length: 1_0\r\n"),
    "empty length": framed(b"Content-Length: \r\n"),
    "endless length": framed(b"Content-Length: 1" + b"0" * 30 + b"\r\n"),
    "chunks in HTTP/1.0": framed(CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
}
CHUNKS = {
    "hexadecimal sign": b"0x5\r\nabcde\r\n",
    "negative": b"-5\r\nabcde\r\n",
    "signed": b"+5\r\nabcde\r\n",
    "underscore": b"0_5\r\nabcde\r\n",
    "leading space": b" 5\r\nabcde\r\n",
    "newline in the extension": b"5;a\nb\r\nabcde\r\n",
    "return in the extension": b"5;a\rb\r\nabcde\r\n",
    "longer than said": b"2\r\nabcde\r\n",
    "overflow": b"1" + b"0" * 16 + b"5\r\nabcde\r\n",
    "no number": b"\r\nabcde\r\n",
    "cut off": b"5\r\nabcdeXX",
}
LENIENT = {"trailing space": b"5 \r\nabcde\r\n", "newline alone": b"5\nabcde\n"}
LINES = {
    "newlines alone": b"POST /predict HTTP/1.1\nHost: here\nContent-Length: 5\n\n" + END,
    "return in a value": line(b"GET / HTTP/1.1", b"A: b\rGET /hidden HTTP/1.1"),
    "return in a name": line(b"GET / HTTP/1.1", b"A\rB: c"),
    "null in a value": line(b"GET / HTTP/1.1", b"A: b\x00c"),
    "null in the path": line(b"GET /\x00 HTTP/1.1"),
    "encoded null in the path": line(b"GET /%00 HTTP/1.1"),
    "encoded line ends": line(b"GET /%0d%0aGET%20/hidden%20HTTP/1.1 HTTP/1.1"),
    "bad encoding": line(b"GET /%zz%c3%28 HTTP/1.1"),
    "space in a name": line(b"GET / HTTP/1.1", b"A B: c"),
    "no colon": line(b"GET / HTTP/1.1", b"nothing"),
    "no name": line(b"GET / HTTP/1.1", b": nothing"),
    "folded first header": b"GET / HTTP/1.1\r\n Host: here\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": line(b"GET / HTTP/1.1", b"Host: there"),
    "host with a path": b"GET / HTTP/1.1\r\nHost: here/there\r\n\r\n",
    "host with a user": b"GET / HTTP/1.1\r\nHost: user@here\r\n\r\n",
    "host of another script": b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
    "tabs": line(b"GET\t/\tHTTP/1.1"),
    "two spaces": line(b"GET  /  HTTP/1.1"),
    "small letters": line(b"get / HTTP/1.1"),
    "odd method": line(b"G@T / HTTP/1.1"),
    "long method": line(b"G" * 5000 + b" / HTTP/1.1"),
    "next version": line(b"GET / HTTP/1.2"),
    "far version": line(b"GET / HTTP/9.9"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9,
    "upgrade to HTTP/2": line(b"GET / HTTP/1.1", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                              b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    "upgrade to a socket": line(b"GET / HTTP/1.1", b"Connection: Upgrade", b"Upgrade: websocket"),
    "no version": line(b"GET / FTP/1.1"),
    "whole address": line(b"GET http://there:99/hidden-not HTTP/1.1"),
    "tunnel": line(b"CONNECT there:443 HTTP/1.1"),
    "star": line(b"OPTIONS * HTTP/1.1"),
    "no slash": line(b"GET hidden-not HTTP/1.1"),
    "two slashes": line(b"GET //there/.. HTTP/1.1"),
    "letters of another script": line(b"GET /\xff\xc3\xa4 HTTP/1.1"),
    "expects the unknown": line(b"POST /predict HTTP/1.1", b"Expect: the-unexpected", b"Content-Length: 0"),
    "script name": line(b"GET / HTTP/1.1", b"SCRIPT_NAME: /there", b"Script-Name: /there"),
    "path info": line(b"GET / HTTP/1.1", b"PATH_INFO: /hidden", b"Path-Info: /hidden"),
    "scheme": line(b"GET / HTTP/1.1", b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off"),
    "proxy line": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + line(b"GET / HTTP/1.1"),
    "connection names the host": line(b"GET / HTTP/1.1", b"Connection: Host, close"),
    "many ranges": line(b"GET /static/app.css HTTP/1.1", b"Range: bytes=" + b"0-," * 1000),
    "noise": bytes(range(256)) * 4,
    "TLS": bytes.fromhex("16030100510100004d0303") + bytes(70),
}  # fmt: skip
TRAILERS = {
    "length as a trailer": framed(CHUNKED, body=b"0\r\nContent-Length: 50\r\nHost: there\r\n\r\n"),
    "coding as a trailer": framed(CHUNKED, body=b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "bad trailer": framed(CHUNKED, body=b"0\r\nGET /hidden HTTP/1.1\r\n\r\n"),
}
REQUESTS = (
    LENGTHS
    | {f"chunk: {name}": framed(CHUNKED, body=chunk + END + HIDDEN) for name, chunk in CHUNKS.items()}
    # What nginx passes over; it passes on a body with a length.
    | {f"chunk: {name}": framed(CHUNKED, body=chunk + END) for name, chunk in LENIENT.items()}
    | {f"line: {name}": request for name, request in LINES.items()}
    | TRAILERS
)


def _sent(port: int, request: bytes) -> list[int] | str:
    received = exchange(port, request, PROBE)
    try:
        return statuses(received)
    except (AssertionError, http.client.HTTPException, ValueError) as error:
        return f"{error!r}: {received[:200]!r}"


def _wrong(answers: list[int] | str) -> bool:
    """More answers than requests, none that can be read, or a fault of ours.

    501 and 505 are what RFC 9110 has a server say to codings and versions that it does not know.
    """
    return (
        isinstance(answers, str) or len(answers) > 2 or any(n >= 500 and n not in {501, 505} for n in answers)
    )


@pytest.mark.promise("G7")
@pytest.mark.parametrize("way", ["direct", "nginx"])
def test_malformed(service: Service, proxy: Proxy, way: str) -> None:
    """Malformed and ambiguous requests are refused, or understood in one way, directly and behind nginx."""
    port = service.port if way == "direct" else proxy.port
    workers, before = service.workers(), len(service.log)

    with ThreadPoolExecutor(12) as pool:
        answers = dict(zip(REQUESTS, pool.map(partial(_sent, port), REQUESTS.values()), strict=True))

    logged = service.log[before:]
    assert {name: given for name, given in answers.items() if _wrong(given)} == {}
    assert '"path":"/hidden"' not in logged
    assert "Traceback" not in logged
    assert service.workers() == workers
    assert exchange(port, PROBE).startswith(b"HTTP/1.1 200 ")


@pytest.mark.promise("G7")
@pytest.mark.parametrize("chunk", CHUNKS.values(), ids=list(CHUNKS))
def test_unread_body(service: Service, chunk: bytes) -> None:
    """A request that was answered without its body gets no second answer if that body is no HTTP."""
    request = framed(CHUNKED, body=chunk + END + HIDDEN).replace(b"/predict", b"/nowhere")

    assert statuses(exchange(service.port, request, PROBE)) == [404]


@pytest.mark.promise("G7")
@pytest.mark.parametrize("way", ["direct", "nginx"])
@pytest.mark.parametrize("kind", ["length and chunks", "chunks and length", "two lengths"])
def test_two_ends(service: Service, proxy: Proxy, kind: str, way: str) -> None:
    """A body with two ends is refused on a kept connection, too, and the connection is given up."""
    port = service.port if way == "direct" else proxy.port

    for _ in range(20):
        received = exchange(port, PROBE, PROBE, REQUESTS[kind], PROBE)
        # A worker that has more connections than another has its clients connect anew.
        if statuses(received) not in ([200], [200, 200]):
            break

    assert statuses(received) == [200, 200, 400]
    assert b"Connection: close" in received.rpartition(b"HTTP/1.1 ")[2]


def resident(pid: int) -> int:
    """Bytes of memory that a process has of its own."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_", "Shared_Dirty")))


@contextmanager
def flat(service: Service) -> Iterator[None]:
    """Fail if a worker's memory grows by 32 MB in the block, at any moment."""
    workers = service.workers()
    before, most, ended = sum(map(resident, workers)), list[int](), threading.Event()

    def watch() -> None:
        most.append(sum(map(resident, workers)))
        while not ended.wait(0.05):
            most.append(sum(map(resident, workers)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    assert service.workers() == workers
    assert max(most) - before < 32_000_000


@pytest.mark.promise("G11")
@pytest.mark.parametrize("way", ["direct", "nginx"])
def test_many_chunks(service: Service, proxy: Proxy, cat: Path, way: str) -> None:
    """A million chunks of one byte are no image, and take no more memory than their bytes."""
    port = service.port if way == "direct" else proxy.port
    service.post("/predict", data=cat.read_bytes(), headers={"Content-Type": "image/jpeg"})

    with flat(service):
        received = exchange(
            port,
            POST + CHUNKED + b"Connection: close\r\n\r\n",
            b"1\r\nx\r\n" * 1_000_000 + END,
            first=PATIENCE,
        )

    assert statuses(received) == [415]


@pytest.mark.promise("G11")
@pytest.mark.parametrize("way", ["direct", "nginx"])
@pytest.mark.parametrize("headers", [(b"A: " + b"b" * 100_000,), (b"A: b",) * 20_000])
def test_many_headers(service: Service, proxy: Proxy, headers: tuple[bytes, ...], way: str) -> None:
    """A hundred kilobytes of headers are refused."""
    port = service.port if way == "direct" else proxy.port

    with flat(service):
        received = exchange(port, line(b"GET /healthz HTTP/1.1", *headers))

    assert received[9:12] in {b"400", b"431"}
