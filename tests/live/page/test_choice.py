"""Models and versions are chosen on the page; links lead to a prediction; a result stays after Back."""

import io
import json
import re
from collections.abc import Callable, Iterator

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, Request, Route, expect

from tests.live.page.conftest import follow, holds, watch
from tests.live.page.test_inputs import give
from tests.live.service import Service
from tools.sample_models import classifier

pytestmark = [pytest.mark.live, pytest.mark.browser]

VERDICT = "#answers .verdict .label"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a second model, which has two versions."""
    with Service(tmp_path_factory.mktemp("choice") / "data") as running:
        for label in ("borzoi", "saluki"):
            files = {"model": ("m.onnx", classifier([label, "other"], winner=0))}
            running.post("/upload", files=files, data={"name": "dogs"}).raise_for_status()
        yield running


@pytest.fixture
def home(browser_page: Page, own: Service) -> Iterator[Page]:
    """The page of that service; a complaint of the browser fails the test."""
    complaints = watch(browser_page)
    browser_page.goto(own.url)
    yield browser_page
    assert complaints == []


def test_picker(home: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """A choice of model or version answers the shown image again, and stays after a reload."""
    home.set_input_files("#image", cat_file)
    shows_cat(home)

    for choice, label, model in (
        ("dogs", "saluki", "dogs version 2"),
        ("dogs/1", "borzoi", "dogs version 1"),
    ):
        home.select_option("#choose-model", choice)
        expect(home.locator(VERDICT)).to_have_text(label)
        expect(home.locator("#model")).to_have_text(model)
    expect(home.locator(".chip")).to_contain_text("dogs v1")
    for code in home.locator(".script code").all():
        expect(code).to_contain_text("/predict?model=dogs&version=1'")

    home.reload()
    expect(home.locator("#choose-model")).to_have_value("dogs/1")
    for code in home.locator(".script code").all():
        expect(code).to_contain_text("/predict?model=dogs&version=1'")
    expect(home.locator(".chip")).to_contain_text("dogs v1")
    home.select_option("#choose-model", "default")
    home.set_input_files("#image", cat_file)
    shows_cat(home)


def test_switched_meanwhile(home: Page, own: Service, cat_file: FilePayload) -> None:
    """The page names the version that answered, also where another one became live since it was opened."""
    home.goto(f"{own.url}/?model=dogs")
    expect(home.locator(".chip")).to_contain_text("dogs v2")
    own.post("/models/dogs/activate", data={"version": 1}).raise_for_status()
    try:
        home.set_input_files("#image", cat_file)
        expect(home.locator(VERDICT)).to_have_text("borzoi")
        assert "dogs v1" in home.locator(".chip").inner_text()
        chosen = home.locator("#choose-model option:checked")
        assert chosen.inner_text() == "dogs, live version 1"
        assert home.locator("#classes").count() == 0
    finally:
        own.post("/models/dogs/activate", data={"version": 2}).raise_for_status()


def test_picker_many(home: Page) -> None:
    """A choice answers all images of the table again."""
    out = io.BytesIO()
    Image.new("RGB", (40, 40), (9, 99, 9)).save(out, "PNG")
    files: list[FilePayload] = [
        {"name": f"{number}.png", "mimeType": "image/png", "buffer": out.getvalue()} for number in range(33)
    ]
    home.set_input_files("#image", files)
    expect(home.locator("#batch-stage")).to_have_text("33 of 33 images predicted.")
    home.select_option("#choose-model", "dogs")

    expect(home.locator("#table .said", has_text="saluki")).to_have_count(33)


def test_plain_picker(plain_page: Page, own: Service, cat_file: FilePayload) -> None:
    """Without JavaScript a button takes over the choice."""
    plain_page.goto(own.url)
    plain_page.select_option("#choose-model", "dogs/1")
    plain_page.get_by_role("button", name="Use").click()
    expect(plain_page.locator(".chip")).to_contain_text("dogs v1")
    plain_page.set_input_files("#image", cat_file)
    plain_page.get_by_role("button", name="Predict").click()

    expect(plain_page.locator(VERDICT)).to_have_text("borzoi")
    expect(plain_page.locator("#choose-model")).to_have_value("dogs/1")


def test_try_the_uploaded_model(home: Page, own: Service, cat_file: FilePayload) -> None:
    """After an upload, "Try it on an image" leads to the model that was uploaded."""
    home.goto(f"{own.url}/upload")
    model = classifier(["tosa", "other"], winner=0)
    home.set_input_files(
        "#model-file", {"name": "m.onnx", "mimeType": "application/octet-stream", "buffer": model}
    )
    home.fill("#name", "tosa")
    home.click("#upload button[type=submit]")
    follow(home, "Try it on an image", "/")

    expect(home.locator(".chip")).to_contain_text("tosa v1")
    home.set_input_files("#image", cat_file)
    expect(home.locator(VERDICT)).to_have_text("tosa")


@pytest.mark.parametrize(
    ("query", "status"), [("model=none", 404), ("model=dogs/9", 404), ("model=%21", 400)]
)
def test_unknown_model(home: Page, own: Service, query: str, status: int) -> None:
    """A link to a model that is not there says so, on a page that works."""
    response = home.goto(f"{own.url}/?{query}")

    assert response is not None
    assert response.status == status
    expect(home.locator("#answers .problem")).to_be_visible()
    expect(home.locator("#form")).to_be_visible()


def test_one_model(page: Page) -> None:
    """Where there is nothing to choose there is no picker."""
    expect(page.locator("#choose-model")).to_have_count(0)


def test_back(page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """The result is there after a click away and Back, with the image."""
    page.set_input_files("#image", cat_file)
    shows_cat(page)
    label = page.locator(VERDICT).inner_text()
    holds(page, "history.state?.images?.length === 1")
    page.get_by_role("link", name="Models").click()
    page.go_back()

    expect(page.locator(VERDICT)).to_have_text(label)
    expect(page.locator("#answers .file")).to_have_text("cat.jpg")
    expect(page.locator("#model")).to_have_text(re.compile(r"^default version \d+$"))
    holds(page, "document.getElementById('preview').naturalWidth > 0")


def test_back_after_a_failure(page: Page, cat_file: FilePayload, text_file: FilePayload) -> None:
    """A result that was replaced by a problem does not come back."""
    page.set_input_files("#image", cat_file)
    holds(page, "history.state?.images?.length === 1")
    page.set_input_files("#image", text_file)
    expect(page.locator("#answers .problem")).to_be_visible()
    page.reload()

    expect(page.locator("#answers .empty")).to_be_visible()


def test_back_to_a_table(page: Page, cat_file: FilePayload) -> None:
    """So is the table of many."""
    page.set_input_files("#image", [{**cat_file, "name": f"{number}.jpg"} for number in range(33)])  # type: ignore[arg-type]
    expect(page.locator("#batch-stage")).to_have_text("33 of 33 images predicted.")
    holds(page, "history.state?.rows?.length === 33")
    page.get_by_role("link", name="Models").click()
    page.go_back()

    expect(page.locator("#table tbody tr")).to_have_count(33)
    expect(page.locator("#batch-stage")).to_have_text("33 of 33 images predicted.")


def test_link(page: Page, picture_url: str, shows_cat: Callable[[Page], None]) -> None:
    """A prediction of a URL has a link, which fills the field and sends."""
    page.fill("#image_url", picture_url)
    page.press("#image_url", "Enter")
    shows_cat(page)
    page.get_by_role("link", name="Link to this prediction").click()

    expect(page).to_have_url(re.compile(r"image_url="))
    expect(page.locator("#image_url")).to_have_value(picture_url)
    shows_cat(page)


def test_plain_link(
    plain: Page, service_url: str, picture_url: str, shows_cat: Callable[[Page], None]
) -> None:
    """Without JavaScript the link fills the field, and the answer offers it."""
    plain.goto(f"{service_url}/?image_url={picture_url}")
    expect(plain.locator("#image_url")).to_have_value(picture_url)
    plain.get_by_role("button", name="Predict").click()
    shows_cat(plain)
    expect(plain.locator("#preview")).to_have_attribute("src", picture_url)
    plain.get_by_role("link", name="Link to this prediction").click()
    expect(plain.locator("#image_url")).to_have_value(picture_url)


def test_no_scheme(page: Page) -> None:
    """A URL without a scheme is an https URL, typed or pasted; a path stays what it is."""
    asked: list[str] = []
    pasted = "example.com/pasted.jpg"

    def note(route: Route) -> None:
        asked.append(json.loads(route.request.post_data or "")["image_url"])
        route.abort()

    def sent(request: Request) -> bool:
        return request.url.endswith("/predict")

    page.route("**/predict", note)
    page.route(re.compile("//example.com"), lambda route: route.fulfill(body=b""))
    for typed in (
        "example.com/cat.jpg",
        "//example.com/cat.jpg",
        "http://example.com/cat.jpg",
        "/home/me/cat.jpg",
        "C:\\me\\cat.jpg",
        "example.com:8443/a b",
    ):
        page.fill("#image_url", typed)
        with page.expect_event("requestfailed", sent):
            page.press("#image_url", "Enter")

    expect(page.locator("#image_url")).to_have_value("https://example.com:8443/a b")
    with page.expect_event("requestfailed", sent):
        give(page, "paste", text=pasted)
    assert asked == [
        "https://example.com/cat.jpg",
        "https://example.com/cat.jpg",
        "http://example.com/cat.jpg",
        "/home/me/cat.jpg",
        "C:\\me\\cat.jpg",
        "https://example.com:8443/a b",
        "https://example.com/pasted.jpg",
    ]


def test_plain_no_scheme(plain: Page) -> None:
    """So it is without JavaScript."""
    plain.fill("#image_url", "10.0.0.1/cat.jpg")
    plain.press("#image_url", "Enter")

    expect(plain.locator("#image_url")).to_have_value("https://10.0.0.1/cat.jpg")
    expect(plain.locator("#answers .code code")).to_have_text("fetch_blocked")


def test_example(page: Page, shows_cat: Callable[[Page], None]) -> None:
    """The page has an image to begin with."""
    page.get_by_role("link", name="Example: cat").click()

    shows_cat(page)
    expect(page.locator("#answers .file")).to_have_text("cat.jpg")


def test_plain_example(plain: Page) -> None:
    """Without JavaScript the example can be saved."""
    with plain.expect_download() as download:
        plain.get_by_role("link", name="Save an example image").click()
    expect(plain.locator("#examples")).to_be_hidden()

    assert download.value.suggested_filename == "cat.jpg"
