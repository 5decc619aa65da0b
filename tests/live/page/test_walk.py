"""A person with a model of their own goes through the whole service, at a desk and on a telephone."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.live.page.conftest import follow, watch
from tests.live.service import Service
from tests.web.colours import archive, colours, noisy, picture

pytestmark = [pytest.mark.live, pytest.mark.browser]
EXCESS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# The classes of the second look at the wrong channels.
GOOD, BAD = colours(40.0), colours(40.0, order=(1, 2, 0))


@pytest.fixture(params=[1440, 390])
def walker(
    browser_page: Page, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Page, Service]]:
    """The page of a new service in a window of this width; a complaint of the browser fails the test."""
    complaints = watch(browser_page)
    browser_page.emulate_media(reduced_motion="reduce")
    browser_page.set_viewport_size({"width": request.param, "height": 900})
    with Service(tmp_path / "data") as service:
        yield browser_page, service
    assert complaints == []


def zipped(files: Mapping[str, bytes]) -> FilePayload:
    """Files as an archive to choose."""
    return {"name": "set.zip", "mimeType": "application/zip", "buffer": archive(files)[0].getvalue()}


def upload(page: Page, model: bytes, name: str = "colours") -> None:
    """Choose a model and send it."""
    sent: FilePayload = {"name": "m.onnx", "mimeType": "application/octet-stream", "buffer": model}
    page.set_input_files("#model-file", sent)
    page.fill("#name", name)
    page.click("#upload button[type=submit]")


def test_walk(walker: tuple[Page, Service], tmp_path: Path) -> None:
    """Upload, try, explain, open a wrong image, calibrate, refuse a worse version, compare, roll back."""
    page, service = walker
    page.goto(f"{service.url}/upload")
    upload(page, GOOD)
    expect(page.locator("#outcome-title")).to_have_text("Live: colours version 1")
    _tried(page)
    _opened(page, tmp_path / "set")
    _evaluated(page)
    _guarded(page, service)
    _compared_and_rolled_back(page, service)


def _tried(page: Page) -> None:
    follow(page, "Try it on an image", "/")
    expect(page.locator("#chip")).to_have_text("colours v1")
    red = {"name": "red.png", "mimeType": "image/png", "buffer": picture((220, 20, 20))}
    page.set_input_files("#image", red)  # type: ignore[arg-type]
    expect(page.locator("#answers .verdict .label")).to_have_text("red")
    page.get_by_role("button", name=re.compile("^Why")).first.click()
    expect(page.locator(".whys img").first).to_be_visible()
    assert page.evaluate(EXCESS) == 0


def _opened(page: Page, folder: Path) -> None:
    for name, content in noisy(40).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    follow(page, "Evaluate", "/evaluate")
    page.select_option("#model", "colours")
    page.set_input_files("#folder", folder)
    page.get_by_role("button", name="Evaluate", exact=True).click()
    wrong = page.locator("#bad-images tbody tr", has_text="wrong").first
    said = wrong.locator("td").nth(3).inner_text()
    wrong.get_by_role("button", name="Open").click()
    opened = page.get_by_role("dialog")
    expect(opened.locator("#open-image")).to_have_js_property("naturalWidth", 32)
    expect(opened.locator("#open-facts")).to_contain_text(said)
    assert page.evaluate(EXCESS) == 0
    with page.expect_popup() as popup:
        opened.get_by_role("button", name="Try it on the Predict page").click()
    tab = popup.value
    expect(tab.locator("#chip")).to_have_text("colours v1")
    expect(tab.locator("#choose-model")).to_have_value("colours")
    expect(tab.locator("#answers .verdict .label")).to_have_text(said)
    tab.close()
    page.goto(page.url.replace("/evaluate", "/"))
    expect(page.locator("#answers .verdict .label")).to_have_count(0)


def _evaluated(page: Page) -> None:
    follow(page, "Evaluate", "/evaluate")
    page.select_option("#model", "colours")
    page.set_input_files("#archive", zipped(noisy(40)))
    page.get_by_role("button", name="Evaluate", exact=True).click()
    wrong = page.locator("#bad-images tbody tr", has_text="wrong").first
    wrong.get_by_role("button", name="Open").click()
    expect(page.get_by_role("dialog")).to_contain_text("Choose the folder instead of a ZIP file")
    page.get_by_role("button", name="Close").click()
    assert page.evaluate(EXCESS) == 0
    page.get_by_role("button", name="Use this calibration").click()
    page.get_by_role("dialog").get_by_role("button", name="Use it").click()
    expect(page.locator("#outcome")).to_contain_text("Live: version 2")


def _guarded(page: Page, service: Service) -> None:
    pure = {
        f"{name}/1.png": picture(colour) for name, colour in (("red", (220, 20, 20)), ("blue", (20, 20, 220)))
    }
    page.set_input_files("#golden-archive", zipped(pure))
    page.select_option("#golden-model", "colours")
    page.get_by_role("button", name="Keep these").click()
    expect(page.locator("#outcome")).to_contain_text("2 are kept for colours")

    page.goto(f"{service.url}/upload")
    upload(page, BAD)
    expect(page.locator("#outcome .problem")).to_contain_text("golden")
    assert service.get("/models/colours").json()["live"] == 2


def _compared_and_rolled_back(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/evaluate")
    page.set_input_files("#compare-archive", zipped(noisy(20, seed=1)))
    page.select_option("#compare-model", "colours")
    page.select_option("#other-version", "1")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#outcome")).to_contain_text("McNemar")
    expect(page.locator("#outcome h2")).to_be_in_viewport()
    assert page.evaluate(EXCESS) == 0

    page.goto(f"{service.url}/upload")
    page.get_by_role("button", name="Roll back to version 1").click()
    page.locator("dialog").get_by_role("button", name="Roll back").click()
    expect(page.locator("#note")).to_contain_text("is live")
    assert service.get("/models/colours").json()["live"] == 1
