"""A bucket that is missing is not taken for one without an object."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from predictor.cluster.bucket import Bucket, Unavailable


class _Server(http.server.ThreadingHTTPServer):
    """Has nothing, for the reason `code`."""

    code = "NoSuchKey"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Say what is not there."""
        assert isinstance(self.server, _Server)
        text = f"<?xml version='1.0'?><Error><Code>{self.server.code}</Code></Error>".encode()
        self.send_response(404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    """A server that stands in for a cloud."""
    with _Server(("127.0.0.1", 0), _Handler) as made:
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        for cloud in ("AWS_ENDPOINT_URL", "AZURE_STORAGE_ENDPOINT"):
            monkeypatch.setenv(cloud, f"http://127.0.0.1:{made.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
        yield made
        made.shutdown()


@pytest.mark.parametrize(
    ("scheme", "key", "bucket"),
    [("s3", "NoSuchKey", "NoSuchBucket"), ("az", "BlobNotFound", "ContainerNotFound")],
)
def test_missing_bucket(server: _Server, scheme: str, key: str, bucket: str) -> None:
    """The code of the answer tells them apart."""
    found = Bucket.open(f"{scheme}://bucket/prefix")
    server.code = key
    assert found.get("changes/1") is None

    server.code = bucket
    with pytest.raises(Unavailable):
        found.get("changes/1")
