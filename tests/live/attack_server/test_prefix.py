"""The real nginx publishes the service under a path prefix, which it removes or passes on."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import requests
from playwright.sync_api import Page, expect

from predictor.config import MEGA
from predictor.readers import OWN_PATHS
from tests.live.proxy import FILE, Proxy
from tests.live.raw import call
from tests.live.service import ROOT, Service
from tests.patience import PATIENCE
from tools.sample_models import classifier

pytestmark = pytest.mark.live
LINK = re.compile(r'(?:href|src|action|formaction)="([^"#]+)"')
EXAMPLES = re.findall(r"```nginx\n(location /ml/ .*?)```", (ROOT / "docs/operate.md").read_text(), re.DOTALL)
REMOVED = f"server {{ listen 80; {EXAMPLES[0]} }}"
TOKEN = "a-token-of-these-tests"
PASSED_ON = REMOVED.replace("8080/;", "8080;")
# deploy/nginx.conf with the lines for a prefix.
WHOLE = re.sub(r"#(?=.*\^/ml)", "", FILE.read_text())
SITES = {"removed": REMOVED, "passed on": PASSED_ON, "deploy/nginx.conf": WHOLE}


@pytest.fixture(scope="module", params=SITES)
def public(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The public URL of a service behind a proxy, without a slash at its end."""
    folder = tmp_path_factory.mktemp("prefix")
    prefix = "/ml" if request.param == "passed on" else None
    with (
        Service(folder / "data", workers=1, admin_token=TOKEN, prefix=prefix) as service,
        Proxy(folder / "nginx", service.port, site=SITES[request.param]) as proxy,
    ):
        yield f"{proxy.url}/ml"


def get(url: str) -> requests.Response:
    """GET a page as a browser does."""
    return requests.get(url, headers={"Accept": "text/html"}, timeout=PATIENCE)


def test_each_link(public: str) -> None:
    """Each page, each link on it, each script and style is found below the prefix."""
    seen, waiting = dict[str, int](), [f"{public}/", public, f"{public}/no/such/page", f"{public}/upload"]
    while waiting:
        url = waiting.pop()
        answer = get(url)
        seen[url] = answer.status_code
        found = LINK.findall(answer.text) if answer.headers["Content-Type"].startswith("text/html") else []
        links = {urljoin(answer.url, link) for link in found if not link.startswith(("data:", "https:"))}
        assert {link for link in links if not link.startswith(f"{public}/")} == set(), url
        waiting += links - seen.keys() - set(waiting)

    assert {urlsplit(url).path for url in seen} >= {
        "/ml/docs",
        "/ml/static/app.js",
        "/ml/openapi.json",
        "/ml/metrics",
    }
    assert {url for url, status in seen.items() if status not in {200, 405}} == {f"{public}/no/such/page"}


def test_predict(public: str, cat: Path) -> None:
    """Predictions and probes work below the prefix."""
    answer = requests.post(f"{public}/predict", data=cat.read_bytes(), timeout=PATIENCE)

    assert answer.json()["predicted_label"] == "tiger cat"
    assert get(f"{public}/readyz").status_code == 200


@pytest.mark.browser
def test_in_a_browser(public: str, browser_page: Page, cat: Path) -> None:
    """The page predicts; the page of models acts again and again on what it was answered before."""
    browser_page.goto(f"{public}/")
    browser_page.set_input_files("#image", cat)
    expect(browser_page.locator("#answers .verdict .label")).to_have_text("tiger cat")

    for label in ("borzoi", "saluki"):
        model = classifier([label, "other"], winner=0)
        sent = requests.post(
            f"{public}/upload",
            files={"model": model},
            data={"name": "dogs"},
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=PATIENCE,
        )
        assert sent.status_code == 200, sent.text
    browser_page.get_by_role("link", name="Models").click()
    browser_page.fill("#admin-token", TOKEN)
    for version in (1, 2, 1):
        browser_page.get_by_role("button", name="Make live").click()
        browser_page.locator("dialog").get_by_role("button", name="Make live").click()
        expect(browser_page.locator("#note")).to_contain_text(f"Version {version} of dogs is live.")
    browser_page.get_by_role("link", name="Evaluate").click()
    expect(browser_page).to_have_url(f"{public}/evaluate")


@pytest.fixture(scope="module")
def published(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The session's service behind deploy/nginx.conf under a prefix."""
    with Proxy(tmp_path_factory.mktemp("published"), service.port, site=WHOLE) as running:
        yield running


@pytest.mark.promise("A7")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ml/metrics"), ("GET", "/ml//metrics"), ("GET", "//ml/metrics"), ("GET", "/ml/x/../metrics"),
        ("GET", "/%6dl/%6detrics"), ("POST", "/ml/upload"), ("POST", "/ml/upload/"), ("POST", "/ml/evaluate"),
        ("POST", "/ml/tune"), ("POST", "/ml/models/default/activate"),
        ("POST", "/ml/models/default/rollback"), ("DELETE", "/ml/models/default/versions/1"),
        ("POST", "/ml/v2/repository/models/cats/load"),
    ],
)  # fmt: skip
def test_same_rules(published: Proxy, method: str, path: str) -> None:
    """Under the prefix the same is closed to other machines as without it, in the same words."""
    status, headers, body = call(published.port, method, path, b"")
    plain = call(published.port, method, path.replace("/ml", "").replace("/%6dl", ""), b"")

    assert (status, plain[0]) == (403, 403)
    assert headers["content-type"] == plain[1]["content-type"]
    assert b"This URL is not available from outside." in body
    assert call(published.port, "GET", "/ml/metrics", source="127.0.0.1")[0] == 200


def test_same_limits(published: Proxy, cat: Path) -> None:
    """Under the prefix the same sizes are allowed as without it, and protocols have their own errors."""
    sizes = {
        "/ml/predict": "image_too_large",
        "/ml/upload": "model_too_large",
        "/ml/v2/models/default/infer": None,
    }
    for path, code in sizes.items():
        status, _, body = call(
            published.port, "POST", path, source="127.0.0.1", Content_Length=str(1100 * MEGA)
        )
        assert (status, json.loads(body).get("code")) == (413, code)
    assert call(published.port, "POST", "/ml/predict", cat.read_bytes(), Content_Type="image/jpeg")[0] == 200


@pytest.mark.promise("A7")
@pytest.mark.parametrize(
    "path", ["/ml/metrics", "/ml/predict", "/ml", "/other/models", "/metricsx", "/ml/ml/docs"]
)
def test_unknown_prefix(proxy: Proxy, path: str) -> None:
    """Nothing passes under a prefix for which the file has no lines: its rules would not hold there."""
    status, _, body = call(proxy.port, "GET", path, source="127.0.0.1")

    assert (status, json.loads(body)["code"]) == (404, "not_found")


def test_own_paths() -> None:
    """The file knows what the paths of the service begin with."""
    (known,) = re.findall(r'"~\^/\(\$\|\((.*)\)\(/\|\$\)\)"', FILE.read_text())

    assert {name.replace("\\", "") for name in known.split("|")} == OWN_PATHS
