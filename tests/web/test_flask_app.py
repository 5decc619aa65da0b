"""Errors of the HTTP layer have the same form as all others, by path and Accept."""

from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskClient


def test_unknown_address(client: FlaskClient) -> None:
    """An unknown address is a problem document for scripts."""
    answer = client.get("/nothing")

    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["code"] == "not_found"


def test_page(client: FlaskClient) -> None:
    """A browser gets a page."""
    answer = client.get("/nothing", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert answer.status_code == 404
    assert answer.mimetype == "text/html"
    assert "not_found" in answer.text


def test_inference_protocol(client: FlaskClient) -> None:
    """Under /v2 the error has the form of the Open Inference Protocol."""
    assert set(client.get("/v2/models/none").get_json()) == {"error"}


def test_method(client: FlaskClient) -> None:
    """A wrong method is answered with the right ones."""
    answer = client.get("/predict")

    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert answer.get_json()["code"] == "method_not_allowed"


def test_unexpected(make_app: Callable[..., Flask]) -> None:
    """A failure of our own shows nothing of the inside."""
    app = make_app()

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("/secret/path")

    answer = app.test_client().get("/broken")

    assert answer.status_code == 500
    assert answer.get_json()["code"] == "internal"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_request_id(client: FlaskClient) -> None:
    """An id that could spoil a log line is replaced by a new one."""
    ids = [
        client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
        for given in ("my-id.7", "a b", "x" * 200)
    ]

    assert ids[0] == "my-id.7"
    assert len(ids[1]) == len(ids[2]) == 32


def test_icon(client: FlaskClient) -> None:
    """A browser that shows no page of ours finds an icon where it looks for one."""
    answer = client.get("/favicon.ico")

    assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
