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
    ("status", "code"),
    [(status, "invalid_request") for status in (400, 403, 414, 417, 431, 501)] + [(500, "internal")],
)
def test_refusal(status: int, code: str) -> None:
    """It is a problem document with an id, the safe headers and the end of the connection."""
    response = answered(refusal(status, "an-id"))
    problem = json.loads(response.read())

    assert response.status == problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"/docs#{code}"
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-ID"] == problem["request_id"] == "an-id"
    assert response.headers["Connection"] == "close"
    assert dict(SAFE_HEADERS).items() <= dict(response.headers).items()


def test_caught() -> None:
    """The status of what gunicorn would have written is found, and nothing where it writes nothing."""
    caught = Caught()
    assert caught.status is None

    caught.sendall(b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")

    assert caught.status == 431
