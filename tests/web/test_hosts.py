"""By which names the service may be asked."""

from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.test import create_environ, run_wsgi_app

from predictor.app import create_app
from predictor.config import Settings

PATHS = ("/", "/docs", "/models", "/metrics", "/static/app.css", "/nothing", "/healthz", "/readyz")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application that has a name, and a domain."""
    data = tmp_path_factory.mktemp("named")
    app = create_app(Settings(data=data, device="cpu", trusted_hosts=("api.example.com", ".example.org")))
    yield app
    app.extensions["predictor"].close()


def refused(app: Flask, host: str) -> set[str]:
    """The paths that refuse to be asked by this name."""
    client = app.test_client()
    answers = {path: client.get(path, headers={"Host": host}) for path in PATHS}
    return {
        path
        for path, answer in answers.items()
        if (answer.status_code, answer.mimetype) == (400, "application/problem+json")
        and answer.get_json()["code"] == "invalid_request"
    }


@pytest.mark.parametrize(
    "host",
    ["api.example.com", "api.example.com:8080", "API.Example.Com", "example.org", "a.b.example.org:80"],
)
def test_trusted(named: Flask, host: str) -> None:
    """The names that are set are let in, with any port and in any case, and so are all below a dot."""
    assert refused(named, host) == set()


@pytest.mark.promise("A9")
@pytest.mark.parametrize(
    "host",
    [
        "attacker.example",
        "example.com",
        "x.api.example.com",
        "api.example.com.attacker.example",
        "badexample.org",
        "example.org.",
        "localhost",
        "api.example.com@attacker.example",
        "api.example.com/",
        "api.example.com:99999",
        "api.example.com, attacker.example",
        "<script>",
        "",
    ],
)
def test_not_trusted(named: Flask, host: str) -> None:
    """Any other name, and what is none, is a 400 problem at every address."""
    assert refused(named, host) == set(PATHS)


@pytest.mark.parametrize("host", ["10.1.2.3:8080", "127.0.0.1", "[fd00::1]:8080"])
def test_probes(named: Flask, host: str) -> None:
    """Probes and metrics may be asked by address, as those who ask them know no name; pages may not."""
    assert refused(named, host) == set(PATHS) - {"/healthz", "/readyz", "/metrics"}


def test_page(named: Flask) -> None:
    """A browser is told on a page, in which the wrong name does not stand."""
    answer = named.test_client().get("/", headers={"Host": "attacker.example", "Accept": "text/html"})

    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert "invalid_request" in answer.text
    assert "attacker" not in answer.text


@pytest.mark.parametrize("host", ["[:::::]", "[1:2]", "[::1.2.3.4.5]:80"])
@pytest.mark.parametrize("path", PATHS)
def test_no_host(app: Flask, named: Flask, host: str, path: str) -> None:
    """What only looks like an address is refused whether names are set or not; it is never our failure."""
    for one in (app, named):
        _, status, headers = run_wsgi_app(one, create_environ(path) | {"HTTP_HOST": host})
        assert (status, headers["Content-Type"]) == ("400 BAD REQUEST", "application/problem+json")


@pytest.mark.parametrize("host", ["anything.example", "10.1.2.3", "[::1]:80"])
def test_none_set(app: Flask, host: str) -> None:
    """Where no name is set any is let in; changing models without a token has a rule of its own."""
    assert refused(app, host) == set()
    answer = app.test_client().post("/models/default/rollback", headers={"Host": "anything.example"})
    assert answer.status_code == 403
