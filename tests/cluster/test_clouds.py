"""Each cloud is asked in its own form to write an object only if it is absent."""

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from predictor.cluster.bucket import Bucket
from predictor.errors import ConfigError

CONDITIONS = {
    "s3": ("if-none-match", "*"),
    "az": ("if-none-match", "*"),
    "gs": ("x-goog-if-generation-match", "0"),
}


class _Server(http.server.ThreadingHTTPServer):
    """Takes every object, and keeps the headers of each request by its path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, Mapping[str, str]]] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        """Take an object."""
        assert isinstance(self.server, _Server)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, {name.lower(): text for name, text in self.headers.items()}))
        self.send_response(201)
        for name, text in (("ETag", '"1"'), ("x-goog-generation", "1"), ("Content-Length", "0")):
            self.send_header(name, text)
        self.end_headers()

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


def test_missing_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud without what it needs to be found is an error of the settings."""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)

    with pytest.raises(ConfigError, match="variables of the cloud"):
        Bucket.open("az://container/prefix")
