"""The buttons "Why?" show maps of what speaks for a class, up to two side by side."""

import io
import re
from base64 import b64encode
from collections.abc import Callable, Iterator

import pytest
import requests
from PIL import Image
from playwright.sync_api import FilePayload, Page, Route, expect

from tests.live.page.conftest import PATIENCE_MS, holds
from tests.patience import PATIENCE
from tools.sample_models import classifier

pytestmark = [pytest.mark.live, pytest.mark.browser]

MAP = "#answers .map"


def why(page: Page, place: int) -> None:
    """Ask why a class of the ranking was named."""
    page.locator("#answers .why").nth(place).click()


def test_two_classes(page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """Two classes stand side by side with a legend; a third takes the place of the first."""
    page.set_input_files("#image", cat_file)
    shows_cat(page)

    for place in (0, 1):
        why(page, place)
        expect(page.locator(f"{MAP} img:visible")).to_have_count(place + 1, timeout=PATIENCE_MS)
    labels = page.locator("#answers .ranking .label").all_text_contents()
    expect(page.locator(f"{MAP} .label")).to_have_text(labels[:2])
    expect(page.locator(f"{MAP} .way").first).to_contain_text("Class activation map")
    expect(page.locator("#answers .legend")).to_contain_text("the model did not see it")
    holds(page, "document.querySelector('#answers .map img').naturalWidth === 451")
    holds(
        page,
        "new Set([...document.querySelectorAll('#answers .map')].map((one) => one.offsetTop)).size === 1",
    )

    why(page, 2)
    expect(page.locator(f"{MAP} .label")).to_have_text(labels[1:3])
    expect(page.locator("#answers .why[aria-pressed=true]")).to_have_count(2)
    for _ in range(2):
        page.locator(f"{MAP} .close").first.click()
    expect(page.locator("#answers .legend")).to_have_count(0)


def test_written_from_right_to_left(page: Page, cat_file: FilePayload) -> None:
    """The confidence stands as one piece behind a label that is written from right to left."""
    label, model = "\u05d7\u05ea\u05d5\u05dc", {"name": "default", "version": 1, "digest": "sha256:00"}
    best = {"label": label, "index": 0, "confidence": 0.882}
    answer = {"predicted_label": label, "confidence": 0.882, "predictions": [best], "model": model}
    found = {"class": best, "confidence": 0.882, "method": "masks", "runs": 256, "fidelity": 0.9}
    page.route("**/predict", lambda route: route.fulfill(json={**answer, "cached": False}))
    page.route("**/explain?*", lambda route: route.fulfill(json={**found, "overlay": "data:,"}))
    page.set_input_files("#image", cat_file)
    why(page, 0)

    share = page.locator(f"{MAP} .share")
    expect(share).to_have_text("88.2\u00a0%")
    rects = "(one) => [...one.getClientRects()].map(({ left, right }) => [left, right])"
    [[_, end]] = page.locator(f"{MAP} .label").evaluate(rects)
    [[begin, _]] = share.evaluate(rects)
    assert end <= begin


def test_masks(page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """The map of a class is checked with masks, which says how far to trust it."""
    page.set_input_files("#image", cat_file)
    shows_cat(page)
    why(page, 0)

    page.locator(f"{MAP} .check:visible").click()

    expect(page.locator(f"{MAP} .way").nth(1)).to_have_text(
        re.compile(r"Fit to \d+ masked images, R² 0\.\d\d\."), timeout=PATIENCE_MS
    )


def test_doubt(page: Page, cat_file: FilePayload, shows_cat: Callable[[Page], None]) -> None:
    """A map that explains too little is said to be not to be trusted; a refusal is said in its place."""
    out = io.BytesIO()
    Image.new("L", (9, 9)).save(out, "PNG")
    found = {
        "class": {"label": "tabby", "index": 281}, "confidence": 0.2, "method": "masks", "runs": 128,
        "fidelity": 0.12, "overlay": "data:image/png;base64," + b64encode(out.getvalue()).decode(),
    }  # fmt: skip
    answers = [(200, found), (400, {"title": "Refused", "detail": "This is a test."})]

    def answer(route: Route) -> None:
        status, value = answers.pop(0)
        route.fulfill(status=status, json=value)

    page.route("**/explain?*", answer)
    page.set_input_files("#image", cat_file)
    shows_cat(page)

    why(page, 0)
    expect(page.locator(f"{MAP} .doubt")).to_contain_text("not to be trusted: it foretells only 12.0 %")
    why(page, 1)
    expect(page.locator(f"{MAP} .waiting").nth(1)).to_have_text("Refused. This is a test.")


@pytest.fixture
def numbers(service_url: str) -> Iterator[str]:
    """A model whose classes are called by numbers, as long as a test needs it: others expect one model."""
    model = classifier(["1", "2", "3"], winner=1)
    sent = requests.post(
        f"{service_url}/upload", files={"model": ("m.onnx", model)}, data={"name": "numbers"}, timeout=300
    )
    assert sent.status_code == 200, sent.text
    yield "numbers"
    requests.delete(f"{service_url}/models/numbers", timeout=PATIENCE).raise_for_status()


def test_numbers_as_labels(page: Page, service_url: str, numbers: str, cat_file: FilePayload) -> None:
    """A class whose name is the index of another one is the one that is explained."""
    page.goto(f"{service_url}/?model={numbers}")
    page.set_input_files("#image", cat_file)
    expect(page.locator("#answers .ranking .label").first).to_have_text("2")

    why(page, 0)

    expect(page.locator(f"{MAP} img:visible")).to_have_count(1, timeout=PATIENCE_MS)
    expect(page.locator(f"{MAP} .label")).to_have_text("2")
