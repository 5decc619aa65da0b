"""The page in a browser without JavaScript."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import FilePayload, Page, expect

pytestmark = [pytest.mark.live, pytest.mark.browser]


def test_plain_file(plain: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """The form sends a file, and the answer comes with image, ranking, time and model."""
    plain.set_input_files("#image", cat_file)
    plain.get_by_role("button", name="Predict").click()

    shows_cat(plain)
    expect(plain).to_have_title(re.compile(r"^(tabby|tiger cat|Egyptian cat)\b"))
    expect(plain.locator("#answers .ranking li")).to_have_count(5)
    expect(plain.locator("#preview")).to_have_attribute("src", re.compile("^data:image/jpeg;base64,"))
    expect(plain.locator("#total")).to_have_text(re.compile(r"^[\d.]+ m?s$"))
    expect(plain.locator("#model")).to_have_text(re.compile(r"^default version \d+$"))
    expect(plain.locator("#answers .file")).to_have_text("cat.jpg")


def test_plain_chooser(plain: Page) -> None:
    """The browser's own chooser is visible, so that the name of the chosen file is."""
    box = plain.locator("#image").bounding_box()

    assert box is not None
    assert box["width"] > 100
    expect(plain.locator(".copy").first).to_be_hidden()


def test_plain_address(plain: Page, picture_url: str, shows_cat: Callable[[Page], None]) -> None:
    """The form sends an address, which stays in its field beside the answer."""
    picture_url += "?never=asked-before"
    plain.fill("#image_url", picture_url)
    plain.press("#image_url", "Enter")

    shows_cat(plain)
    expect(plain.locator("#image_url")).to_have_value(picture_url)
    expect(plain.locator("#facts .phases .fetch")).to_be_visible()


def test_plain_text_file(plain: Page, text_file: FilePayload) -> None:
    """A text file is answered by the problem in words and its code, beside the form."""
    plain.set_input_files("#image", text_file)
    plain.get_by_role("button", name="Predict").click()

    expect(plain.locator("#answers .problem h3")).to_have_text("Unsupported image format")
    expect(plain.locator("#answers .code code")).to_have_text("unsupported_image")
    expect(plain.locator("#form")).to_be_visible()
