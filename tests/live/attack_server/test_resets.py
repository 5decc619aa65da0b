"""Clients that leave in the middle of a body: no error of the service, and no traceback in the log."""

import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.service import Service

pytestmark = pytest.mark.live
BODY = b"\xff\xd8\xff" + bytes(200_000)
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n" + BODY
)
LENGTH = b"Content-Length: 400000\r\n\r\n"
LOOPBACK = b"Host: 127.0.0.1\r\n"
MULTIPART = b"Content-Type: multipart/form-data; boundary=b\r\n"
REQUESTS = {
    "image": (b"/predict", b"Content-Type: image/jpeg\r\n" + LENGTH + BODY),
    "no type": (b"/predict", LENGTH + BODY),
    "curl's type": (b"/predict", b"Content-Type: application/x-www-form-urlencoded\r\n" + LENGTH + BODY),
    "JSON": (b"/predict", b"Content-Type: application/json\r\n" + LENGTH + b'{"image": "' + b"a" * 200_000),
    "form": (b"/predict", MULTIPART + LENGTH + FORM % b"image"),
    "chunks": (
        b"/predict",
        b"Content-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n30d43\r\n" + BODY,
    ),
    "page": (b"/", MULTIPART + LENGTH + FORM % b"image"),
    "upload": (b"/upload", MULTIPART + LENGTH + FORM % b"model"),
    "evaluation": (b"/evaluate", MULTIPART + LENGTH + FORM % b"pictures"),
    "activation": (b"/models/default/activate", b"Content-Type: application/json\r\n" + LENGTH + b"{"),
    "preprocessing": (
        b"/models/default/preprocessing",
        b"Content-Type: application/json\r\n" + LENGTH + b"{",
    ),
}
TIMES = 5


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service that only this file asks."""
    with Service(tmp_path_factory.mktemp("resets") / "data", workers=1) as running:
        yield running


def leave(port: int, request: bytes, *, reset: bool) -> None:
    """Send the beginning of a request, and end the connection with a reset or in order."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(request)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def counted(service: Service) -> Counter[str]:
    """How many requests were answered with each status."""
    found = re.findall(r'http_requests_total{.*status="(\d+)".*} (\d+)', service.get("/metrics").text)
    return sum((Counter({status: int(count)}) for status, count in found), Counter[str]())


def left(service: Service) -> int:
    """How many clients have left, by the metrics."""
    found = re.search(
        r"^predictor_client_disconnects_total (\d+)", service.get("/metrics").text, re.MULTILINE
    )
    assert found
    return int(found[1])


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds, for as long as a busy machine may need."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_no_error_of_ours(service: Service, cat: Path, reset: bool) -> None:
    """Each way to send a body, ended at several places, is counted as the client's: 499 after a reset."""
    for path, rest in REQUESTS.values():
        whole = b"POST " + path + b" HTTP/1.1\r\n" + LOOPBACK + rest
        for part in range(1, TIMES + 1):
            leave(service.port, whole[: len(whole) * part // TIMES], reset=reset)

    # One piece of each has all headers and not all of the body, at least.
    wait_for(lambda: counted(service)["499" if reset else "400"] >= len(REQUESTS))
    wait_for(lambda: left(service) >= len(REQUESTS))
    assert service.post("/predict", data=cat.read_bytes()).status_code == 200
    assert [status for status in counted(service) if status.startswith("5")] == []
    assert "Traceback" not in service.log
    assert '"level":"error"' not in service.log.replace(" ", "")
