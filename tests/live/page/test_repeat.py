"""After a prediction: the request as code, the answer as JSON, and earlier predictions again."""

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import FilePayload, Page, expect

pytestmark = [pytest.mark.live, pytest.mark.browser]


def made(page: Page, language: str) -> str:
    """The last request as code."""
    page.locator("#made summary", has_text="This request as code").click()
    code: str = page.locator(f"[data-language={language}] code").text_content() or ""
    return code


@pytest.mark.parametrize("name", ["it's a cat.jpg", "cat, grey; \\1.jpg", '"cat".jpg'])
def test_curl(
    page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None], tmp_path: Path, name: str
) -> None:
    """The request as curl gives the same answer, also for names with signs of the shell or of curl."""
    (tmp_path / name).write_bytes(cat_file["buffer"])
    page.set_input_files("#image", {**cat_file, "name": name})
    shows_cat(page)

    done = subprocess.run(
        ["sh", "-c", f"{made(page, 'curl')} -s"], cwd=tmp_path, capture_output=True, check=True
    )

    shown = page.locator("#answers .verdict .label").text_content()
    assert json.loads(done.stdout)["predicted_label"] == shown


@pytest.mark.parametrize(
    ("language", "command"),
    [("python", [sys.executable, "-c"]), ("javascript", ["node", "--input-type=module", "-e"])],
)
def test_code_of_a_url(
    page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None], language: str, command: list[str]
) -> None:
    """The request as Python and as JavaScript sends the URL that was sent, and prints the same answer."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    page.fill("#image_url", f"data:image/jpeg;base64,{base64.b64encode(cat_file['buffer']).decode()}")
    page.press("#image_url", "Enter")
    shows_cat(page)

    done = subprocess.run([*command, made(page, language)], capture_output=True, check=True, text=True)

    shown = page.locator("#answers .verdict .label").text_content() or ""
    assert re.search(f"predicted_label.?: '{shown}'", done.stdout)


def test_json(page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """The answer is shown as the API gave it, and can be saved."""
    page.set_input_files("#image", cat_file)
    shows_cat(page)
    page.locator("#made summary", has_text="Answer as JSON").click()
    shown = json.loads(page.locator("#made-json code").text_content() or "")
    with page.expect_download() as download:
        page.locator("#save-answer").click()

    assert shown["predictions"][0]["label"] == shown["predicted_label"]
    assert json.loads(Path(download.value.path()).read_text()) == shown


def test_earlier(
    page: Page, cat_file: FilePayload, text_file: FilePayload, shows_cat: Callable[[Page], None]
) -> None:
    """Earlier predictions of the tab can be opened again, after a reload too, until they are cleared."""
    page.set_input_files("#image", cat_file)
    shows_cat(page)
    page.get_by_role("link", name="Example: coffee").click()
    expect(page.locator("#answers .verdict .label")).to_have_text("espresso")
    earlier = page.locator("#recent-list button")
    expect(earlier).to_have_count(2)

    page.reload()
    expect(page.locator("#answers .verdict .label")).to_have_text("espresso")
    earlier.nth(1).click()
    shows_cat(page)
    expect(page.locator("#made")).to_be_visible()

    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#recent")).to_be_hidden()
    page.reload()
    expect(page.locator("#recent")).to_be_hidden()


def test_colours(page: Page, service_url: str) -> None:
    """The colours follow the system until somebody chooses; the choice holds on the other pages."""
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    page.emulate_media(color_scheme="light")
    light = page.evaluate(ground)
    button = page.locator("#scheme")
    expect(button).to_have_attribute("title", "Colours: as the system")
    button.click()
    button.click()
    expect(button).to_have_attribute("title", "Colours: dark")
    assert page.evaluate(ground) != light

    page.goto(urljoin(service_url, "/upload"))
    assert page.evaluate(ground) != light
    button.click()
    assert page.evaluate(ground) == light


def test_example_names(page: Page) -> None:
    """Each example image has a name for those who do not see it."""
    names = [image.get_attribute("alt") or "" for image in page.locator("#examples img").all()]

    assert len(names) == 3
    assert all(re.fullmatch("Example: [a-z]+", name) for name in names)
