"""Every route that the application has, found in its own map: who may use it, and under which host name."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.test import create_environ, run_wsgi_app

from predictor.app import create_app
from predictor.config import Settings
from predictor.errors import Forbidden, Unauthorized
from predictor.web import access
from predictor.web.access import require_admin, require_token
from tests.data_folders import served_before

ADMIN, NEXT_ADMIN = "admin-token-of-today", "admin-token-of-tomorrow"
PREDICT, NEXT_PREDICT = "predict-token-of-today", "predict-token-of-tomorrow"
REVOKED = "admin-token-of-yesterday"
LOOKING = {"GET", "HEAD", "OPTIONS"}
VALUES = {"name": "default", "version": "1"}
# A load or unload has no body that could be wrong, so these tests name a model that is not there.
ABSENT = {"/v2/repository/models/<name>/load", "/v2/repository/models/<name>/unload"}
# A question that the protocol sends by POST.
QUESTIONS = {"/v2/repository/index"}
ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}
Route = tuple[str, str]


def routes(app: Flask) -> set[Route]:
    """Method and path of everything that is not only for looking."""
    return {
        (method, path_of(rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule not in QUESTIONS
        for method in (rule.methods or set()) - LOOKING
    }


def path_of(rule: str) -> str:
    """A path that a rule matches."""
    values = VALUES | ({"name": "nobody"} if rule in ABSENT else {})
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: values.get(found[1], "x"), rule)


def refused(app: Flask, status: int, code: str, **request: Any) -> set[Route]:
    """Which of the routes refuse a request in this way."""
    client = app.test_client()
    answers = {(method, path): client.open(path, method=method, **request) for method, path in routes(app)}
    return {
        route
        for route, answer in answers.items()
        if answer.status_code == status and (code in answer.get_data(as_text=True) or plain(route[1]))
    }


def plain(path: str) -> bool:
    """Whether a path's errors have a sentence and no code, as its protocol wants."""
    return path.startswith(("/v2/", "/hf/"))


def open_with(app: Flask, authorization: str | None, **request: Any) -> set[Route]:
    """Which of the routes look at more than the token."""
    headers = {} if authorization is None else {"Authorization": authorization}
    no = refused(app, 401, "unauthorized", headers=headers, **request)
    return routes(app) - no - refused(app, 403, "forbidden", headers=headers, **request)


def predicts(route: Route) -> bool:
    """Whether a route only predicts or explains, which the token for predictions is for."""
    _, path = route
    return (
        path in {"/", "/predict", "/explain"}
        or path.startswith("/hf/")
        or (path.startswith("/v2/") and path.endswith("/infer"))
    )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with two live tokens of each kind."""
    app = create_app(
        Settings(
            data=served_before(tmp_path_factory.mktemp("guarded")),
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
    """Each of two live tokens opens what changes something, and predictions."""
    assert len(routes(guarded)) >= 9
    assert open_with(guarded, f"Bearer {token}") == routes(guarded)


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


APP = Flask("test")
LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8080"}


def admit(settings: Settings | None = None, **environment: str) -> None:
    """Ask for a request with this environment."""
    with APP.test_request_context("/upload", method="POST", environ_overrides=LOCAL | environment):
        require_admin(request, settings or Settings())


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"HTTP_HOST": "localhost:8080"},
        {"HTTP_HOST": "[::1]:8080", "REMOTE_ADDR": "::1"},
        {"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_ORIGIN": "http://127.0.0.1:8080"},
        {"HTTP_SEC_FETCH_SITE": "none"},
        {"HTTP_ORIGIN": "http://127.0.0.1:8080"},
    ],
)
def test_direct(environment: dict[str, str]) -> None:
    """Scripts and the service's own page on the machine itself may."""
    admit(None, **environment)


@pytest.mark.parametrize(
    "environment",
    [
        {"REMOTE_ADDR": "192.168.1.7"},
        {"HTTP_HOST": "attacker.example:8080"},
        {"HTTP_HOST": ""},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_VIA": "1.1 proxy"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"HTTP_CF_CONNECTING_IP": "127.0.0.1"},
    ],
)
def test_not_direct(environment: dict[str, str]) -> None:
    """Without a token, a request from elsewhere or through a proxy is told which setting to use."""
    with pytest.raises(Forbidden, match="PREDICTOR_ADMIN_TOKEN"):
        admit(None, **environment)


@pytest.mark.parametrize("bind", ["0.0.0.0:8080", "10.0.0.1:8080", "unix:/run/service.sock", "[::]:8080"])
def test_not_bound_to_loopback(bind: str) -> None:
    """A service that others can reach changes nothing without a token, whoever asks."""
    with pytest.raises(Forbidden, match="PREDICTOR_ADMIN_TOKEN"):
        admit(Settings(bind=bind))


@pytest.mark.parametrize("bind", ["localhost:80", "127.0.0.2:80", "[::1]:80"])
def test_bound_to_loopback(bind: str) -> None:
    """Every way to write the machine itself is known."""
    admit(Settings(bind=bind))


@pytest.mark.promise("A3")
@pytest.mark.parametrize(
    "environment",
    [
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site", "HTTP_ORIGIN": "http://127.0.0.1:8080"},
        {"HTTP_ORIGIN": "http://attacker.example"},
        {"HTTP_ORIGIN": "http://127.0.0.1:9999"},
        {"HTTP_ORIGIN": "null"},
    ],
)
@pytest.mark.parametrize("token", [None, "secret"])
def test_other_sites(environment: dict[str, str], token: str | None) -> None:
    """A form on another site changes nothing, even if the browser were to send a token."""
    with pytest.raises(Forbidden, match="another web site"):
        admit(Settings(admin_token=token), HTTP_AUTHORIZATION="Bearer secret", **environment)


@pytest.mark.parametrize(
    "given", [None, "Bearer", "Bearer wrong", "Basic secret", "secret", "Bearer secret2"]
)
def test_wrong_token(given: str | None) -> None:
    """With a token set, nothing else counts, not even that the request is direct."""
    environment: dict[str, Any] = {} if given is None else {"HTTP_AUTHORIZATION": given}
    with pytest.raises(Unauthorized):
        admit(Settings(admin_token="secret"), **environment)


@pytest.mark.parametrize("token", ["secret", "geheim-äöü", "秘密"])
def test_right_token(token: str) -> None:
    """The right token counts from anywhere, in whatever letters."""
    header = f"bearer {token}".encode().decode("latin-1")

    admit(
        Settings(admin_token=token, bind="0.0.0.0:80"),
        HTTP_AUTHORIZATION=header,
        HTTP_X_FORWARDED_FOR="203.0.113.7",
        REMOTE_ADDR="10.0.0.1",
    )


def test_no_predict_token() -> None:
    """Where no token is set none is needed."""
    with APP.test_request_context("/predict", method="POST"):
        require_token(request, ())


@pytest.mark.parametrize("environment", [{"HTTP_ORIGIN": "http://["}, {"HTTP_HOST": "[:::::]"}])
def test_no_addresses(environment: dict[str, str]) -> None:
    """An origin or a host that is no address is refused like any other that is not the service's."""
    with pytest.raises(Forbidden):
        admit(None, **environment)


@pytest.mark.promise("A3")
def test_null_is_nobody() -> None:
    """A page without an origin is not taken for the page of a service whose name was not sent."""
    with pytest.raises(Forbidden, match="another web site"):
        admit(
            Settings(admin_token="secret"),
            HTTP_ORIGIN="null",
            HTTP_HOST="",
            HTTP_AUTHORIZATION="Bearer secret",
        )


class Digest(bytes):
    """A digest that must not be compared byte after byte."""

    __hash__ = bytes.__hash__

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared in a time that tells how much is right")

    __ne__ = __eq__


@pytest.mark.promise("A2")
def test_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are compared by their digests, and those without stopping at the first byte that differs."""
    digest = access.digest
    monkeypatch.setattr(access, "digest", lambda token: Digest(digest(token)))

    admit(Settings(admin_token="first,second"), HTTP_AUTHORIZATION="Bearer second")
    with pytest.raises(Unauthorized):
        admit(Settings(admin_token="first,second"), HTTP_AUTHORIZATION="Bearer secont")


@pytest.mark.promise("A2")
def test_same_time() -> None:
    """The time does not tell which of several tokens it was, or that it was none.

    The tokens are so long that leaving out one of them would show.
    """
    first, second = "a" * 3_000_000, "b" * 3_000_000
    sent = {"first": first, "second": second, "none": "x" + first[1:]}
    spent: dict[str, list[float]] = {name: [] for name in sent}
    for _ in range(15):
        for name, token in sent.items():
            with APP.test_request_context("/", headers={"Authorization": f"Bearer {token}"}):
                start = time.thread_time()
                with contextlib.suppress(Unauthorized):
                    require_token(request, (first, second))
                spent[name].append(time.thread_time() - start)

    fastest = [min(times) for times in spent.values()]
    assert max(fastest) < 1.3 * min(fastest)


PATHS = ("/", "/docs", "/models", "/metrics", "/static/app.css", "/nothing", "/healthz", "/readyz")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application that has a name, and a domain."""
    data = served_before(tmp_path_factory.mktemp("named"))
    app = create_app(Settings(data=data, device="cpu", trusted_hosts=("api.example.com", ".example.org")))
    yield app
    app.extensions["predictor"].close()


def refusing(app: Flask, host: str) -> set[str]:
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
    assert refusing(named, host) == set()


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
    assert refusing(named, host) == set(PATHS)


@pytest.mark.parametrize("host", ["10.1.2.3:8080", "127.0.0.1", "[fd00::1]:8080"])
def test_probes(named: Flask, host: str) -> None:
    """Probes and metrics may be asked by address, as those who ask them know no name; pages may not."""
    assert refusing(named, host) == set(PATHS) - {"/healthz", "/readyz", "/metrics"}


@pytest.mark.parametrize("path", ["/readyz/", "/healthz/", "/v2/health/live", "/v2/health/ready"])
def test_probes_of_kserve(named: Flask, path: str) -> None:
    """So may the probes of the Open Inference Protocol, and any of them with a slash at its end."""
    client = named.test_client()

    answers = [client.get(path, headers={"Host": host}) for host in ("10.1.2.3:8080", "attacker.example")]

    assert [answer.status_code for answer in answers] == [200, 400]


def test_page(named: Flask) -> None:
    """A browser is told on a page, in which the wrong name does not stand."""
    answer = named.test_client().get("/", headers={"Host": "attacker.example", "Accept": "text/html"})

    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert "invalid_request" in answer.text
    assert "attacker" not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "[:::::]",
        "[1:2]",
        "[::1.2.3.4.5]:80",
        "xn--",
        "XN--:80",
        f"{'a' * 64}.example",
        "a..example",
        ".example",
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_no_host(app: Flask, named: Flask, host: str, path: str) -> None:
    """What only looks like an address or a name is refused, names set or not; it is never our failure."""
    for one in (app, named):
        _, status, headers = run_wsgi_app(one, create_environ(path) | {"HTTP_HOST": host})
        assert (status, headers["Content-Type"]) == ("400 BAD REQUEST", "application/problem+json")


@pytest.mark.parametrize("host", ["anything.example", "10.1.2.3", "[::1]:80"])
def test_none_set(app: Flask, host: str) -> None:
    """Where no name is set any is let in; changing models without a token has a rule of its own."""
    assert refusing(app, host) == set()
    answer = app.test_client().post("/models/default/rollback", headers={"Host": "anything.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("protocol", "host", "status"),
    [("HTTP/1.1", None, 400), ("HTTP/1.0", None, 200), ("HTTP/1.1", "", 200), ("HTTP/1.1", "a", 200)],
)
def test_without_host(app: Flask, protocol: str, host: str | None, status: int) -> None:
    """HTTP/1.1 demands a Host header; HTTP/1.0 does not know it."""
    environ = create_environ("/healthz") | {"SERVER_PROTOCOL": protocol}
    del environ["HTTP_HOST"]
    given = {} if host is None else {"HTTP_HOST": host}

    _, found, _ = run_wsgi_app(app, environ | given)

    assert found.startswith(str(status))
