"""Whatever asks a bucket trusts the authorities that the environment names, and no others."""

import http.server
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from predictor.cluster import listing, objects
from predictor.cluster.bucket import Bucket, Unavailable
from predictor.errors import ConfigError, FetchFailed

USERS: dict[str, Callable[[str], object]] = {
    "store": lambda bucket: Bucket.open(f"s3://{bucket}/models").get("a"),
    "bulk": lambda bucket: listing.read(f"s3://{bucket}/a", 100),
    "pull": lambda bucket: objects.answer(
        {"bucket": bucket, "seconds": 5, "key": "a", "most": 1}, os.environ
    ),
}
FAILURES = (Unavailable, FetchFailed, objects.Refused)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Give an object, whatever its key."""
        self.send_response(200)
        self.send_header("Content-Length", "1")
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"x")

    def do_HEAD(self) -> None:
        """Say what it is."""
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""


@pytest.fixture
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """A server with a certificate of an authority that nobody knows, or without TLS."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        if request.param == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("localhost").configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of nobody."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "x")
    for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("port", ["https"], indirect=True)
@pytest.mark.parametrize("user", USERS)
def test_own_authority(user: str, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose authority AWS_CA_BUNDLE names is read, and not without it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://localhost:{port}")
    with pytest.raises(FAILURES):
        USERS[user](f"unknown-to-{user}")

    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))

    assert USERS[user](f"known-to-{user}")


@pytest.mark.parametrize("port", ["http"], indirect=True)
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("user", USERS)
def test_without_tls(user: str, variable: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without TLS is asked if the environment names it so."""
    monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")

    assert USERS[user](f"{variable.lower().replace('_', '-')}-{user}")


@pytest.mark.parametrize("user", USERS)
def test_no_file(user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of authorities that is missing is an error, and not that of an object that is missing."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "missing.pem"))

    with pytest.raises((ConfigError, FetchFailed, objects.Refused)) as raised:
        USERS[user](f"no-file-{user}")
    assert "missing" not in str(raised.value)
