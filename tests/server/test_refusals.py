"""What the server refuses looks like what the service refuses."""

import http.client
import json
import socket

import pytest
from gunicorn.http import errors

from predictor.problem import SAFE_HEADERS
from predictor.server.refusals import refusal


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
    ("cause", "status", "code"),
    [
        (errors.InvalidRequestLine("secret"), 400, "invalid_request"),
        (errors.InvalidHeader("secret"), 400, "invalid_request"),
        (errors.InvalidChunkSize(b"secret"), 400, "invalid_request"),
        (errors.LimitRequestLine(9, 8), 414, "invalid_request"),
        (errors.LimitRequestHeaders("secret"), 431, "invalid_request"),
        (errors.ExpectationFailed("secret"), 417, "invalid_request"),
        (errors.UnsupportedTransferCoding("secret"), 501, "invalid_request"),
        (RuntimeError("secret"), 500, "internal"),
    ],
)
def test_refusal(cause: Exception, status: int, code: str) -> None:
    """It is a problem document with an id, the safe headers and the end of the connection."""
    found, raw = refusal(cause, "an-id")
    response = answered(raw)
    problem = json.loads(response.read())

    assert found == response.status == problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"/docs#{code}"
    assert "secret" not in str(problem)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-ID"] == problem["request_id"] == "an-id"
    assert response.headers["Connection"] == "close"
    assert dict(SAFE_HEADERS).items() <= dict(response.headers).items()
