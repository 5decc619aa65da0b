"""What the server refuses looks like what the service refuses."""

import http.client
import json
import socket

import pytest

from predictor.refusals import SAFE_HEADERS, Caught, refusal


def answered(raw: bytes) -> http.client.HTTPResponse:
    """What a client reads of an answer."""
    here, there = socket.socketpair()
    with here, there:
        there.sendall(raw)
        there.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(here, method="GET")
        response.begin()
        return response


@pytest.mark.parametrize(
    ("status", "code"), [(400, "invalid_request"), (414, "invalid_request"), (431, "invalid_request"),
                         (501, "invalid_request"), (500, "internal")],
)  # fmt: skip
def test_refusal(status: int, code: str) -> None:
    """It is a problem document with an id, the safe headers and the end of the connection."""
    response = answered(refusal(status))
    problem = json.loads(response.read())

    assert response.status == problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"/docs#{code}"
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-ID"] == problem["request_id"]
    assert response.headers["Connection"] == "close"
    assert dict(SAFE_HEADERS).items() <= dict(response.headers).items()


def test_caught() -> None:
    """The status of what gunicorn would have written is found, and nothing where it writes nothing."""
    caught = Caught()
    assert caught.status is None

    caught.sendall(b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")

    assert caught.status == 431
