"""Every route that the application has, found in its own map: who may use it, and from which pages."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from predictor.app import create_app
from predictor.config import Settings

ADMIN, NEXT_ADMIN = "admin-token-of-today", "admin-token-of-tomorrow"
PREDICT, NEXT_PREDICT = "predict-token-of-today", "predict-token-of-tomorrow"
REVOKED = "admin-token-of-yesterday"
LOOKING = {"GET", "HEAD", "OPTIONS"}
VALUES = {"name": "default", "version": "1"}
ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}
Route = tuple[str, str]


def routes(app: Flask) -> set[Route]:
    """Method and path of everything that is not only for looking."""
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", lambda found: VALUES.get(found[1], "x"), rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - LOOKING
    }


def refused(app: Flask, status: int, code: str, **request: Any) -> set[Route]:
    """Which of the routes refuse a request in this way."""
    client = app.test_client()
    answers = {(method, path): client.open(path, method=method, **request) for method, path in routes(app)}
    return {
        route
        for route, answer in answers.items()
        if answer.status_code == status and code in answer.get_data(as_text=True)
    }


def open_with(app: Flask, authorization: str | None, **request: Any) -> set[Route]:
    """Which of the routes look at more than the token."""
    headers = {} if authorization is None else {"Authorization": authorization}
    no = refused(app, 401, "unauthorized", headers=headers, **request)
    return routes(app) - no - refused(app, 403, "forbidden", headers=headers, **request)


def predicts(route: Route) -> bool:
    """Whether a route only predicts, which the token for predictions is for."""
    _, path = route
    return path in {"/", "/predict"} or (path.startswith("/v2/") and path.endswith("/infer"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with two live tokens of each kind."""
    app = create_app(
        Settings(
            data=tmp_path_factory.mktemp("guarded"),
            device="cpu",
            workers=1,
            admin_token=f"{ADMIN}, {NEXT_ADMIN}",
            predict_token=f"{PREDICT},{NEXT_PREDICT}",
        )
    )
    yield app
    app.extensions["predictor"].close()


@pytest.fixture(autouse=True)
def unchanged(guarded: Flask) -> Iterator[None]:
    """No request of these tests changes a model."""
    registry = guarded.extensions["predictor"].registry
    before = registry.read()
    yield
    assert registry.read() == before


@pytest.mark.promise("A1")
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {REVOKED}",
        f"Bearer {ADMIN[:-1]}",
        f"Bearer {ADMIN}x",
        f"Bearer {ADMIN}, {NEXT_ADMIN}",
        f"Bearer {PREDICT},{NEXT_PREDICT}",
        f"Basic {ADMIN}",
        ADMIN,
    ],
)
def test_without_the_right_token(guarded: Flask, authorization: str | None) -> None:
    """Without a token, with a wrong one and with one that no longer counts every route refuses with 401."""
    headers = {} if authorization is None else {"Authorization": authorization}

    assert refused(guarded, 401, "unauthorized", headers=headers) == routes(guarded)


@pytest.mark.parametrize("token", [ADMIN, NEXT_ADMIN])
def test_admin_tokens(guarded: Flask, token: str) -> None:
    """Each of two live tokens opens what changes something, and nothing else."""
    changing = {route for route in routes(guarded) if not predicts(route)}

    assert len(changing) >= 7
    assert open_with(guarded, f"Bearer {token}") == changing


@pytest.mark.parametrize("token", [PREDICT, NEXT_PREDICT])
def test_predict_tokens(guarded: Flask, token: str) -> None:
    """Each of two live tokens for predictions opens predictions, and never a change."""
    assert open_with(guarded, f"Bearer {token}") == {route for route in routes(guarded) if predicts(route)}


def test_no_tokens(app: Flask) -> None:
    """Without any token only predictions are open to other machines: changes are closed, not open."""
    assert open_with(app, None, environ_overrides=ELSEWHERE) == {
        route for route in routes(app) if predicts(route)
    }


@pytest.mark.promise("A1")
def test_unguarded_route_is_found(make_app: Callable[..., Flask]) -> None:
    """A new route whose author forgot to guard it is seen by these tests."""
    app = make_app(admin_token=ADMIN, predict_token=PREDICT)

    @app.put("/models/<name>/forgotten")
    @app.post("/forgotten/<path:rest>")
    def forgotten(**_: str) -> str:
        return "done"

    found = {("PUT", "/models/default/forgotten"), ("POST", "/forgotten/x")}
    assert open_with(app, None) == found
    assert open_with(app, f"Bearer {PREDICT}") > found
    assert found <= refused(app, 200, "done")


@pytest.mark.promise("A3")
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://attacker.example"},
        {"Origin": "http://localhost:8081"},
        {"Origin": "http://localhost.attacker.example"},
        {"Origin": "http://["},
        {"Origin": "null", "Host": ""},
    ],
)
def test_pages_of_other_sites(guarded: Flask, headers: dict[str, str]) -> None:
    """Whatever a page of another site can have a browser send changes nothing, even beside a right token."""
    sent = headers | {"Authorization": f"Bearer {ADMIN}"}

    forbidden = refused(guarded, 403, "another web site", headers=sent)

    assert forbidden == {route for route in routes(guarded) if not predicts(route)}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Origin": "http://localhost"},
    ],
)
def test_own_pages_and_scripts(guarded: Flask, headers: dict[str, str]) -> None:
    """The service's own pages and scripts with a right token are let through."""
    sent = headers | {"Authorization": f"Bearer {ADMIN}"}

    assert refused(guarded, 403, "forbidden", headers=sent) == set()


def test_looking_changes_nothing(guarded: Flask) -> None:
    """No route changes anything when it is only looked at."""
    client = guarded.test_client()
    paths = {path for _, path in routes(guarded)} | {"/models", "/models/default", "/metrics", "/readyz"}

    statuses = {
        client.open(path, method=method, headers={"Authorization": f"Bearer {ADMIN}"}).status_code
        for path in paths
        for method in sorted(LOOKING)
    }

    assert statuses <= {200, 405}
