"""Clients that send or read nothing, or hardly anything, without nginx: nobody else notices them."""

import resource
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.live.raw import call, exchange, statuses
from tests.live.service import Service
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
MANY, IDLE, PREDICTIONS = 400, 2000, 100
# What stalls is ended after about ten seconds; what it held would be held as long.
SOON, BOUND = 5.0, 60.0
HOST = b"Host: 127.0.0.1\r\n"
POST = b"POST /predict HTTP/1.1\r\n" + HOST + b"Content-Type: image/jpeg\r\n"
FORM = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n"
PART = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="a.onnx"\r\n\r\n'
GET = b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
STALLED = {
    "no byte": b"",
    "half a header": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a",
    "no body": POST + b"Content-Length: 100000\r\n\r\n",
    "half a body": POST + b"Content-Length: 100000\r\n\r\n" + bytes(50_000),
    "half a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n1000\r\nabc",
    "half a form": b"POST /predict HTTP/1.1\r\n" + HOST + FORM + PART % b"image" + b"abc",
    "half an upload": b"POST /upload HTTP/1.1\r\n" + HOST + FORM + PART % b"model" + b"abc",
    "half an evaluation": b"POST /evaluate HTTP/1.1\r\n" + HOST + FORM + PART % b"pictures" + b"abc",
    "too large": POST + b"Content-Length: 209715200\r\n\r\nx",
    "unknown path": b"POST /nowhere HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\nx",
    "unread answers": GET * 200,
    "not closed": GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service as `make run` starts it, with two workers, for this file only."""
    with Service(tmp_path_factory.mktemp("stalls") / "data") as running:
        yield running


@contextmanager
def stalled(port: int, request: bytes, count: int, *, whole: bool = False) -> Iterator[None]:
    """Connections that begin with something and then do nothing as long as the block lasts.

    Args:
        port: of the service.
        request: what is sent on each.
        count: how many.
        whole: whether that is a whole request; then all have answers, or were ended, when the block begins.
    """
    with ExitStack() as opened, selectors.DefaultSelector() as answers:
        for _ in range(count):
            client = opened.enter_context(socket.socket())
            # What nobody reads fills this buffer: a small one, as to fill hundreds is work and no stall.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.1", port))
            client.setblocking(False)
            client.send(request) if request else None
            answers.register(client, selectors.EVENT_READ)
        while whole and answers.get_map():
            ready = answers.select(PATIENCE)
            assert ready
            for key, _ in ready:
                answers.unregister(key.fileobj)
        yield


def timed(ask: Callable[[], int]) -> tuple[int, float]:
    """A status, and the seconds until it came."""
    began = time.monotonic()
    status = ask()
    return status, time.monotonic() - began


def check_others(service: Service, cat: Path) -> None:
    """Probes and predictions of other clients are answered long before what stalls is ended."""
    picture = cat.read_bytes()

    def predict(_: int) -> tuple[int, float]:
        return timed(lambda: call(service.port, "POST", "/predict", picture, source="127.0.0.1")[0])

    with ThreadPoolExecutor(4) as pool:
        predicted = pool.map(predict, range(PREDICTIONS))
        probes = [
            timed(lambda path=path: call(service.port, "GET", path, source="127.0.0.1")[0])  # type: ignore[misc]
            for path in ("/healthz", "/readyz") * 5
        ]
        answers = list(predicted)
    assert [status for status, _ in probes] == [200] * 10
    assert max(seconds for _, seconds in probes) < SOON
    assert sum(status == 200 and seconds < SOON for status, seconds in answers) >= 0.99 * PREDICTIONS


@pytest.mark.promise("G12")
@pytest.mark.parametrize("kind", STALLED)
def test_others_do_not_notice(service: Service, cat: Path, kind: str) -> None:
    """Hundreds of stalled connections of a kind delay neither probes nor predictions."""
    # Whole requests are work before they stall, so that work is waited for.
    with stalled(service.port, STALLED[kind], MANY, whole=GET[:10] in STALLED[kind]):
        check_others(service, cat)
        check_others(service, cat)


@pytest.mark.promise("G12")
def test_more_than_threads(service: Service, cat: Path) -> None:
    """Where more bodies stall than there are threads, the slowest give way."""
    with stalled(service.port, STALLED["half a body"], 900):
        check_others(service, cat)


@pytest.mark.promise("G12")
@pytest.mark.parametrize("first", [b"", GET], ids=["silent", "kept"])
def test_idle_connections(service: Service, cat: Path, first: bytes) -> None:
    """Thousands of connections on which nothing, or nothing more, is asked keep nobody from connecting."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, IDLE + 2000), hard))
    try:
        with stalled(service.port, first, min(IDLE, hard - 500), whole=bool(first)):
            check_others(service, cat)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ended(port: int, first: bytes, piece: bytes) -> tuple[float, bytes]:
    """Send something, and then a piece each second; the seconds until the server ends it, and its answer."""
    began, received = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
        try:
            client.sendall(first)
            while time.monotonic() < began + BOUND:
                try:
                    more = client.recv(65536)
                except TimeoutError:
                    # What came before the end is read yet, if it ends at this moment.
                    with suppress(ConnectionError):
                        client.sendall(piece)
                    continue
                if not more:
                    break
                received += more
        except ConnectionError:
            pass
    return time.monotonic() - began, received


@pytest.mark.promise("G12")
def test_trickle(service: Service) -> None:
    """A byte a second, or none, does not keep a connection; where a request has begun, the answer is 408."""
    sent = {
        (kind, piece): (STALLED[kind], piece)
        for kind in ("no byte", "half a header", "half a body", "half a form", "half an upload", "too large")
        for piece in (b"", b"x")
    }
    with ThreadPoolExecutor(len(sent)) as pool:
        found = dict(zip(sent, pool.map(lambda one: ended(service.port, *one), sent.values()), strict=True))

    assert max(seconds for seconds, _ in found.values()) < BOUND
    answers = {one: statuses(received) for one, (_, received) in found.items()}
    assert answers == {
        one: [] if one == ("no byte", b"") else [413 if one[0] == "too large" else 408] for one in sent
    }


@pytest.mark.promise("G12")
def test_slow_clients_are_served(service: Service, cat: Path) -> None:
    """A phone that stops for eight seconds, or sends its image over many, gets its answer."""
    picture = cat.read_bytes()
    head = POST + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(picture)
    step = len(picture) // 12 + 1

    def send(pause: float, size: int) -> list[int]:
        with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE) as client:
            client.sendall(head)
            for place in range(0, len(picture), size):
                client.sendall(picture[place : place + size])
                time.sleep(pause)
            return statuses(b"".join(iter(lambda: client.recv(65536), b"")))

    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(send, (8.0, 1.0), (len(picture) // 2 + 1, step))

        assert list(answers) == [[200], [200]]


def test_slow_reader(service: Service) -> None:
    """An answer that is read slowly comes whole."""
    whole = service.get("/openapi.json").content
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", service.port))
        client.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = b""
        while data := client.recv(len(whole) // 20):
            received += data
            time.sleep(0.1)

    assert received.endswith(whole)


def test_what_they_did_is_in_the_metrics(service: Service) -> None:
    """None of this was an error of the service."""
    found = Counter(
        line.partition("{")[0] for line in service.get("/metrics").text.splitlines() if '"5' in line
    )

    assert found["http_requests_total"] == 0
    assert "Traceback" not in service.log
    assert '"level":"error"' not in service.log.replace(" ", "")


def test_host(service: Service) -> None:
    """HTTP/1.1 without a Host header is refused, HTTP/1.0 is not."""
    answers = [exchange(service.port, b"GET /healthz HTTP/1.%d\r\n\r\n" % minor) for minor in (0, 1)]

    assert [statuses(answer) for answer in answers] == [[200], [400]]
