"""`deploy/nginx.conf` with several machines: one that is away costs no request; no change is made twice."""

import http.server
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.proxy import FILE, Proxy
from tests.live.raw import call
from tests.live.service import Service, free_port
from tests.patience import PATIENCE

pytestmark = pytest.mark.live


def site(ports: Sequence[int]) -> str:
    """The file with a line for each machine; the proxy puts the first one's port in."""
    more = "".join(f"\n    server 127.0.0.1:{port};" for port in ports)
    return FILE.read_text().replace("server 127.0.0.1:8080;", f"server 127.0.0.1:8080;{more}")


class Broken:
    """A machine that reads a request and closes the connection."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.requests = list[bytes]()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Broken":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(PATIENCE)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(65536))


@pytest.fixture
def broken() -> Iterator[Broken]:
    """A machine that breaks every connection."""
    with Broken() as running:
        yield running


def test_one_is_away(service: Service, tmp_path: Path, cat: Path) -> None:
    """While one machine of two is away every request is answered by the other."""
    picture = cat.read_bytes()
    with Proxy(tmp_path / "nginx", free_port(), site=site([service.port])) as proxy:
        statuses = [
            call(proxy.port, "POST", "/predict", picture, Content_Type="image/jpeg")[0] for _ in range(12)
        ]
        pages = [
            call(proxy.port, "GET", path)[0]
            for path in ("/", "/models", "/readyz", "/docs")
            for _ in range(3)
        ]

    assert set(statuses) == {200}
    assert set(pages) == {200}


def test_all_are_away(tmp_path: Path) -> None:
    """Without any machine nginx says so."""
    with Proxy(tmp_path / "nginx", free_port(), site=site([free_port()])) as proxy:
        status, headers, _ = call(proxy.port, "POST", "/predict", b"x")

    assert (status, headers["content-type"]) == (503, "application/problem+json")


class _NotJoined(http.server.BaseHTTPRequestHandler):
    """A machine that does not serve yet what the others do, and says so as the service does."""

    def do_POST(self) -> None:
        """Refuse, and leave the request to another machine where nginx may pass it on."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(503)
        if self.headers["X-Predictor-Elsewhere"]:
            self.send_header("X-Accel-Redirect", "@image_prediction_elsewhere")
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"late")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""


@contextmanager
def not_joined() -> Iterator[http.server.ThreadingHTTPServer]:
    """Such a machine, which keeps the paths that it was asked for."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _NotJoined) as server:
        server.asked = list[str]()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def test_one_has_not_caught_up(service: Service, tmp_path: Path, cat: Path) -> None:
    """What a machine cannot answer yet, as it has not the models of the others, another one answers."""
    with (
        not_joined() as late,
        Proxy(tmp_path / "nginx", late.server_port, site=site([service.port])) as proxy,
    ):
        statuses = [
            call(proxy.port, "POST", "/predict", cat.read_bytes(), Content_Type="image/jpeg")[0]
            for _ in range(12)
        ]

    assert set(statuses) == {200}
    assert late.asked  # type: ignore[attr-defined]


def test_none_has_caught_up(tmp_path: Path) -> None:
    """Where no machine can answer yet, nginx asks no more than three times, and passes the last answer on."""
    with (
        not_joined() as one,
        not_joined() as other,
        Proxy(tmp_path / "nginx", one.server_port, site=site([other.server_port])) as proxy,
    ):
        status, _, body = call(proxy.port, "POST", "/predict", b"x")

    assert (status, body) == (503, b"late")
    assert len(one.asked + other.asked) <= 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("method", "path", "times"),
    [
        ("POST", "/predict", 2),
        ("POST", "/v2/models/default/infer", 2),
        ("POST", "/upload", 1),
        ("POST", "/models/default/rollback", 1),
        ("DELETE", "/models/default/versions/1", 1),
        ("POST", "/v2/repository/models/cats/load", 1),
    ],
)
def test_not_twice(broken: Broken, tmp_path: Path, method: str, path: str, times: int) -> None:
    """What was sent when its connection broke is sent once more if it is a prediction; a change never is."""
    with Broken() as other, Proxy(tmp_path / "nginx", broken.port, site=site([other.port])) as proxy:
        status, _, _ = call(proxy.port, method, path, b"", source="127.0.0.1")
        sent = broken.requests + other.requests

    assert status == 503
    assert len(sent) == times
