"""Every answer, errors included, carries the headers that keep a browser safe."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from predictor.app import create_app
from predictor.config import Settings
from tests.data_folders import served_before

TOKEN = "a-token-for-changing-models"
FROM_HERE = {"'none'", "'self'"}
PREVIEWS = {"data:", "blob:", "http:", "https:"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with a token and small limits, and a route that fails."""
    data = served_before(tmp_path_factory.mktemp("headers"))
    app = create_app(
        Settings(data=data, device="cpu", admin_token=TOKEN, max_image_mb=0.5, trusted_hosts=("localhost",))
    )

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("broken")

    yield app
    app.extensions["predictor"].close()


def check(response: TestResponse) -> None:
    """Each header is there once, and the policy lets nothing run or load from elsewhere, images apart."""
    headers = response.headers
    assert headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert headers.getlist("Referrer-Policy") == ["no-referrer"]
    assert headers.getlist("Cross-Origin-Opener-Policy") == ["same-origin"]
    assert len(headers.getlist("X-Request-ID")) == 1
    (policy,) = headers.getlist("Content-Security-Policy")
    directives = {
        name: set(rest.split())
        for name, _, rest in (part.strip().partition(" ") for part in policy.split(";"))
    }
    assert directives.pop("img-src") <= FROM_HERE | PREVIEWS
    assert [name for name, sources in directives.items() if not sources <= FROM_HERE] == []
    for name in ("default-src", "frame-ancestors", "base-uri"):
        assert directives[name] == {"'none'"}
    assert "Set-Cookie" not in headers
    assert "Access-Control-Allow-Origin" not in headers


def every_method(app: Flask) -> Iterator[tuple[str, str]]:
    """Each route, those of no use included, with each method."""
    for rule in app.url_map.iter_rules():
        # A load or unload without a body takes effect, so it names a model that is not there.
        name = "nobody" if rule.rule.startswith("/v2/repository/") else "default"
        path = re.sub(r"<(?:\w+:)?(\w+)>", "app.css" if rule.endpoint == "static" else name, rule.rule)
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "BREW"):
            yield method, path


@pytest.mark.promise("A4")
@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/x-ndjson"])
@pytest.mark.parametrize("token", [None, TOKEN])
def test_every_route(app: Flask, accept: str, token: str | None) -> None:
    """Each route answers each method with the headers, in each form, allowed or not."""
    client = app.test_client()
    headers = {"Accept": accept} | ({"Authorization": f"Bearer {token}"} if token else {})

    for method, path in every_method(app):
        check(client.open(path, method=method, headers=headers))


ADMIN = {"Authorization": f"Bearer {TOKEN}"}
CASES: list[tuple[int, str, str, dict[str, Any]]] = [
    (200, "GET", "/static/app.css", {}),
    (200, "GET", "/docs", {}),
    (200, "GET", "/metrics", {}),
    (200, "GET", "/openapi.json", {}),
    (206, "GET", "/static/app.css", {"headers": {"Range": "bytes=0-9"}}),
    (304, "GET", "/static/app.css", {"headers": {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}}),
    (400, "POST", "/predict", {"json": {}}),
    (400, "GET", "/", {"headers": {"Host": "attacker.example"}}),
    (400, "POST", "/predict", {"headers": {"Content-Type": "multipart/form-data"}}),
    (401, "POST", "/upload", {}),
    (403, "POST", "/upload", {"headers": ADMIN | {"Origin": "null"}}),
    (404, "GET", "/nothing", {}),
    (404, "GET", "/static/../app.py", {}),
    (404, "GET", "/v2/models/none", {}),
    (404, "GET", "/models/cats", {}),
    (405, "GET", "/predict", {}),
    (409, "POST", "/models/default/rollback", {"headers": ADMIN}),
    (413, "POST", "/predict", {"data": bytes(3_000_000), "content_type": "image/jpeg"}),
    (413, "POST", "/predict", {"data": b"\xff\xd8" + bytes(600_000), "content_type": "image/jpeg"}),
    (415, "POST", "/predict", {"data": b"text", "content_type": "text/plain"}),
    (416, "GET", "/static/app.css", {"headers": {"Range": "bytes=99999999-"}}),
    (422, "POST", "/predict", {"data": b"\xff\xd8\xff\xe0", "content_type": "image/jpeg"}),
    (422, "POST", "/", {"data": {"image": (io.BytesIO(b"\xff\xd8\xff\xe0"), "a.jpg")}}),
    (500, "GET", "/broken", {}),
]  # fmt: skip


@pytest.mark.promise("A4")
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
@pytest.mark.parametrize(("status", "method", "path", "request_"), CASES)
def test_every_status(
    app: Flask, status: int, method: str, path: str, request_: dict[str, Any], accept: str
) -> None:
    """Each status that the service answers with comes with the headers, as a page and for scripts."""
    given = {name: value for name, value in request_.items() if name != "data" or not isinstance(value, dict)}
    if "data" not in given and "data" in request_:
        given["data"] = {
            name: (io.BytesIO(file.getvalue()), told) for name, (file, told) in request_["data"].items()
        }
    given["headers"] = {"Accept": accept, **given.get("headers", {})}

    response = app.test_client().open(path, method=method, **given)

    assert response.status_code == status
    check(response)


def test_prediction(app: Flask, cat: Path) -> None:
    """So do a prediction and the page that shows one."""
    client = app.test_client()

    for path in ("/predict", "/"):
        response = client.post(path, data={"image": (cat.open("rb"), "cat.jpg")})
        assert response.status_code == 200
        check(response)


def test_length(client: FlaskClient) -> None:
    """Each answer says how long it is, also one without a body."""
    for method, path in (
        ("OPTIONS", "/predict"),
        ("GET", "/healthz"),
        ("HEAD", "/healthz"),
        ("GET", "/nothing"),
    ):
        assert "Content-Length" in client.open(path, method=method).headers
