"""Servers of models in this process: a hub with the routes of Hugging Face's, and one of plain files."""

import hashlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.patience import PATIENCE
from tools.sample_models import classifier

LABELS = ["red", "green", "blue"]
MODEL = classifier(LABELS, winner=1, metadata=False)
BUNDLE = {
    "config.json": json.dumps({"id2label": dict(enumerate(LABELS)), "model_type": "vit"}).encode(),
    "preprocessor_config.json": json.dumps(
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
    ).encode(),
    "onnx/model.onnx": MODEL,
    "pytorch_model.bin": b"\x80\x02" * 4000,
    "README.md": b"# A model",
}
"""A repository as Hugging Face's have them, whose model says `green` to everything."""

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 300
"""Files of more bytes are kept elsewhere, as the hub does with Git LFS."""

_POLL_SECONDS = 0.02

Reply = tuple[int, dict[str, str], bytes]


class Files:
    """A server that hands out files by their paths and keeps the headers of each request.

    Attributes:
        files: the body for each path, with its slash; a test may change it.
        asked: method, path and headers of each request.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.url = ""

    def reply(self, path: str, headers: Mapping[str, str]) -> Reply:  # noqa: ARG002 - a hub looks at them
        """What a request gets."""
        body = self.files.get(unquote(urlsplit(path).path))
        return (404, {}, b"gone") if body is None else (200, {"ETag": '"one"'}, body)


class Hub(Files):
    """A hub with one repository, `org/name`, whose branch `main` and whose commit are the same files.

    Args:
        files: of the repository.
        storage: where its large files are kept.
        token: that it wants, if it wants one.
    """

    def __init__(self, files: Mapping[str, bytes], storage: Files, token: str | None = None) -> None:
        super().__init__(files)
        self.storage = storage
        self.token = token

    def reply(self, path: str, headers: Mapping[str, str]) -> Reply:
        """What a request gets."""
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {}, b'{"error": "Invalid username or password."}'
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        if parts[:4] == ["api", "models", "org", "name"] and parts[5:] in ([], ["main"], [COMMIT]):
            return 200, {"Content-Type": "application/json"}, json.dumps(self._info()).encode()
        if parts[:3] == ["org", "name", "resolve"] and parts[3] in {"main", COMMIT}:
            return self._resolved("/".join(parts[4:]))
        return 404, {}, b'{"error": "not found"}'

    def _info(self) -> dict[str, Any]:
        return {
            "id": "org/name",
            "modelId": "org/name",
            "sha": COMMIT,
            "tags": [],
            "private": False,
            "downloads": 0,
            "siblings": [self._sibling(name, body) for name, body in self.files.items()],
        }

    def _sibling(self, name: str, body: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(body).hexdigest()
        large = (
            {"lfs": {"sha256": digest, "size": len(body), "pointerSize": 130}} if len(body) > LARGE else {}
        )
        return {"rfilename": name, "size": len(body), "blobId": digest[:40], **large}

    def _resolved(self, name: str) -> Reply:
        body = self.files.get(name)
        if body is None:
            return 404, {"X-Error-Code": "EntryNotFound"}, b"Entry not found"
        digest = hashlib.sha256(body).hexdigest()
        about = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        if len(body) <= LARGE:
            return 200, about, body
        self.storage.files.setdefault(f"/{digest}", body)
        moved = {"X-Linked-Size": str(len(body)), "X-Linked-Etag": f'"{digest}"'}
        return 302, {**about, **moved, "Location": f"{self.storage.url}/{digest}"}, b""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has left."""


@contextmanager
def serving(server: Files, context: ssl.SSLContext | None = None) -> Iterator[Files]:
    """Answer requests on a port of loopback, with TLS if there is a context; it sets the server's `url`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.command, self.path, dict(self.headers)))
            status, headers, body = server.reply(self.path, self.headers)  # type: ignore[arg-type]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name is the base class's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
            pass

    with _Server(("127.0.0.1", 0), Handler) as running:
        if context is not None:
            running.socket = context.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        thread.start()
        server.url = f"{'https' if context else 'http'}://127.0.0.1:{running.server_port}"
        yield server
        running.shutdown()
        thread.join(PATIENCE)
