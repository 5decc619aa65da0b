"""The page in a real browser: opened, and watched for whatever the browser complains about."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.live.models import eventually
from tests.patience import PATIENCE

# A refused prediction and a request that fails are errors to the console of Chromium, which they are not.
EXPECTED = re.compile(r"status of 4\d\d|net::ERR_")
PATIENCE_MS = 1000 * PATIENCE
expect.set_options(timeout=PATIENCE_MS)


def holds(page: Page, expression: str) -> None:
    """Wait until an expression holds; `wait_for_function` evaluates in the page, which its policy forbids."""
    eventually(lambda: page.evaluate(expression))


def follow(page: Page, link: str, path: str) -> None:
    """Click a link and wait for the whole page: before its script has run, its forms are plain ones."""
    page.get_by_role("link", name=link).click()
    page.wait_for_url(re.compile(rf"{path}(\?.*)?$"))


def watch(page: Page) -> list[str]:
    """Collects script errors and resources that the content security policy blocked."""
    complaints: list[str] = []

    def note(kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not EXPECTED.search(text):
            complaints.append(text)

    page.on("console", lambda message: note(message.type, message.text))
    page.on("pageerror", lambda error: note("error", str(error)))
    page.set_default_timeout(PATIENCE_MS)
    return complaints


@pytest.fixture
def page(browser_page: Page, service_url: str) -> Iterator[Page]:
    """The page, open, without animations; a complaint of the browser fails the test."""
    complaints = watch(browser_page)
    browser_page.emulate_media(reduced_motion="reduce")
    browser_page.goto(service_url)
    yield browser_page
    assert complaints == []


@pytest.fixture
def plain(plain_page: Page, service_url: str) -> Iterator[Page]:
    """The page, open, in a browser without JavaScript; a complaint of the browser fails the test."""
    complaints = watch(plain_page)
    plain_page.goto(service_url)
    yield plain_page
    assert complaints == []


@pytest.fixture
def shows_cat() -> Callable[[Page], None]:
    """Waits until the best label on the page is one of ImageNet's house cats."""

    def check(page: Page) -> None:
        label = page.locator("#answers .verdict .label")
        expect(label).to_have_text(re.compile(r"^(tabby|tiger cat|Egyptian cat)\b"), timeout=PATIENCE_MS)

    return check


@pytest.fixture
def cat_file(cat: Path) -> FilePayload:
    """The cat as a file to choose."""
    return {"name": "cat.jpg", "mimeType": "image/jpeg", "buffer": cat.read_bytes()}


@pytest.fixture
def text_file() -> FilePayload:
    """A file that is no image."""
    return {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"not a picture"}
