"""A store that fails says why in a few words, without addresses and credentials."""

import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import trustme
from click.testing import CliRunner

from predictor import cli
from predictor.cluster import proof
from predictor.cluster.bucket import Bucket, Unavailable

ANSWERS = {
    "AccessDenied": 403,
    "ExpiredToken": 400,
    "PermanentRedirect": 301,
    "RequestTimeTooSkewed": 403,
    "SlowDown": 503,
}


class _Server(http.server.ThreadingHTTPServer):
    """Refuses everything for the reason `code`, or with a status alone; or writes, and refuses the rest."""

    code, status, writes = "", 0, False


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    written: ClassVar = set[str]()

    def do_PUT(self) -> None:
        """Refuse, as S3 does, or write what is not there."""
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.writes and self.path not in self.written:
            self.written.add(self.path)
            self._answer(200, "")
        elif self.server.writes:
            self._answer(412, "<Error><Code>PreconditionFailed</Code></Error>")
        else:
            self._refuse()

    def do_GET(self) -> None:
        """Refuse a read, too, but for what was written."""
        if self.server.writes and "list-type" not in self.path:
            self._answer(200, "first")
        else:
            self._refuse()

    def do_HEAD(self) -> None:
        """Refuse this, too."""
        self.do_GET()

    def _refuse(self) -> None:
        code = self.server.code
        word = f"<Error><Code>{code}</Code><AWSAccessKeyId>known</AWSAccessKeyId></Error>" if code else "none"
        self._answer(self.server.status or ANSWERS[code], word)

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
        self.send_header("ETag", '"x"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    """A server that refuses."""
    with _Server(("127.0.0.1", 0), _Handler) as made:
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def reason(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Why a store at an address cannot be used."""
    monkeypatch.setattr("predictor.cluster.bucket._REQUEST_SECONDS", 0.5)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "known")

    def ask(endpoint: str) -> str:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(Unavailable) as caught:
            Bucket.open("s3://bucket/prefix").create("a", b"x")
        assert f"({caught.value.reason})" in caught.value.detail
        assert not any(word in caught.value.detail for word in ("127.0.0.1", "known", "bucket/prefix"))
        return caught.value.reason

    return ask


@pytest.fixture
def first_start(
    server: _Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[], str]:
    """What a first start says that the store does not let pass."""
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "known",
        "AWS_SECRET_ACCESS_KEY": "known",
        "PREDICTOR_STORE": "s3://bucket/prefix",
        "PREDICTOR_DATA": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)

    def start() -> str:
        assert proof.main() == proof.BROKEN
        return capsys.readouterr().out

    return start


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "ExpiredToken", "SlowDown"])
def test_word_of_the_store(server: _Server, reason: Callable[[str], str], code: str) -> None:
    """A store that answers says it in a word."""
    server.code = code

    assert reason(f"http://127.0.0.1:{server.server_port}") == code


def test_other_region(server: _Server, reason: Callable[[str], str]) -> None:
    """A bucket of another region answers with a redirect that leads nowhere."""
    server.code = "PermanentRedirect"

    assert "region" in reason(f"http://127.0.0.1:{server.server_port}")


def test_no_answer(reason: Callable[[str], str]) -> None:
    """A name that cannot be resolved, a port without a server, and a server that is silent."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "in time" in reason(f"http://127.0.0.1:{port}")

    assert "refused" in reason(f"http://127.0.0.1:{port}")
    assert "resolved" in reason("http://no-such-host.invalid")


def test_unknown_authority(server: _Server, reason: Callable[[str], str]) -> None:
    """A certificate of an authority that is not known is named."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)

    assert "certificate" in reason(f"https://localhost:{server.server_port}")


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_status_alone(server: _Server, reason: Callable[[str], str], status: int) -> None:
    """A proxy in front of a store has a status, but no word."""
    server.status = status

    assert reason(f"http://127.0.0.1:{server.server_port}") == f"HTTP status {status}"


def test_denied_head(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to HEAD has no word either."""
    server.code = "AccessDenied"
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "known")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")

    with pytest.raises(Unavailable, match=r"\(HTTP status 403\)"):
        Bucket.open("s3://bucket/prefix").find("a")


@pytest.mark.parametrize(
    ("code", "status", "writes"),
    [
        ("RequestTimeTooSkewed", 403, False),
        ("ExpiredToken", 400, False),
        ("NoSuchBucket", 404, False),
        ("AccessDenied", 403, True),
        ("", 403, True),
    ],
)
def test_at_the_start(
    server: _Server, first_start: Callable[[], str], code: str, status: int, writes: bool
) -> None:
    """A first start that is refused ends with the word of the store, also where only listing is refused."""
    server.code, server.status, server.writes = code, status, writes

    said = first_start()

    assert f"({code or 'HTTP status 403'})" in said
    assert "clock" in said


def test_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that cannot be made is no matter of credentials."""
    monkeypatch.setenv("PREDICTOR_STORE", "file:///proc/no/such")
    monkeypatch.setenv("PREDICTOR_DATA", str(tmp_path))

    assert proof.main() == proof.BROKEN

    assert "folder" in capsys.readouterr().out


@pytest.mark.parametrize(("code", "exit_code", "lines"), [("AccessDenied", 3, 2), ("ExpiredToken", 1, 0)])
def test_images_in_a_bucket(
    server: _Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, exit_code: int, lines: int
) -> None:
    """A refusal of one object is a row; credentials that have ended end the run, which can go on later."""
    server.code = code
    for name, value in {"ACCESS_KEY_ID": "known", "SECRET_ACCESS_KEY": "known", "REGION": "r"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    rows = tmp_path / "rows.jsonl"
    images = [f"s3://{code.lower()}/{name}.jpg" for name in "ab"]

    found = CliRunner().invoke(cli.main, ["predict", *images, "--jsonl", str(rows)])

    assert found.exit_code == exit_code
    assert lines == (len(rows.read_text().splitlines()) if rows.exists() else 0)
    assert exit_code == 3 or "ExpiredToken" in found.output
