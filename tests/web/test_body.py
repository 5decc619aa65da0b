"""A client that does not send all of its request is no fault of the service, and is counted."""

import errno
import io
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from gunicorn.http.errors import InvalidChunkSize

from predictor.errors import ClientClosedRequest, IncompleteBody, InvalidRequest, RequestTimeout
from predictor.web.body import RequestBody

BOUNDARY = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\nabc'
SENT = {
    "image": ("/predict", "image/jpeg", b"\xff\xd8\xff"),
    "no type": ("/predict", "", b"\xff\xd8\xff"),
    "JSON": ("/predict", "application/json", b'{"image": "'),
    "urlencoded": ("/predict", "application/x-www-form-urlencoded", b"image_url="),
    "form": ("/predict", BOUNDARY, PART % b"image"),
    "page": ("/", BOUNDARY, PART % b"image"),
    "upload": ("/upload", BOUNDARY, PART % b"model"),
    "evaluation": ("/evaluate", BOUNDARY, PART % b"pictures"),
    "tuning": ("/tune", BOUNDARY, PART % b"pictures"),
    "activation": ("/models/default/activate", "application/json", b"{"),
    "preprocessing": ("/models/default/preprocessing", "application/json", b"{"),
}
RESET = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
SLOW = TimeoutError(errno.ECONNRESET, "The client is too slow.")


class Failing(io.BytesIO):
    """A body that begins well and then raises."""

    def __init__(self, data: bytes, error: Exception) -> None:
        super().__init__(data)
        self._error = error

    def read(self, size: int | None = -1, /) -> bytes:
        """What is there, if it suffices."""
        data = super().read(size)
        if data and size is not None and 0 <= size <= len(data):
            return data
        raise self._error


def send(client: FlaskClient, kind: str, body: io.BytesIO) -> Any:
    """Send a request whose body is said to be longer than it is."""
    path, content_type, data = SENT[kind]
    environ = {"CONTENT_LENGTH": str(len(data) + 1000), "CONTENT_TYPE": content_type, "wsgi.input": body,
               "wsgi.input_terminated": True}  # fmt: skip
    return client.post(path, base_url="http://127.0.0.1", environ_overrides=environ)


def disconnects(app: Flask) -> float:
    """How many clients have left, by the counter."""
    counter = app.extensions["predictor"].metrics.disconnects
    return float(counter.collect()[0].samples[0].value)


@pytest.mark.parametrize("kind", SENT)
def test_reset(app: Flask, client: FlaskClient, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A reset within the body is 499, without an error in the log."""
    before = disconnects(app)

    answer = send(client, kind, Failing(SENT[kind][2], RESET))

    assert answer.status_code == 499
    assert disconnects(app) == before + 1
    assert [record for record in caplog.records if record.levelname == "ERROR" or record.exc_info] == []


@pytest.mark.parametrize("kind", SENT)
def test_end(app: Flask, client: FlaskClient, kind: str) -> None:
    """An end of the body before its length is 400: the client may still read."""
    before = disconnects(app)

    answer = send(client, kind, io.BytesIO(SENT[kind][2]))

    assert answer.status_code == 400
    assert disconnects(app) == before + 1


@pytest.mark.parametrize("kind", SENT)
def test_slow(app: Flask, client: FlaskClient, kind: str) -> None:
    """A client that is too slow is told so."""
    before = disconnects(app)

    answer = send(client, kind, Failing(SENT[kind][2], SLOW))

    assert answer.status_code == 408
    assert "slowly" in answer.get_data(as_text=True)
    assert disconnects(app) == before


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (RESET, ClientClosedRequest),
        (SLOW, RequestTimeout),
        (OSError("No more data"), IncompleteBody),
        (InvalidChunkSize(b"x"), InvalidRequest),
    ],
)
def test_translated(error: Exception, raised: type[Exception]) -> None:
    """What the connection raises is an error of the request, also where the length is not known."""
    with pytest.raises(raised):
        RequestBody(Failing(b"abc", error), None).read(10)


def test_whole() -> None:
    """A body that comes whole is read as it is, at once or in pieces."""
    assert RequestBody(io.BytesIO(b"abcdef"), 6).read() == b"abcdef"
    body = RequestBody(io.BytesIO(b"abcdef"), 6)
    assert [body.read(4), body.read(4), body.read(4)] == [b"abcd", b"ef", b""]
    assert RequestBody(io.BytesIO(b"abc"), None).read() == b"abc"
