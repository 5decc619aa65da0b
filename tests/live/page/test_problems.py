"""What the page shows when something is refused, late, odd or out of reach."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Page, Request, Route, expect

pytestmark = [pytest.mark.live, pytest.mark.browser]

VERDICT = "#answers .verdict .label"
PROBLEM = "#answers .problem h3"


def answered(label: str) -> dict[str, Any]:
    """A prediction answer, in the service's form, for a made-up label."""
    best = {"label": label, "index": 0, "confidence": 0.75}
    model = {"name": "default", "version": 7, "digest": "sha256:" + "0" * 64}
    return {
        "predicted_label": label,
        "confidence": 0.75,
        "predictions": [best],
        "model": model,
        "cached": True,
    }


def test_text_file(
    page: Page, cat_file: FilePayload, text_file: FilePayload, shows_cat: Callable[[Page], None]
) -> None:
    """A text file takes the place of an earlier answer by a problem in words, its code and request id."""
    page.set_input_files("#image", cat_file)
    shows_cat(page)
    page.set_input_files("#image", text_file)

    expect(page.locator(PROBLEM)).to_have_text("Unsupported image format")
    expect(page.locator("#answers .code code")).to_have_text("unsupported_image")
    expect(page.locator("#answers .request code")).to_have_text(re.compile(r"\w{8}"))
    expect(page.locator("#announcement")).to_contain_text("Unsupported image format")
    expect(page.locator(VERDICT)).to_have_count(0)
    expect(page.locator("#facts")).to_be_hidden()
    expect(page.locator("#caption")).to_have_text("notes.txt")


def test_label_is_text(page: Page, cat_file: FilePayload) -> None:
    """A label that looks like markup is shown as it is written."""
    label = "<img src=x onerror=alert(1)>"
    page.route("**/predict", lambda route: route.fulfill(json=answered(label)))
    page.set_input_files("#image", cat_file)

    expect(page.locator(VERDICT)).to_have_text(label)
    expect(page.locator("#answers .ranking img")).to_have_count(0)
    expect(page.locator("#cached")).to_have_text("from cache")
    expect(page.locator("#model")).to_have_text("default version 7")


def test_newest_picture_wins(page: Page, cat_file: FilePayload) -> None:
    """A new image ends the request of the one before, of which nothing is shown."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/predict", hold)
    with page.expect_request("**/predict"):
        page.set_input_files("#image", cat_file)
    with page.expect_request("**/predict"), page.expect_event("requestfailed") as ended:
        page.set_input_files("#image", cat_file)
    assert ended.value.failure == "net::ERR_ABORTED"
    expect(page.locator("#result")).to_have_attribute("aria-busy", "true")
    expect(page.locator(PROBLEM)).to_have_count(0)
    held[1].fulfill(json=answered("second"))

    expect(page.locator(VERDICT)).to_have_text("second")
    expect(page.locator("#result")).to_have_attribute("aria-busy", "false")


def test_unreachable_service(page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """A service that cannot be reached is told in words; Predict sends the same image again."""
    page.route("**/predict", lambda route: route.abort())
    page.set_input_files("#image", cat_file)
    expect(page.locator(PROBLEM)).to_have_text("No answer")
    page.unroute("**/predict")
    page.get_by_role("button", name="Predict").click()

    shows_cat(page)


def test_file_gone(
    page: Page, cat: Path, shows_cat: Callable[[Page], None], service_url: str, tmp_path: Path
) -> None:
    """A file that was deleted after it was chosen is told as such, not as a service out of reach."""
    chosen = Path(shutil.copy(cat, tmp_path / "mine.jpg"))
    page.set_input_files("#image", chosen)
    shows_cat(page)
    chosen.unlink()
    gone = "The file mine.jpg was changed, moved or deleted after it was chosen."
    page.get_by_role("button", name="Why").first.click()
    expect(page.locator("figure.map")).to_contain_text(gone)
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#answers .detail")).to_contain_text(gone)

    page.goto(f"{service_url}/evaluate")
    page.set_input_files("#archive", shutil.copy(cat, chosen))
    chosen.unlink()
    page.get_by_role("button", name="Evaluate", exact=True).click()

    expect(page.locator("#outcome")).to_contain_text(gone)


def test_proxy_page(page: Page, cat_file: FilePayload) -> None:
    """A refusal that is no JSON, such as a proxy's page, is told by its status."""
    page.route("**/predict", lambda route: route.fulfill(status=413, body="<h1>Too large</h1>"))
    page.set_input_files("#image", cat_file)

    expect(page.locator(PROBLEM)).to_have_text("Answered with status 413")


def test_access_token(page: Page, cat_file: FilePayload) -> None:
    """A refusal for want of a token asks for one, and the next request carries it."""
    refusal = {"title": "Unauthorized", "status": 401, "detail": "A token is needed.", "code": "unauthorized"}
    seen: list[str | None] = []

    def answer(route: Route) -> None:
        seen.append(route.request.headers.get("authorization"))
        body = answered("second") if seen[-1] else refusal
        route.fulfill(status=200 if seen[-1] else 401, body=json.dumps(body))

    page.route("**/predict", answer)
    page.set_input_files("#image", cat_file)
    expect(page.locator("#token")).to_be_focused()
    page.keyboard.type("secret")
    page.keyboard.press("Enter")

    expect(page.locator(VERDICT)).to_have_text("second")
    assert seen == [None, "Bearer secret"]


def test_file_past_limit(page: Page, cat_file: FilePayload) -> None:
    """A file past the limit is refused by name without being sent."""
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request) if request.method == "POST" else None)
    page.locator("#form").evaluate("form => { form.dataset.maxMb = '0.001'; }")
    page.set_input_files("#image", cat_file)

    expect(page.locator(PROBLEM)).to_have_text("Image too large")
    expect(page.locator("#answers .detail")).to_contain_text("cat.jpg")
    assert requests == []


def test_unknown_page(page: Page, service_url: str) -> None:
    """An address that is none gets a page with its status and a way back."""
    response = page.goto(f"{service_url.rstrip('/')}/no-such-page")

    assert response is not None
    assert response.status == 404
    expect(page.locator(".failure .status")).to_have_text("404")
    page.get_by_role("link", name="Back to the start").click()
    expect(page.locator("#form")).to_be_visible()
