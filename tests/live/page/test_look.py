"""How the pages look: widths, schemes, what they load, and what they say about the service."""

from typing import Literal
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import FilePayload, Page, expect

pytestmark = [pytest.mark.live, pytest.mark.browser]

EXCESS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LIGHTNESS = """(element, property) => getComputedStyle(element)[property].match(/[0-9.]+/g)
  .slice(0, 3).reduce((sum, part) => sum + Number(part) / 3, 0)"""
DANGLING = """links => links.map((link) => decodeURIComponent(link.hash.slice(1)))
  .filter((id) => !document.getElementById(id))"""


def test_phone_width(page: Page, service_url: str, cat_file: FilePayload, text_file: FilePayload) -> None:
    """At a phone's width nothing is scrolled sideways: empty, answered, refused, several, documented."""
    page.set_viewport_size({"width": 390, "height": 844})
    widths = [page.evaluate(EXCESS)]
    for files, shown in (
        ([cat_file], ".ranking"),
        ([text_file], ".problem"),
        ([cat_file, text_file], ".many"),
    ):
        page.set_input_files("#image", files)
        page.wait_for_selector(f"#result {shown}")
        widths.append(page.evaluate(EXCESS))
    page.goto(urljoin(service_url, "/docs"))
    widths.append(page.evaluate(EXCESS))

    assert widths == [0] * 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_scheme(page: Page, scheme: Literal["light", "dark"]) -> None:
    """The page follows the system's scheme, and its text stands out in both."""
    page.emulate_media(color_scheme=scheme)

    ink, ground = (page.locator(":root").evaluate(LIGHTNESS, name) for name in ("color", "backgroundColor"))
    assert (ink > ground) == (scheme == "dark")
    assert abs(ink - ground) > 150


def test_script_example(page: Page, service_url: str) -> None:
    """The example for a script names this service's own address."""
    expect(page.locator(".script .example code").first).to_have_text(
        f"curl -F image=@cat.jpg {urljoin(service_url, '/predict')}"
    )


def test_documentation(page: Page, service_url: str) -> None:
    """The documentation shows each endpoint's call, has no dangling link and loads nothing foreign."""
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.goto(urljoin(service_url, "/docs"))

    operation = page.locator("[id='post-/predict']")
    expect(operation.locator("h3")).to_contain_text("/predict")
    expect(operation.locator(".example code").first).to_contain_text("curl ")
    assert page.locator("main a[href^='#']").evaluate_all(DANGLING) == []
    assert hosts == {urlsplit(service_url).netloc}


def test_try_a_request(page: Page, service_url: str, cat_file: FilePayload) -> None:
    """A request can be made from the documentation: with a file, with JSON, and without a body."""
    page.goto(urljoin(service_url, "/docs"))
    predict = page.locator("[id='post-/predict'] .try")
    predict.locator("summary").click()
    predict.locator("select").select_option("multipart/form-data")
    predict.locator("input[name=image]").set_input_files(cat_file)
    predict.get_by_role("button", name="Send").click()
    expect(predict.locator(".try-answer")).to_contain_text("200")
    expect(predict.locator(".try-answer")).to_contain_text('"predicted_label": "tiger cat"')

    predict.locator("select").select_option("application/json")
    predict.locator("textarea").fill('{"image_url": 5}')
    predict.get_by_role("button", name="Send").click()
    expect(predict.locator(".try-answer")).to_contain_text('"code": "invalid_request"')

    models = page.locator("[id='get-/models/{name}'] .try")
    models.locator("summary").click()
    models.get_by_role("button", name="Send").click()
    expect(models.locator(".try-answer")).to_contain_text('"live": 1')


def test_contents_of_the_documentation(page: Page, service_url: str) -> None:
    """In the list of requests no path is cut off."""
    page.goto(urljoin(service_url, "/docs"))

    assert page.locator(".contents").evaluate("list => list.scrollWidth - list.clientWidth") == 0
    expect(page.locator(".contents .endpoint", has_text="/rollback")).to_contain_text(
        "/models/{name}/rollback"
    )
