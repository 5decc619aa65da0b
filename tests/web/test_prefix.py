"""The service under a path prefix: relative links lead to it, and PREDICTOR_PREFIX may stand in each URL."""

import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from predictor.app import create_app
from predictor.config import Settings
from predictor.errors import ConfigError
from predictor.readers import OWN_PATHS
from tests.data_folders import served_before

PAGE = {"Accept": "text/html"}
LINK = re.compile(r'(?:href|src|action|formaction|data-address)="([^"#]+)"')


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A client of a service whose proxy passes the prefix /team/ml on."""
    app = create_app(
        Settings(data=served_before(tmp_path_factory.mktemp("data")), device="cpu", prefix="/team/ml")
    )
    yield app.test_client()
    app.extensions["predictor"].close()


def links(page: str) -> list[str]:
    """The links of a page that stay on the service."""
    return [link for link in LINK.findall(page) if not link.startswith(("http:", "https:", "data:"))]


@pytest.mark.parametrize(
    "path", ["/", "/upload", "/evaluate", "/docs", "/no", "/no/such/", "/a%2Fb/c?d=/e/f", "/models/a/b"]
)
def test_relative_links(client: FlaskClient, path: str) -> None:
    """Each link of a page or an error's page is relative: it stays below a prefix that a proxy removes."""
    page = client.get(path, headers=PAGE)
    found = links(page.text)

    assert page.mimetype == "text/html"
    assert len(found) >= 10
    assert [link for link in found if link.startswith("/")] == []
    for link in found:
        public = urlsplit(urljoin(f"https://example.com/team/ml{path}", link)).path
        assert public.startswith("/team/ml/")
        assert client.options(public.removeprefix("/team/ml")).status_code == 200, link


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/models", "/upload", "/static/app.css", "/"]
)
def test_with_and_without(prefixed: FlaskClient, path: str) -> None:
    """With PREDICTOR_PREFIX each URL works with the prefix and without it."""
    assert prefixed.get(path).status_code == 200
    assert prefixed.get(f"/team/ml{path}").status_code == 200


@pytest.mark.parametrize(
    "path", ["/team/mlx/healthz", "/team/healthz", "/ml/healthz", "/team/ml/team/ml/healthz"]
)
def test_other_prefixes(prefixed: FlaskClient, path: str) -> None:
    """Only this prefix is removed, and only once."""
    assert prefixed.get(path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/team/ml", "/team/ml/", "/team/ml/upload", "/team/ml/no/such", "/upload", "/"]
)
def test_links_where_the_prefix_is_passed_on(prefixed: FlaskClient, path: str) -> None:
    """Links lead to the service from URLs with the prefix, with or without a slash behind it, and without."""
    found = {
        urlsplit(urljoin(f"http://localhost{path}", link)).path
        for link in links(prefixed.get(path, headers=PAGE).text)
    }
    root = "/team/ml" if path.startswith("/team/ml") else ""

    assert {f"{root}/", f"{root}/upload", f"{root}/static/app.js"} <= found
    assert {link for link in found if not link.startswith(f"{root}/")} == set()


def test_examples_show_the_prefix(prefixed: FlaskClient, client: FlaskClient) -> None:
    """The examples of the pages and the OpenAPI document name the URL that clients use."""
    assert "http://localhost/team/ml/predict" in prefixed.get("/").text
    assert "http://localhost/team/ml/predict" in prefixed.get("/team/ml/docs").text
    assert prefixed.get("/openapi.json").get_json()["servers"] == [{"url": "/team/ml"}]
    assert "servers" not in client.get("/openapi.json").get_json()


@pytest.mark.parametrize(
    ("text", "prefix"), [("/ml", "/ml"), (" /ml/ ", "/ml"), ("/a/b-c.d", "/a/b-c.d"), ("/", None), ("", None)]
)
def test_setting(text: str, prefix: str | None) -> None:
    """A slash at the end does not matter, and a slash alone is no prefix."""
    assert Settings.from_environment({"PREDICTOR_PREFIX": text}).prefix == prefix


@pytest.mark.parametrize(
    "text", ["ml", "https://example.com/ml", "/a b", "/a//b", "/../x", "/ml?", "/é", "/models", "/predict/x"]
)
def test_unusable_settings(text: str) -> None:
    """What is no path, or a path of the service itself, is refused with an example."""
    with pytest.raises(ConfigError, match=r"PREDICTOR_PREFIX=.* /ml"):
        Settings.from_environment({"PREDICTOR_PREFIX": text})


def test_own_paths(app: Flask) -> None:
    """A prefix may not begin as any path of the service does."""
    begins = {rule.rule.split("/")[1] for rule in app.url_map.iter_rules()} - {""}

    assert begins <= OWN_PATHS
