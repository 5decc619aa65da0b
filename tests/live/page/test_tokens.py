"""Where tokens are needed the pages ask first, keep them for the tab, and forget the wrong ones."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import FilePayload, Page, Request, expect

from tests.live.page.conftest import watch
from tests.live.service import Service
from tools.sample_models import classifier

pytestmark = [pytest.mark.live, pytest.mark.browser]

PREDICT, ADMIN = "predict-token-ä", "admin-token-of-today"
TABS = "JSON.stringify([Object.entries(sessionStorage), Object.entries(localStorage), document.cookie])"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that needs both tokens."""
    data = tmp_path_factory.mktemp("guarded") / "data"
    with Service(data, workers=1, predict_token=PREDICT, admin_token=ADMIN) as running:
        yield running


@pytest.fixture
def page(browser_page: Page, guarded: Service) -> Iterator[Page]:
    """The predict page of that service; a complaint of the browser fails the test."""
    complaints = watch(browser_page)
    browser_page.goto(guarded.url)
    yield browser_page
    assert complaints == []
    assert "token" not in browser_page.url


def posts(page: Page) -> list[Request]:
    """Collects the requests that change or predict something."""
    seen: list[Request] = []
    page.on("request", lambda request: seen.append(request) if request.method == "POST" else None)
    return seen


def test_asked_first(page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """The page asks for the token before it sends, then sends what was chosen, and keeps the token."""
    sent = posts(page)
    page.set_input_files("#image", cat_file)
    expect(page.locator("#token")).to_be_focused()
    expect(page.locator("#refused")).to_have_text("Enter the token, then choose Predict.")
    assert sent == []

    page.keyboard.type(PREDICT)
    page.keyboard.press("Enter")
    shows_cat(page)
    expect(page.locator("#refused")).to_be_empty()
    assert len(sent) == 1

    page.reload()
    expect(page.locator("#token")).to_have_value(PREDICT)
    page.set_input_files("#image", cat_file)
    shows_cat(page)


def test_many(page: Page, cat_file: FilePayload) -> None:
    """So it does before many images; with a wrong token it stops, asks, and sends the rest."""
    files = [{**cat_file, "name": f"{number}.jpg"} for number in range(33)]
    page.set_input_files("#image", files)  # type: ignore[arg-type]
    expect(page.locator("#token")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#refused")).to_have_text("The service refused this token. Enter another one.")
    expect(page.locator("#batch-stage")).to_contain_text("33 not sent")

    page.keyboard.type(PREDICT)
    page.keyboard.press("Enter")
    expect(page.locator("#batch-stage")).to_have_text("33 of 33 images predicted.")


def test_wrong_token(page: Page, cat_file: FilePayload) -> None:
    """A wrong token is forgotten, and the page asks again."""
    page.fill("#token", "wrong")
    page.set_input_files("#image", cat_file)

    expect(page.locator("#refused")).to_have_text("The service refused this token. Enter another one.")
    expect(page.locator("#token")).to_have_value("")
    expect(page.locator("#token")).to_be_focused()
    assert "wrong" not in page.evaluate(TABS)


def test_admin_token(page: Page, guarded: Service) -> None:
    """The token for models is another one; what one page was given the others know."""
    sent = posts(page)
    page.goto(f"{guarded.url}/upload")
    model = classifier(["borzoi", "other"], winner=0)
    chosen: FilePayload = {"name": "m.onnx", "mimeType": "application/octet-stream", "buffer": model}
    page.set_input_files("#model-file", chosen)
    page.fill("#name", "dogs")
    page.click("#upload button[type=submit]")
    expect(page.locator("#admin-token")).to_be_focused()
    assert sent == []

    page.keyboard.type(ADMIN)
    page.keyboard.press("Enter")
    expect(page.locator("#outcome-title")).to_have_text("Live: dogs version 1")

    page.goto(f"{guarded.url}/evaluate")
    expect(page.locator("#admin-token")).to_have_value(ADMIN)
    page.goto(guarded.url)
    expect(page.locator("#token")).to_have_value("")


def test_evaluation(page: Page, guarded: Service, cat_file: FilePayload) -> None:
    """The evaluate page asks first, too, and forgets a wrong token."""
    sent = posts(page)
    page.goto(f"{guarded.url}/evaluate")
    page.set_input_files("#archive", {"name": "a.zip", "mimeType": "application/zip", "buffer": b"PK"})
    page.get_by_role("button", name="Evaluate", exact=True).click()
    expect(page.locator("#admin-token")).to_be_focused()
    assert sent == []

    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#admin-refused")).to_contain_text("refused this token")
    expect(page.locator("#admin-token")).to_have_value("")


def test_without_scripts(
    plain_page: Page, guarded: Service, cat_file: FilePayload, shows_cat: Callable[[Page], None]
) -> None:
    """Without JavaScript the form has a field for the token, which stands in no address and no log."""
    complaints = watch(plain_page)
    plain_page.goto(guarded.url)
    plain_page.set_input_files("#image", cat_file)
    plain_page.get_by_role("button", name="Predict").click()
    expect(plain_page.locator("#refused")).to_have_text("The token is missing or wrong.")
    expect(plain_page.locator("#answers .code code")).to_have_text("unauthorized")

    plain_page.set_input_files("#image", cat_file)
    plain_page.fill("#token", PREDICT)
    plain_page.get_by_role("button", name="Predict").click()
    shows_cat(plain_page)
    assert PREDICT not in plain_page.content()
    assert PREDICT not in plain_page.url
    assert PREDICT not in guarded.log
    assert complaints == []


def test_not_needed(browser_page: Page, service_url: str) -> None:
    """Where no token is needed there is no field."""
    for path in ("/", "/upload", "/evaluate"):
        browser_page.goto(service_url + path)
        expect(browser_page.locator("main input[type=password]")).to_be_hidden()
