"""Each way to give the page an image."""

import base64
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import FilePayload, Page, Request, Route, expect

from tests.live.models import eventually
from tests.live.page.conftest import holds

pytestmark = [pytest.mark.live, pytest.mark.browser]

GIVE = """({event, picture, text}) => {
  const transfer = new DataTransfer();
  const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
  if (picture) transfer.items.add(new File([bytes], "cat.jpg", {type: "image/jpeg"}));
  if (text) transfer.setData("text/plain", text);
  const options = {bubbles: true, cancelable: true, dataTransfer: transfer, clipboardData: transfer};
  document.body.dispatchEvent(
    event === "paste" ? new ClipboardEvent(event, options) : new DragEvent(event, options));
}"""
BAR_LENGTHS = """bars => bars.map((bar) =>
  100 * bar.firstElementChild.getBoundingClientRect().width / bar.getBoundingClientRect().width)"""


def give(page: Page, event: str, *, picture: bytes = b"", text: str = "") -> None:
    """Dispatch a paste or a drag event that carries an image or a text."""
    page.evaluate(GIVE, {"event": event, "picture": base64.b64encode(picture).decode(), "text": text})


def test_file_ranking(page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """A chosen file is answered with five labels, best first, and bars as long as their shares."""
    page.set_input_files("#image", cat_file)
    shows_cat(page)

    rows = page.locator("#answers .ranking li")
    shares = [float(text.strip("<%")) for text in rows.locator(".share").all_inner_texts()]
    assert len(shares) == 5
    assert shares == sorted(shares, reverse=True)
    assert rows.locator(".bar").evaluate_all(BAR_LENGTHS) == pytest.approx(shares, abs=0.2)
    expect(rows.first.locator(".label")).to_have_text(page.locator(".verdict .label").inner_text())


def test_file_facts(page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """Beside the ranking stand the image, the times, the model, and the words for a screen reader."""
    page.set_input_files("#image", cat_file)
    shows_cat(page)

    assert page.locator("#preview").evaluate("picture => picture.naturalWidth") > 0
    expect(page.locator("#total")).to_have_text(re.compile(r"^[\d.]+ m?s$"))
    expect(page.locator("#model")).to_have_text(re.compile(r"^default version \d+$"))
    expect(page.locator("#digest")).to_have_text(re.compile(r"^sha256:[0-9a-f]{12}$"))
    expect(page.locator("#announcement")).to_contain_text(page.locator(".verdict .label").inner_text())
    expect(page.locator("#result")).to_have_attribute("aria-busy", "false")


def test_drop(page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """An image may be dropped anywhere, which the page shows while it is dragged."""
    give(page, "dragover", picture=cat_file["buffer"])
    expect(page.locator("body")).to_have_class("dragging")
    give(page, "drop", picture=cat_file["buffer"])

    shows_cat(page)
    expect(page.locator("body")).not_to_have_class("dragging")


def test_paste_picture(page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """An image in the clipboard is answered when it is pasted."""
    give(page, "paste", picture=cat_file["buffer"])

    shows_cat(page)


def test_paste_address(page: Page, picture_url: str, shows_cat: Callable[[Page], None]) -> None:
    """An image's address in the clipboard is answered when it is pasted outside a field."""
    give(page, "paste", text=picture_url)

    shows_cat(page)
    expect(page.locator("#image_url")).to_have_value(picture_url)


def test_address(page: Page, picture_url: str, shows_cat: Callable[[Page], None]) -> None:
    """A typed address is answered on Enter, with the image itself as preview."""
    page.fill("#image_url", picture_url)
    page.press("#image_url", "Enter")

    shows_cat(page)
    expect(page.locator("#preview")).to_have_attribute("src", picture_url)
    holds(page, "document.getElementById('preview').naturalWidth > 0")


def test_data_url(page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """A data: URL shows its image, and its letters nowhere, also if a browser cannot show the image."""
    url = f"data:image/jpeg;base64,{base64.b64encode(cat_file['buffer']).decode()}"
    page.fill("#image_url", url)
    page.press("#image_url", "Enter")
    shows_cat(page)
    expect(page.locator("#preview")).to_be_visible()
    expect(page.locator("#recent img")).to_be_visible()

    page.fill("#image_url", f"data:image/jpeg;base64,{'A' * 40000}")
    page.press("#image_url", "Enter")

    expect(page.locator("#answers .problem")).to_be_visible()
    expect(page.locator("#preview")).to_be_hidden()
    assert page.evaluate("document.getElementById('drop').offsetHeight < innerHeight")


def test_several_files(
    page: Page, cat_file: FilePayload, text_file: FilePayload, shows_cat: Callable[[Page], None]
) -> None:
    """Several files are answered by one request with a card each, in order, one of them a problem."""
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request) if request.method == "POST" else None)
    page.set_input_files("#image", [cat_file, text_file])

    shows_cat(page)
    cards = page.locator("#answers article")
    expect(cards.locator(".file")).to_have_text(["cat.jpg", "notes.txt"])
    expect(cards.nth(0).locator(".ranking li")).to_have_count(5)
    expect(cards.nth(1).locator(".code code")).to_have_text("unsupported_image")
    assert len(requests) == 1


def test_keyboard(
    page: Page, cat_file: FilePayload, picture_url: str, shows_cat: Callable[[Page], None]
) -> None:
    """Tab reaches the chooser, visibly, and then the address; Enter works in both."""
    with page.expect_file_chooser() as chooser:
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "image":
                break
        assert page.locator("#drop").evaluate("area => getComputedStyle(area).outlineStyle") == "solid"
        page.keyboard.press("Enter")
    chooser.value.set_files(cat_file)
    shows_cat(page)

    page.keyboard.press("Tab")
    page.keyboard.type(picture_url)
    page.keyboard.press("Enter")
    expect(page.locator("#preview")).to_have_attribute("src", picture_url)
    shows_cat(page)


def test_chosen_before_the_program_is_there(
    browser_page: Page, service_url: str, cat_file: FilePayload, shows_cat: Callable[[Page], None]
) -> None:
    """A file that is chosen while the page still loads is predicted once its program is there."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    browser_page.route("**/predict.js", hold)
    browser_page.goto(service_url, wait_until="commit")
    browser_page.set_input_files("#image", cat_file)
    assert browser_page.locator(".verdict").count() == 0

    # Asking the page lets playwright call the function above.
    eventually(lambda: browser_page.evaluate("1") and held)
    held[0].continue_()

    shows_cat(browser_page)
