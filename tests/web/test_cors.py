"""Pages of the origins that are set may predict and read the answers; nothing else is shared."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

APP, LOCAL = "https://app.example", "http://localhost:3000"
TOKEN = "a-token-for-predictions"
ADMIN = "a-token-for-changing-models"
JPEG = {"Content-Type": "image/jpeg"}

MakeApp = Callable[..., Flask]


@pytest.fixture
def shared(make_app: MakeApp) -> FlaskClient:
    """A client of a service that shares with two origins and needs tokens."""
    app = make_app(
        allowed_origins=(APP, LOCAL), predict_token=TOKEN, admin_token=ADMIN, max_image_mb=0.5, max_queue=1
    )
    return app.test_client()


def preflight(client: FlaskClient, origin: str, path: str = "/predict", **more: str) -> TestResponse:
    """What a browser asks before it sends a token or JSON; it sends no token with it."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-request-id",
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "cors",
    }
    more = {name.replace("_", "-"): value for name, value in more.items()}
    return client.options(path, headers=headers | more)


def names(response: TestResponse, header: str) -> set[str]:
    """The parts of a header, in lower case."""
    return {part.strip().lower() for part in response.headers.get(header, "").split(",")} - {""}


def sharing(response: TestResponse) -> set[str]:
    """The headers that share an answer with another origin."""
    return {name for name in response.headers.keys() if name.startswith("Access-Control-")}  # noqa: SIM118


@pytest.mark.parametrize("origin", [APP, LOCAL])
def test_preflight(shared: FlaskClient, origin: str) -> None:
    """A preflight needs no token, and is told what a request may have and how long that holds."""
    answer = preflight(shared, origin)

    assert answer.status_code in {200, 204}
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "post" in names(answer, "Access-Control-Allow-Methods")
    assert {
        "authorization", "content-type", "x-request-id", "x-request-deadline-ms", "cache-control",
        "content-encoding", "inference-header-content-length",
    } <= names(answer, "Access-Control-Allow-Headers")  # fmt: skip
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert "origin" in names(answer, "Vary")
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_documented(shared: FlaskClient, cat: Path) -> None:
    """The guide has each header that a page may send or read, and no other."""
    guide = (Path(__file__).parents[2] / "docs" / "predict.md").read_text()
    headers = {"Origin": APP, "Authorization": f"Bearer {TOKEN}", **JPEG}
    exposed = shared.post("/predict", data=cat.read_bytes(), headers=headers)
    answers = {
        "may a page send": (preflight(shared, APP), "Access-Control-Allow-Headers"),
        "may it read": (exposed, "Access-Control-Expose-Headers"),
    }

    for question, (answer, header) in answers.items():
        (row,) = (line for line in guide.splitlines() if line.startswith("| Which") and question in line)
        assert {name.lower() for name in re.findall(r"`([A-Z][\w-]+)`", row)} == names(answer, header)


def test_answer(shared: FlaskClient, cat: Path) -> None:
    """A prediction is read by the page, with the headers that scripts need."""
    headers = {"Origin": APP, "Authorization": f"Bearer {TOKEN}", "Sec-Fetch-Site": "cross-site", **JPEG}

    answer = shared.post("/predict", data=cat.read_bytes(), headers=headers)

    assert answer.status_code == 200
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [APP]
    assert names(answer, "Access-Control-Expose-Headers") >= {"x-request-id", "server-timing", "retry-after"}
    assert "origin" in names(answer, "Vary")
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    ("status", "method", "path", "body", "token"),
    [
        (400, "POST", "/predict", b'{"image_url": 5}', TOKEN),
        (401, "POST", "/predict", b"{}", "another"),
        (404, "POST", "/predict?model=nowhere", b'{"image": "/9j/"}', TOKEN),
        (405, "GET", "/predict", b"", TOKEN),
        (413, "POST", "/predict", b"\xff\xd8\xff" + bytes(3_000_000), TOKEN),
        (415, "POST", "/predict", b"nothing that is known", TOKEN),
        (422, "POST", "/predict", b"\xff\xd8\xff\xe0 no image", TOKEN),
    ],
)
def test_errors_can_be_read(
    shared: FlaskClient, status: int, method: str, path: str, body: bytes, token: str
) -> None:
    """The page reads refusals as well: their reason would stay unknown to it otherwise."""
    headers = {"Origin": LOCAL, "Authorization": f"Bearer {token}"}

    answer = shared.open(path, method=method, data=body, headers=headers)

    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == LOCAL
    assert "retry-after" in names(answer, "Access-Control-Expose-Headers")


def test_not_ready_can_be_read(make_app: MakeApp) -> None:
    """So is the refusal of a service that cannot predict, and that of one that is asked by a wrong name."""
    broken = make_app(allowed_origins=(APP,), device="cuda:99").test_client()
    answer = broken.post("/predict", data=b"\xff\xd8\xff", headers={"Origin": APP})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (503, APP)

    named = make_app(allowed_origins=(APP,), trusted_hosts=("api.example",)).test_client()
    answer = named.post("/predict", data=b"", headers={"Origin": APP, "Host": "other.example"})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (400, APP)


@pytest.mark.parametrize(
    "origin",
    [
        "https://attacker.example", "https://app.example.attacker.example", "https://app.example:8443",
        "http://app.example", "https://app.example/", "HTTPS://APP.EXAMPLE", "null", "", "*",
        f"{APP},{LOCAL}", "https://sub.app.example",
    ],
)  # fmt: skip
def test_other_origins(shared: FlaskClient, cat: Path, origin: str) -> None:
    """Another origin gets no header, and no cache takes its answer for one to an origin that may read it."""
    headers = {"Origin": origin, "Authorization": f"Bearer {TOKEN}", **JPEG}

    answers = [preflight(shared, origin), shared.post("/predict", data=cat.read_bytes(), headers=headers)]

    assert [sharing(answer) for answer in answers] == [set(), set()]
    assert all("origin" in names(answer, "Vary") for answer in answers)


@pytest.mark.parametrize("path", ["/predict", "/hf/default", "/v2/models/default/infer"])
def test_slash_at_the_end(shared: FlaskClient, path: str) -> None:
    """A path with a slash at its end is shared as it is without one."""
    assert sharing(preflight(shared, APP, f"{path}/")) == sharing(preflight(shared, APP, path)) != set()


def test_no_origin(shared: FlaskClient) -> None:
    """An answer to a script has no header, and says that it depends on the origin."""
    answer = shared.post("/predict", data=b"{}", headers={"Authorization": f"Bearer {TOKEN}"})

    assert sharing(answer) == set()
    assert "origin" in names(answer, "Vary")


def test_only_predictions(shared: FlaskClient) -> None:
    """No other route shares anything with another origin, with whatever method and token."""
    headers = {"Origin": APP, "Authorization": f"Bearer {ADMIN}", "Access-Control-Request-Method": "POST"}
    paths = {re.sub(r"<[^>]+>", "default", rule.rule) for rule in shared.application.url_map.iter_rules()}
    shared_ones = re.compile(r"/(predict|explain)/?|/v2/models/.*/infer/?|/hf/.*")
    others = {path for path in paths if not shared_ones.fullmatch(path)}
    others |= {"/", "/predictions", "/predict/models", "/nowhere", "/models/predict", "//upload"}
    others |= {"/explanations", "/explain/models"}

    found = {
        (method, path): sharing(shared.open(path, method=method, headers=headers))
        for path in others
        for method in ("GET", "POST", "DELETE", "OPTIONS")
    }

    assert len(others) > 15
    assert {route for route, names in found.items() if names} == set()


def test_changes_stay_forbidden(shared: FlaskClient) -> None:
    """A page of an allowed origin may still change nothing."""
    headers = {"Origin": APP, "Authorization": f"Bearer {ADMIN}", "Sec-Fetch-Site": "cross-site"}

    answer = shared.post("/models/default/rollback", headers=headers)

    assert (answer.status_code, sharing(answer)) == (403, set())


def test_any_origin(make_app: MakeApp, cat: Path) -> None:
    """With `*` each page may predict, whatever its origin."""
    client = make_app(allowed_origins=("*",)).test_client()

    for origin in (APP, "null", "http://[::1]:3000"):
        answer = client.post("/predict", data=cat.read_bytes(), headers={"Origin": origin, **JPEG})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert preflight(client, origin).headers["Access-Control-Allow-Origin"] == "*"


def test_none_by_default(client: FlaskClient) -> None:
    """Unless origins are set, nothing is shared, and answers depend on no origin."""
    answers = [preflight(client, APP), client.post("/predict", data=b"{}", headers={"Origin": APP})]

    assert [(sharing(answer), "Vary" in answer.headers) for answer in answers] == [(set(), False)] * 2


@pytest.mark.parametrize(("origins", "allowed"), [((APP,), True), (("*",), False)])
def test_private_network(make_app: MakeApp, origins: tuple[str, ...], allowed: bool) -> None:
    """A page of the internet reaches into a private network only from an origin that was named."""
    client = make_app(allowed_origins=origins).test_client()

    answer = preflight(client, APP, Access_Control_Request_Private_Network="true")

    assert answer.headers.get("Access-Control-Allow-Private-Network") == ("true" if allowed else None)
    assert "Access-Control-Allow-Private-Network" not in preflight(client, APP).headers
