"""Errors of the HTTP layer have the same form as all others, by path and Accept."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
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


JAVA = "text/html, image/gif, image/jpeg, */*; q=0.2"
OLD_JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"


@pytest.mark.parametrize(
    "accept",
    [JAVA, OLD_JAVA, "text/html, */*", "text/*", "text/*, */*;q=0.1", "text/html;q=0.5, application/json"],
)
@pytest.mark.parametrize("path", ["/predict", "/upload", "/evaluate", "/models/default/rollback"])
def test_libraries(client: FlaskClient, path: str, accept: str) -> None:
    """A library that names HTML by default, as Java's HttpURLConnection does, gets JSON."""
    answer = client.post(path, data=b"{}", headers={"Accept": accept})

    assert answer.status_code >= 400
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "text/html, text/plain;q=0.5",
        "text/html, application/json;q=0.5",
        "text/html, application/xhtml+xml, */*",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    ],
)
def test_who_gets_a_page(client: FlaskClient, accept: str) -> None:
    """A browser gets a page, and so does who names HTML and not anything."""
    assert client.post("/upload", data=b"{}", headers={"Accept": accept}).mimetype == "text/html"


def test_chooser(make_app: Callable[..., Flask]) -> None:
    """The page lets choose the media types of the formats that are set."""
    page = make_app(formats=("JPEG", "TIFF", "HEIF")).test_client().get("/").text

    assert 'accept="image/jpeg,image/tiff,image/heic,image/heif"' in page


def test_inference_protocol(client: FlaskClient) -> None:
    """Under /v2 the error has the form of the Open Inference Protocol."""
    assert set(client.get("/v2/models/none").get_json()) == {"error"}


def test_method(client: FlaskClient) -> None:
    """A wrong method is answered with the right ones."""
    answer = client.get("/predict")

    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert answer.get_json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("method", "path", "accepted"),
    [
        ("GET", "/predict", "POST"),
        ("PUT", "/predict/", "POST"),
        ("DELETE", "/upload", "GET and POST"),
        ("PATCH", "/models/default", "DELETE and GET"),
        ("POST", "/healthz", "GET"),
        ("secret", "/predict", "POST"),
    ],
)
def test_methods_named(client: FlaskClient, method: str, path: str, accepted: str) -> None:
    """The sentence names the methods that the URL accepts."""
    answer = client.open(path, method=method)

    assert answer.get_json()["detail"] == f"This URL accepts only {accepted}."


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/predictions/default", "/predict"),
        ("/v1/models/resnet:predict", "/predict"),
        ("/api/predict", "/predict"),
        ("/pedict", "/predict"),
        ("/invocations", "/predict"),
        ("/model/default", "/models"),
        ("/health", "/healthz"),
        ("/ping", "/healthz"),
        ("/ready", "/readyz"),
        ("/openapi.yaml", "/openapi.json"),
        ("/uplaod", "/upload"),
        ("/Predict", "/predict"),
    ],
)
def test_url_that_was_meant(client: FlaskClient, path: str, meant: str) -> None:
    """A URL as other services have it, or misspelt, is answered with ours."""
    answer = client.get(path)

    assert answer.status_code == 404
    expected = f"This URL does not exist; did you mean {meant}? /docs describes the API."
    assert answer.get_json()["detail"] == expected


def test_url_that_is_like_none(client: FlaskClient) -> None:
    """Where nothing is alike, the sentence says where the URLs are described."""
    answer = client.get("/favorites/12")

    assert answer.get_json()["detail"] == "This URL does not exist. /docs describes the API."


def test_upload_to_models(client: FlaskClient) -> None:
    """Who uploads to the list of models is told where models are uploaded."""
    answer = client.post("/models", data={"model": (BytesIO(b"x"), "my.onnx")})

    assert answer.status_code == 405
    assert answer.get_json()["detail"] == ("This URL accepts only GET; upload a model by POST /upload.")


def test_slash(client: FlaskClient, cat: Path) -> None:
    """A path with a slash at its end is answered as without, and not redirected."""
    answers = [client.post("/predict/?top_k=2", data=cat.read_bytes())]
    answers += [
        client.get(path) for path in ("/models/", "/models/default/", "/healthz/", "/docs/", "/upload/")
    ]

    assert [answer.status_code for answer in answers] == [200] * 6
    assert len(answers[0].get_json()["predictions"]) == 2


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/predict", 200),
        ("//predict", 200),
        ("///predict//", 200),
        ("/v2//health//live", 200),
        ("/a//b", 404),
    ],
)
def test_several_slashes(client: FlaskClient, cat: Path, path: str, status: int) -> None:
    """Several slashes in a row are one, as clients join them; no answer leads to the host of the request."""
    method = "GET" if "live" in path else "POST"

    answer = client.open(method=method, data=cat.read_bytes(), environ_overrides={"PATH_INFO": path})

    assert answer.status_code == status
    assert "Location" not in answer.headers


def test_slash_of_metrics(client: FlaskClient) -> None:
    """The path of the metrics stays the only one, as proxies close it to others by its name."""
    assert client.get("/metrics/").status_code == 404


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


@pytest.mark.parametrize(
    "given",
    [
        "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "aGVsbG8+d29ybGQ/aGk=",
        "req@host/7~1",
    ],
)
def test_request_ids_of_others(client: FlaskClient, given: str) -> None:
    """Ids as proxies and tracers write them are kept."""
    assert client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["a,b", 'a"b', "<b>", "a{b}", "a\\b", "a'b", "ä"])
def test_request_ids_of_other_letters(client: FlaskClient, given: str) -> None:
    """Ids with what might end a text somewhere are not."""
    assert len(client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]) == 32


def test_icon(client: FlaskClient) -> None:
    """A browser that shows no page of ours finds an icon where it looks for one."""
    answer = client.get("/favicon.ico")

    assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
