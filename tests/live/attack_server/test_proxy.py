"""`deploy/nginx.conf` in the real nginx: what it keeps from the service, and what it says then."""

import gzip
import json
import re
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import trustme

from predictor.config import MEGA, Settings
from tests.live.proxy import FILE, Proxy
from tests.live.raw import OUTSIDE, call, exchange
from tests.live.service import Service, free_port
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
SITE = FILE.read_text()
INSIDE = "127.0.0.1"
# So many times lower than in the file the rates are where they are to be exceeded.
SLOWLY = 10
FIELDS = {"type", "title", "status", "detail", "code", "request_id"}


def problem(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, str]:
    """Status and code of an error that has the contract's form."""
    status, headers, body = answer
    document = json.loads(body)
    assert headers["content-type"] == "application/problem+json"
    assert document.keys() == FIELDS
    assert document["status"] == status
    assert headers["x-request-id"] == document["request_id"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    return status, document["code"]


def test_every_form_passes(proxy: Proxy, cat: Path) -> None:
    """An image is answered through nginx as it is without, with the caller's request id."""
    answer = call(
        proxy.port, "POST", "/predict", cat.read_bytes(), Content_Type="image/jpeg", X_Request_ID="mine-1"
    )

    assert (answer[0], json.loads(answer[2])["predicted_label"]) == (200, "tiger cat")
    assert answer[1]["x-request-id"] == "mine-1"


@pytest.mark.parametrize("given", ["", "with space", "a" * 129, '"}', "mine:2"])
def test_request_ids(proxy: Proxy, service: Service, given: str) -> None:
    """What is no request id is replaced by one that nginx makes, which the service logs."""
    _, headers, _ = call(proxy.port, "GET", "/models", X_Request_ID=given)

    made = headers["x-request-id"]
    assert made == given if given == "mine:2" else re.fullmatch(r"[0-9a-f]{32}", made)
    assert f'"request_id":"{made}"' in service.log


def test_trace_ids(proxy: Proxy, service: Service) -> None:
    """A request of a trace has the trace's id; nginx makes one for what is no trace."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    given = [f"00-{trace}-b7ad6b7169203331-01", f"00-{'0' * 32}-b7ad6b7169203331-01", "nonsense"]
    found = [call(proxy.port, "GET", "/models", traceparent=one)[1]["x-request-id"] for one in given]

    assert found[0] == trace
    assert trace not in found[1:]
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in found)
    assert f'"request_id":"{trace}"' in service.log


@pytest.mark.promise("A7")
def test_closed_from_outside(proxy: Proxy, service: Service) -> None:
    """Metrics and everything that changes models are refused to other machines, and reading is not."""
    closed = [
        ("GET", "/metrics"), ("POST", "/upload"), ("POST", "/evaluate"), ("POST", "/tune"),
        ("POST", "/models/default/activate"), ("POST", "/models/default/rollback"),
        ("POST", "/models/default/preprocessing"), ("DELETE", "/models/default/versions/1"),
        ("PUT", "/models/default"), ("GET", "//metrics"), ("GET", "/./metrics"), ("GET", "/x/../metrics"),
        ("GET", "/%6detrics"), ("POST", "/%75pload"), ("POST", "//upload"), ("POST", "/models/../upload"),
    ]  # fmt: skip
    refused = {(method, path): problem(call(proxy.port, method, path, b"")) for method, path in closed}
    opened = [call(proxy.port, "GET", path)[0] for path in ("/", "/models", "/upload", "/healthz", "/readyz")]

    assert refused == dict.fromkeys(closed, (403, "forbidden"))
    assert opened == [200] * 5
    assert call(proxy.port, "GET", "/metrics", source=INSIDE)[0] == 200
    # The service itself changes nothing for requests that come through a proxy, unless they bring its token.
    assert call(proxy.port, "POST", "/models/default/rollback", b"", source=INSIDE)[0] == 403


@pytest.mark.promise("A7")
@pytest.mark.parametrize(
    "path", ["/metrics/", "/metrics;x", "/metrics%2f", "/METRICS", "/metrics%00", "/upload/"]
)
def test_no_way_round(proxy: Proxy, path: str) -> None:
    """Other spellings of a closed address do not lead to it."""
    status, _, body = call(proxy.port, "POST" if "upload" in path else "GET", path)

    assert status in {400, 403, 404, 405}
    assert b"http_requests_total" not in body


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/static/app.css"])
def test_compressed(proxy: Proxy, path: str) -> None:
    """Pages, styles and JSON are compressed for a client that accepts it."""
    _, headers, body = call(proxy.port, "GET", path, Accept_Encoding="gzip")

    assert headers["content-encoding"] == "gzip"
    assert len(gzip.decompress(body)) > 2 * len(body)


def test_limits_agree() -> None:
    """The proxy takes what the service takes and hardly more, so that the service's own words are heard."""
    settings = Settings()
    sizes = [int(size) * 1024 * 1024 for size in re.findall(r"client_max_body_size (\d+)m;", SITE)]
    predict, *others = sizes
    least, most = settings.max_model_bytes + 9 * MEGA, 1.1 * settings.max_model_bytes

    assert settings.max_body_bytes < predict < 1.1 * settings.max_body_bytes
    assert [size for size in others if not least <= size < most] == []


@pytest.mark.parametrize(
    ("path", "length", "code"),
    [("/predict", 200 * MEGA, "image_too_large"), ("/upload", 2000 * MEGA, "model_too_large")],
)
def test_too_large(proxy: Proxy, path: str, length: int, code: str) -> None:
    """A body that is too large is refused before it comes."""
    received = exchange(
        proxy.port, f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    head, _, body = received.partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 413 ")
    assert json.loads(body)["code"] == code


@pytest.mark.parametrize(
    "path", ["/upload", "/evaluate", "/models/default/optimise", "/models/default/golden"]
)
def test_images_of_a_model(proxy: Proxy, path: str) -> None:
    """What may have as many bytes as a model is asked for, on each route that takes it."""
    length = Settings().max_model_bytes
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"

    assert exchange(proxy.port, head.encode()).startswith(b"HTTP/1.1 100 ")


def test_service_is_away(tmp_path: Path) -> None:
    """Without a service behind it nginx says that it is not ready, and when to come back."""
    with Proxy(tmp_path / "nginx", free_port()) as alone:
        answers = [call(alone.port, "GET", "/healthz"), call(alone.port, "POST", "/predict", b"x")]

    assert [problem(answer) for answer in answers] == [(503, "not_ready")] * 2
    assert [answer[1]["retry-after"] for answer in answers] == ["2", "2"]


@pytest.mark.promise("A9")
@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"NONSENSE\r\n\r\n", 400, "invalid_request"),
        (b"TRACE / HTTP/1.1\r\nHost: here\r\n\r\n", 405, "method_not_allowed"),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n", 414, "invalid_request"),
        (b"GET / HTTP/1.1\r\nHost: here\r\nLong: " + b"a" * 40_000 + b"\r\n\r\n", 431, "invalid_request"),
        (b"GET / HTTP/1.1\r\nHost: bad host\r\n\r\n", 400, "invalid_request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "invalid_request"),
        (b"GET / HTTP/1.1\r\nHost: here\r\nHost: there\r\n\r\n", 400, "invalid_request"),
        (b"GET /image-prediction-problem HTTP/1.1\r\nHost: here\r\n\r\n", 404, "not_found"),
    ],
)
def test_own_refusals(proxy: Proxy, request_: bytes, status: int, code: str) -> None:
    """Whatever nginx refuses by itself has the form of the service's errors."""
    head, _, body = exchange(proxy.port, request_).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}

    assert problem((int(lines[0].split()[1]), headers, body)) == (status, code)


@pytest.mark.promise("A9")
@pytest.mark.parametrize("path", ["/v2", "/v2/models/default/infer", "/v2?a", "/hf/default"])
def test_refusals_of_protocols(proxy: Proxy, path: str) -> None:
    """Under the paths of other protocols, what nginx refuses has the form that their clients read."""
    head, _, body = exchange(
        proxy.port, f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {200 * MEGA}\r\n\r\n".encode()
    ).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"application/json" in head
    assert json.loads(body) == {"error": "The request has more bytes than allowed."}


@pytest.mark.parametrize("action", ["load", "unload"])
def test_repository_from_outside(proxy: Proxy, action: str) -> None:
    """Other machines can neither load nor unload a model, but look and infer."""
    status, _, body = call(proxy.port, "POST", f"/v2/repository/models/cats/{action}", b"")
    assert (status, json.loads(body).keys()) == (403, {"error"})

    assert call(proxy.port, "POST", "/v2/repository/index", b"")[0] == 200
    assert call(proxy.port, "GET", "/v2/models/default/ready")[0] == 200


@pytest.fixture
def hasty(service: Service, tmp_path: Path) -> Iterator[Proxy]:
    """An nginx of the test's own, which has counted nobody yet."""
    with Proxy(tmp_path / "nginx", service.port) as running:
        yield running


@pytest.fixture
def strict(service: Service, tmp_path: Path) -> Iterator[Proxy]:
    """An nginx that lets each address ask at a tenth of the rates of the file."""
    with Proxy(tmp_path / "nginx", service.port, slowly=SLOWLY) as running:
        yield running


def test_rates() -> None:
    """An address may send 50 predictions a second and 10 uploads a minute, and more for a moment."""
    rates = re.findall(r"limit_req_zone .* zone=image_prediction_(\w+):10m rate=(\S+);", SITE)
    bursts = re.findall(r"limit_req zone=image_prediction_(\w+) burst=(\d+) nodelay;", SITE)

    assert dict(rates) == {"predict": "50r/s", "upload": "10r/m"}
    assert dict(bursts) == {"predict": "100", "upload": "10"}


@pytest.mark.promise("A8", "A9")
def test_rate_of_predictions(strict: Proxy) -> None:
    """An address that asks too fast gets 429 for what is too much, whoever it claims to be; others do not."""

    def ask(number: int, source: str = OUTSIDE) -> tuple[int, dict[str, str], bytes]:
        headers = {"X_Forwarded_For": f"10.0.0.{number % 250}", "Content_Type": "application/json"}
        return call(strict.port, "POST", "/predict", b"{}", source=source, **headers)

    begin = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(400)))
        others = list(pool.map(lambda number: ask(number, "127.0.0.3"), range(20)))
    seconds = time.monotonic() - begin

    counts = Counter(answer[0] for answer in answers)
    assert counts.keys() == {400, 429}
    # A burst of 100, and what may be asked in this time.
    assert 100 <= counts[400] <= 101 + 50 / SLOWLY * (seconds + 1)
    refused = [answer for answer in answers if answer[0] == 429]
    assert {problem(answer) for answer in refused} == {(429, "too_many_requests")}
    assert {answer[1]["retry-after"] for answer in refused} == {"1"}
    assert {answer[0] for answer in others} == {400}


@pytest.mark.promise("A8")
def test_rate_of_uploads(strict: Proxy) -> None:
    """Uploads are counted much more narrowly."""
    begin = time.monotonic()
    statuses = Counter(call(strict.port, "POST", "/upload", b"", source=INSIDE)[0] for _ in range(15))
    minutes = (time.monotonic() - begin) / 60

    assert statuses.keys() == {403, 429}
    assert 11 <= statuses[403] <= 11 + 10 / SLOWLY * minutes


@pytest.mark.promise("O1")
def test_in_flight(hasty: Proxy, cat: Path) -> None:
    """More than can be done at a time is refused at once, with the time to come back; probes are not."""
    picture, seconds = cat.read_bytes(), dict[int, list[float]]()

    def ask(number: int) -> tuple[int, dict[str, str], bytes]:
        begin = time.monotonic()
        answer = call(hasty.port, "POST", f"/predict?top_k={1 + number % 900}", picture,
                      source=f"127.0.0.{10 + number % 8}", Content_Type="image/jpeg")  # fmt: skip
        seconds.setdefault(answer[0], []).append(time.monotonic() - begin)
        return answer

    with ThreadPoolExecutor(160) as pool:
        asked = [pool.submit(ask, number) for number in range(480)]
        probes = [call(hasty.port, "GET", "/healthz", source="127.0.0.9")[0] for _ in range(10)]
        answers = [one.result() for one in asked]

    counts = Counter(answer[0] for answer in answers)
    assert counts.keys() == {200, 503}, counts
    refused = [answer for answer in answers if answer[0] == 503]
    assert {problem(answer) for answer in refused} == {(503, "overloaded")}
    assert {answer[1]["retry-after"] for answer in refused} == {"1"}
    assert probes == [200] * 10
    # All of this runs on the same cores as the service: most are refused before most are answered.
    assert statistics.median(seconds[503]) < statistics.median(seconds[200])
    assert call(hasty.port, "POST", "/predict", picture, Content_Type="image/jpeg")[0] == 200


@pytest.mark.promise("G6")
def test_slow_clients(hasty: Proxy) -> None:
    """Clients that drip their headers or bodies hold nothing that others need."""
    head = b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: image/jpeg\r\n"
    drippers = [socket.create_connection(("127.0.0.1", hasty.port)) for _ in range(40)]
    try:
        for number, dripper in enumerate(drippers):
            dripper.sendall(head if number % 2 else head + b"Content-Length: 1000\r\n\r\n")
        for _ in range(40):
            for dripper in drippers:
                dripper.sendall(b"X")
            # Where they held what it needs, it would wait as long as they drip.
            assert call(hasty.port, "GET", "/healthz")[0] == 200
            time.sleep(0.05)
        # Nothing of theirs has reached the service: its connections are nginx's few.
        busy = len(hasty.connections())
    finally:
        for dripper in drippers:
            dripper.close()

    assert busy < 20


def test_connections_are_kept(tmp_path: Path) -> None:
    """The proxy keeps its connections to the service instead of opening one for each request."""
    kept = set[str]()
    # One of several workers would let a connection go to another one now and then.
    with Service(tmp_path / "data", workers=1) as alone, Proxy(tmp_path / "nginx", alone.port) as proxy:
        for _ in range(25):
            call(proxy.port, "GET", "/healthz")
            kept.update(proxy.connections())

    assert 1 <= len(kept) <= 2, kept


def test_tls(service: Service, tmp_path: Path) -> None:
    """The example of TLS in the file works, and older versions of TLS do not."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    chain, key, trusted = (tmp_path / name for name in ("chain.pem", "key.pem", "ca.pem"))
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(trusted))

    with Proxy(tmp_path / "nginx", service.port, certificate=(chain, key)) as secure:
        answer = requests.get(
            f"https://localhost:{secure.tls_port}/readyz", verify=str(trusted), timeout=PATIENCE
        )
        plain = exchange(secure.tls_port, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")

    assert answer.status_code == 200
    assert plain.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"invalid_request"' in plain
    assert "quic" not in re.sub(r"#.*", "", SITE)
