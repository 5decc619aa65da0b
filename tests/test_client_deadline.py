"""The time that a call of the client was given is the time of all of it, however slowly bytes go or come."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from predictor.client import Client
from predictor.client_types import DeadlineExceeded

BODY = json.dumps({"status": "success", "padding": "x" * 400}).encode()
HEAD = f"HTTP/1.1 200 OK\r\nX-Padding: {'x' * 400}\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
SECONDS = 0.5
# A byte comes long before a wait of that length would end, and the last one long after.
PAUSE = 0.02
PIECE, MODEL = 1 << 18, 1 << 26


@contextmanager
def server(serve: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A server for one connection, until the block ends; its URL."""
    ended = threading.Event()

    def run() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            serve(connection, ended)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        # What the kernel takes for a server that does not read must stay small.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        ended.set()
        thread.join()


@pytest.mark.parametrize(("at_once", "slowly"), [(b"", HEAD + BODY), (HEAD, BODY)], ids=["head", "body"])
def test_answer_byte_by_byte(at_once: bytes, slowly: bytes) -> None:
    """An answer whose head or body comes a byte at a time is given up when the time is over."""

    def serve(connection: socket.socket, ended: threading.Event) -> None:
        connection.recv(65_536)
        connection.sendall(at_once)
        for byte in slowly:
            connection.sendall(bytes([byte]))
            ended.wait(PAUSE)

    with server(serve) as url, Client(url, timeout=SECONDS) as client, pytest.raises(DeadlineExceeded):
        client.rollback()


def test_request_piece_by_piece(tmp_path: Path) -> None:
    """So is a request that the server takes in small pieces."""
    (tmp_path / "m.onnx").touch()
    os.truncate(tmp_path / "m.onnx", MODEL)

    def serve(connection: socket.socket, ended: threading.Event) -> None:
        left = MODEL
        while left > 0 and (piece := connection.recv(PIECE, socket.MSG_WAITALL)):
            left -= len(piece)
            ended.wait(PAUSE)
        connection.sendall(HEAD + BODY)

    with server(serve) as url, Client(url, long_timeout=SECONDS) as client, pytest.raises(DeadlineExceeded):
        client.upload(tmp_path / "m.onnx")
