"""Controls that a person meets on the pages: search, camera, copying, choices of an evaluation."""

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.live.page.conftest import holds, watch
from tests.live.page.test_walk import zipped
from tests.live.service import Service
from tests.store.conftest import Store
from tests.web.colours import LABELS, colours, noisy
from tools.sample_models import classifier, slow_classifier

pytestmark = [pytest.mark.live, pytest.mark.browser]
MANY = 24


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with many models, one that is unsure of its colours, and one that is slow."""
    data = tmp_path_factory.mktemp("controls") / "data"
    store = Store(data)
    for number in range(MANY):
        store.upload(classifier(["borzoi", "saluki"], seed=number), f"dogs-{number:02}")
    with Service(data, workers=1) as running:
        for name, model in (("colours", colours(40.0)), ("slow", slow_classifier(LABELS, layers=2))):
            files = {"model": ("m.onnx", model)}
            running.post("/upload", files=files, data={"name": name}).raise_for_status()
        yield running


@pytest.fixture
def page(browser_page: Page) -> Iterator[Page]:
    """A new page; a complaint of the browser fails the test."""
    complaints = watch(browser_page)
    yield browser_page
    assert complaints == []


def test_search(page: Page, own: Service) -> None:
    """The list of models begins with twenty, shows more by a button, and is searched by parts of names."""
    page.goto(f"{own.url}/upload")
    shown = page.locator("#models .model:visible")
    expect(shown).to_have_count(20)
    page.get_by_role("button", name="Show more").click()
    expect(shown).to_have_count(MANY + 3)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()

    page.get_by_role("searchbox", name="Search models").fill("DOGS-1")
    expect(shown).to_have_count(10)
    expect(page.locator("#search-count")).to_have_text(f"10 of {MANY + 3}")
    page.get_by_role("searchbox").fill("cats")
    expect(shown).to_have_count(0)
    page.get_by_role("searchbox").fill("")
    expect(shown).to_have_count(20)
    expect(page.locator("#search-count")).to_be_empty()


def test_camera(
    browser: Browser, service_url: str, cat_file: FilePayload, shows_cat: Callable[[Page], None]
) -> None:
    """On a phone a button takes a photo with the rear camera, and the photo is predicted."""
    size = {"width": 390, "height": 844}
    with browser.new_context(viewport=size, has_touch=True, is_mobile=True) as context:  # type: ignore[arg-type]
        phone = context.new_page()
        complaints = watch(phone)
        phone.goto(service_url)
        expect(phone.get_by_text("Take a photo")).to_be_visible()
        expect(phone.locator("#camera")).to_have_attribute("capture", "environment")
        with phone.expect_file_chooser() as chooser:
            phone.get_by_text("Take a photo").tap()
        chooser.value.set_files(cat_file)
        shows_cat(phone)
        assert complaints == []


def test_no_camera(page: Page, service_url: str) -> None:
    """At a desk, with a mouse, there is no such button."""
    page.goto(service_url)

    expect(page.get_by_text("Take a photo")).to_be_hidden()


def test_copy(page: Page, service_url: str, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """Each button copies what stands beside it: the request in three languages, and the answer as JSON."""
    page.goto(service_url)
    page.set_input_files("#image", cat_file)
    shows_cat(page)
    for summary in page.locator("#made summary").all():
        summary.click()

    copied = {}
    languages = [f"[data-language={one}]" for one in ("curl", "python", "javascript")]
    for place in (*languages, "#made-json"):
        button = page.locator(f"#made {place} .copy")
        button.click()
        expect(button).to_have_text("Copied")
        copied[place] = page.evaluate("navigator.clipboard.readText()")
        assert copied[place] == page.locator(f"#made {place} code").text_content()

    assert len(set(copied.values())) == 4
    assert json.loads(copied["#made-json"])["predicted_label"] == "tiger cat"


def test_wished_precision(page: Page, own: Service) -> None:
    """With a wished precision the report suggests a threshold, which is published with the temperature."""
    page.goto(f"{own.url}/evaluate")
    page.set_input_files("#archive", zipped(noisy(40)))
    page.select_option("#model", "colours")
    page.fill("#precision", "0.9")
    page.get_by_role("button", name="Evaluate", exact=True).click()
    outcome = page.locator("#outcome")
    expect(outcome).to_contain_text("Thresholds for a precision of 90.0 %")
    expect(outcome).to_contain_text("of the answers above the threshold are right")
    expect(outcome.locator("h2")).to_be_in_viewport()
    page.get_by_role("button", name="Use this calibration").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Use this calibration for colours?")
    expect(dialog).to_contain_text("Version 2 of colours is made from version 1.")
    expect(dialog).to_contain_text("It answers with the temperature")
    expect(dialog).to_contain_text("All workers switch from version 1 to version 2 at once")
    dialog.get_by_role("button", name="Use it").click()
    expect(outcome).to_contain_text("Live: version 2")

    calibration = own.get("/models/colours").json()["versions"][0]["report"]["calibration"]
    assert 0 < calibration["threshold"] <= 1
    assert calibration["temperature"] > 1


def test_notice_comes_first(page: Page, own: Service) -> None:
    """Wrong labels are noticed while the first images are still running, with the classes of the model."""
    page.goto(f"{own.url}/evaluate")
    files = noisy(20)
    page.set_input_files("#archive", zipped({**files, "lion/1.png": files["red/0.png"]}))
    page.select_option("#model", "slow")
    page.get_by_role("button", name="Evaluate", exact=True).click()

    notice = page.locator("#notice")
    expect(notice).to_contain_text("lion (1)")
    expect(notice).to_contain_text("red, green and blue")
    holds(page, "document.getElementById('bar').value < 1")
    expect(page.locator("#outcome")).to_be_hidden()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#progress")).to_be_hidden()


def test_versions(page: Page, own: Service) -> None:
    """The choices of a version offer those of the chosen model only."""
    page.goto(f"{own.url}/evaluate")
    live = own.get("/models/colours").json()["live"]
    choices_of = {"#model": ["#version"], "#compare-model": ["#compare-version", "#other-version"]}
    for model, choices in choices_of.items():
        page.select_option(model, "colours")
        for choice in choices:
            offered = page.locator(f"{choice} option").all_text_contents()
            expected = [f"version {number}" for number in range(live, 0, -1)]
            assert offered[1:] == [f"{expected[0]}, live", *expected[1:]]
            page.select_option(choice, "1")
        page.select_option(model, "slow")
        assert [page.input_value(choice) for choice in choices] == [""] * len(choices)


def test_model_is_followed(page: Page, own: Service) -> None:
    """What is compared and which images are golden follow the model above until they are chosen apart."""
    page.goto(f"{own.url}/evaluate")

    page.select_option("#model", "colours")
    assert [page.input_value(choice) for choice in ("#compare-model", "#golden-model")] == ["colours"] * 2
    assert page.locator("#other-version option").count() > 1

    page.select_option("#golden-model", "slow")
    page.select_option("#model", "default")
    assert page.input_value("#compare-model") == "default"
    assert page.input_value("#golden-model") == "slow"
