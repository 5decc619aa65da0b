"""Each cloud is asked in its own form to write an object only if it is absent."""

import datetime as dt
import http.server
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from predictor.cluster.bucket import Bucket, Unavailable
from predictor.errors import ConfigError
from tests.cluster.conftest import until

CONDITIONS = {
    "s3": ("if-none-match", "*"),
    "az": ("if-none-match", "*"),
    "gs": ("x-goog-if-generation-match", "0"),
}


class _Server(http.server.ThreadingHTTPServer):
    """Takes every object, gives out credentials, and keeps the headers of each request by its path.

    It refuses the first requests if told.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, Mapping[str, str]]] = []
        self.refused = 0


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        """Take an object."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201)

    def do_GET(self) -> None:
        """Give out credentials that end soon, as the agent of a node does, or an object that was refused."""
        assert isinstance(self.server, _Server)
        if self.path != "/credentials":
            self._answer(200 if self.server.refused else 404)
            return
        end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
        token = f"token {len(self.server.seen) + 1}"
        given = {"AccessKeyId": "key", "SecretAccessKey": "secret", "Token": token}
        self._answer(200, json.dumps({**given, "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode())

    def _answer(self, status: int, body: bytes = b"") -> None:
        assert isinstance(self.server, _Server)
        self.server.seen.append((self.path, {name.lower(): text for name, text in self.headers.items()}))
        self.send_response(503 if len(self.server.seen) <= self.server.refused else status)
        fields = {"ETag": '"1"', "x-goog-generation": "1", "Content-Length": str(len(body))}
        for name, text in (fields | {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[_Server]:
    """A server that stands in for each cloud."""
    with _Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        account = {"gcs_base_url": url, "disable_oauth": True}
        account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        (tmp_path / "account.json").write_text(json.dumps(account))
        variables = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AZURE_STORAGE_ENDPOINT": url,
            "AZURE_STORAGE_ACCOUNT_NAME": "account",
            "AZURE_STORAGE_ACCOUNT_KEY": "c2VjcmV0",
            "GOOGLE_SERVICE_ACCOUNT": str(tmp_path / "account.json"),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()


@pytest.mark.parametrize("scheme", CONDITIONS)
def test_condition(cloud: _Server, scheme: str) -> None:
    """The condition and the prefix reach the cloud."""
    assert Bucket.open(f"{scheme}://bucket/some/prefix").create("changes/1", b"x")

    ((path, headers),) = cloud.seen
    name, value = CONDITIONS[scheme]
    assert headers[name] == value
    assert path.replace("%2F", "/") == "/bucket/some/prefix/changes/1"


@pytest.mark.parametrize("operation", ["get", "put"])
def test_busy(cloud: _Server, operation: str) -> None:
    """A cloud that refuses a request because it is busy is asked again."""
    cloud.refused, bucket = 2, Bucket.open("s3://bucket/prefix")

    assert bucket.get("a") == b"" if operation == "get" else bucket.put("a", b"x")

    assert len(cloud.seen) == 3


def test_busy_when_it_must_be_written_once(cloud: _Server) -> None:
    """What is written only if it is absent is sent once: a second try would find the first one."""
    cloud.refused = 1

    with pytest.raises(Unavailable):
        Bucket.open("s3://bucket/prefix").create("changes/1", b"x")

    assert len(cloud.seen) == 1


@pytest.mark.parametrize(
    ("url", "variables", "named"),
    [
        ("az://container/prefix", {}, "AZURE_STORAGE_ACCOUNT_NAME"),
        ("s3://bucket/prefix", {"AWS_ACCESS_KEY_ID": "known"}, "AWS_SECRET_ACCESS_KEY"),
        ("gs://bucket", {"GOOGLE_APPLICATION_CREDENTIALS": "/known.json"}, "GOOGLE_APPLICATION_CREDENTIALS"),
        ("s3://bucket", {"AWS_ENDPOINT_URL": "known:9000"}, "AWS_ENDPOINT_URL must be a URL"),
        ("s3://bucket", {"AWS_CA_BUNDLE": "/known.pem"}, "AWS_CA_BUNDLE"),
    ],
)
def test_variables(
    monkeypatch: pytest.MonkeyPatch, url: str, variables: Mapping[str, str], named: str
) -> None:
    """What a cloud needs to be found is an error of the settings that names the variable, not its value."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError, match=named) as raised:
        Bucket.open(url)
    assert "known" not in raised.value.detail


def test_role(cloud: _Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials of a pod's role are fetched again before they end, with the token of its file then."""
    (tmp_path / "token").write_text("first")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    url = f"http://127.0.0.1:{cloud.server_port}/credentials"
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    bucket = Bucket.open("s3://bucket/prefix")

    assert bucket.get("one") is None
    (tmp_path / "token").write_text("second")

    def asked() -> list[str]:
        return [headers["authorization"] for path, headers in cloud.seen if path == "/credentials"]

    # They are not fetched twice in the same moment.
    until(lambda: bucket.get("two") is None and len(asked()) == 2)
    assert asked() == ["first", "second"]
    tokens = [headers["x-amz-security-token"] for path, headers in cloud.seen if path != "/credentials"]
    assert tokens[0] == "token 1"
    assert tokens[-1] != tokens[0]


def test_session_token(cloud: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that end stay those of the start: another token in the environment changes nothing."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "first")
    bucket = Bucket.open("s3://bucket/prefix")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "second")

    bucket.get("one")

    assert [headers["x-amz-security-token"] for _, headers in cloud.seen] == ["first"]
