"""A person evaluates a model in a real browser, finds its preprocessing and publishes it."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from tests.live.page.conftest import PATIENCE_MS, watch
from tests.live.service import Service
from tools.sample_models import classifier

pytestmark = [pytest.mark.live, pytest.mark.browser]
LABELS = ("red", "<b>green</b>", "blue")
COLOURS = ((230, 20, 20), (20, 230, 20), (20, 20, 230))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a model of colours."""
    with Service(tmp_path_factory.mktemp("evaluate") / "data") as running:
        files = {
            "model": ("m.onnx", classifier(LABELS, winner=0, metadata=False)),
            "labels": ("l.json", json.dumps(LABELS)),
        }
        running.post("/upload", files=files, data={"name": "colours"}).raise_for_status()
        yield running


@pytest.fixture
def evaluate(browser_page: Page, own: Service) -> Iterator[Page]:
    """The page; a complaint of the browser or a dialog fails the test."""
    complaints = watch(browser_page)
    browser_page.on("dialog", lambda dialog: complaints.append(dialog.message))
    browser_page.goto(f"{own.url}/evaluate")
    yield browser_page
    assert complaints == []


def pictures() -> dict[str, bytes]:
    """Two images of each class, by their place in a folder."""
    found = {}
    for index, colour in enumerate(COLOURS):
        for number in range(2):
            noise = np.random.default_rng(number).integers(-9, 9, (40, 40, 3))
            out = io.BytesIO()
            Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(out, "PNG")
            found[f"{index}/{number}.png"] = out.getvalue()
    return found


def archive() -> FilePayload:
    """The images in an archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as written:
        for name, content in pictures().items():
            written.writestr(name, content)
    return {"name": "set.zip", "mimeType": "application/zip", "buffer": out.getvalue()}


def test_evaluate(evaluate: Page) -> None:
    """An archive gives figures, charts and wrong images, labels are text, and the report can be saved."""
    evaluate.set_input_files("#archive", archive())
    evaluate.select_option("#model", "colours")
    evaluate.get_by_role("button", name="Evaluate", exact=True).click()

    outcome = evaluate.locator("#outcome")
    expect(outcome.locator(".figure").first).to_contain_text("33.3 %")
    expect(outcome.locator("svg")).to_have_count(3)
    rows = outcome.locator("#bad-images tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.filter(has_text="<b>green</b>").first).to_be_visible()
    assert rows.locator("img").first.evaluate("image => image.naturalWidth") > 0
    heading = outcome.locator("#bad-images th", has_text="File")
    for order, first in (("ascending", "1/0.png"), ("descending", "2/1.png")):
        heading.get_by_role("button").click()
        expect(heading).to_have_attribute("aria-sort", order)
        expect(rows.first).to_contain_text(first)
    with evaluate.expect_download() as download:
        evaluate.click("#save-json")
    report = json.loads(Path(download.value.path()).read_text())
    assert (report["top1"]["hits"], report["pictures"]) == (2, 6)
    with evaluate.expect_download() as download:
        evaluate.click("#save-csv")
    assert len(Path(download.value.path()).read_text().splitlines()) == 7
    with evaluate.expect_download() as download:
        evaluate.click("#save-html")
    assert "33.3&nbsp;%" in Path(download.value.path()).read_text()


def test_folder_tune_publish(evaluate: Page, own: Service, tmp_path: Path) -> None:
    """A folder's preprocessings are ranked, and one click has the first of another kind serve."""
    for name, content in pictures().items():
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    before = own.get("/models/colours").json()["live"]
    evaluate.set_input_files("#folder", tmp_path / "set")
    evaluate.select_option("#model", "colours")

    evaluate.get_by_role("button", name="Find the preprocessing").click()

    rows = evaluate.locator("#outcome .candidates tbody tr")
    expect(rows.first).to_be_visible()
    assert rows.count() >= 12
    evaluate.set_viewport_size({"width": 390, "height": 844})
    assert evaluate.evaluate("document.documentElement.scrollWidth") == 390
    evaluate.set_viewport_size({"width": 1280, "height": 900})
    # The first row may be what the model has now, which cannot be published again.
    chosen = rows.nth(0 if rows.first.locator("form.publish").count() else 1)
    chosen.get_by_role("button", name="Use this").click()
    confirm = evaluate.get_by_role("dialog")
    expect(confirm).to_contain_text(f"Version {before + 1} of colours is made from version {before}.")
    expect(confirm).to_contain_text(f"All workers switch from version {before} to version {before + 1}")
    confirm.get_by_role("button", name="Cancel").click()
    assert own.get("/models/colours").json()["live"] == before
    chosen.get_by_role("button", name="Use this").click()
    confirm.get_by_role("button", name="Use it").click()
    expect(chosen).to_contain_text(f"Live: version {before + 1}")
    assert own.get("/models/colours").json()["live"] == before + 1


def test_wrong_labels(evaluate: Page) -> None:
    """Labels that the model does not have are noticed on the page, with the classes that it has."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as written:
        for name, content in (*pictures().items(), ("lion/1.png", pictures()["0/0.png"])):
            written.writestr(name, content)
    evaluate.set_input_files("#archive", archive() | {"buffer": out.getvalue()})
    evaluate.select_option("#model", "colours")

    evaluate.get_by_role("button", name="Evaluate", exact=True).click()

    expect(evaluate.locator("#outcome .notice")).to_contain_text("lion (1)")
    expect(evaluate.locator("#outcome .notice")).to_contain_text("red, <b>green</b> and blue")


def test_gate_and_comparison(evaluate: Page, own: Service) -> None:
    """Golden images are kept and deleted, and a candidate is compared with the live version."""
    evaluate.set_input_files("#golden-archive", archive())
    evaluate.select_option("#golden-model", "colours")
    evaluate.get_by_role("button", name="Keep these").click()
    expect(evaluate.locator("#outcome")).to_contain_text("6 are kept for colours; 2 must be right.")

    evaluate.set_input_files("#compare-archive", archive())
    evaluate.select_option("#compare-model", "colours")
    other = classifier(LABELS, winner=2, metadata=True)
    evaluate.set_input_files(
        "#candidate", {"name": "new.onnx", "mimeType": "application/octet-stream", "buffer": other}
    )
    evaluate.get_by_role("button", name="Compare").click()
    expect(evaluate.locator("#outcome h2")).to_contain_text("and new.onnx")
    expect(evaluate.locator("#outcome")).to_contain_text("McNemar")
    assert own.get("/models/colours/golden").json()["least"] == 2

    evaluate.get_by_role("button", name="Delete those kept").click()
    expect(evaluate.locator("#outcome")).to_contain_text("None are kept for colours.")


def test_small_archive(evaluate: Page) -> None:
    """The progress of an archive of some kilobytes says so, instead of 0.0 MB."""
    evaluate.evaluate(
        "window.said = []; new MutationObserver(() => said.push(stage.textContent)).observe(stage, "
        "{ childList: true }); null"
    )
    evaluate.set_input_files("#archive", archive())
    evaluate.get_by_role("button", name="Evaluate", exact=True).click()
    expect(evaluate.locator("#outcome svg").first).to_be_visible(timeout=PATIENCE_MS)

    sent = [text for text in evaluate.evaluate("window.said") if text.startswith("Sending")]

    assert sent
    assert all(re.fullmatch(r"Sending \d+\.\d kB of \d+\.\d kB", text) for text in sent)


def test_refusals(evaluate: Page) -> None:
    """What is missing or wrong is said on the page."""
    evaluate.get_by_role("button", name="Evaluate", exact=True).click()
    expect(evaluate.locator("#outcome")).to_contain_text("Choose a ZIP file or a folder.")

    evaluate.set_input_files("#archive", {"name": "a.zip", "mimeType": "application/zip", "buffer": b"PK"})
    evaluate.get_by_role("button", name="Evaluate", exact=True).click()
    expect(evaluate.locator("#outcome")).to_contain_text("not a valid ZIP file")


def test_without_scripts(plain_page: Page, own: Service) -> None:
    """Without JavaScript the answer is the page at the report of a version, and a form publishes the best."""
    plain_page.goto(f"{own.url}/evaluate")
    plain_page.set_input_files("#archive", archive())
    plain_page.select_option("#model", "colours")
    plain_page.select_option("#version", "1")
    plain_page.get_by_role("button", name="Find the preprocessing").click()
    expect(plain_page.locator("#outcome .candidates")).to_be_visible(timeout=PATIENCE_MS)
    expect(plain_page.locator("#outcome h2")).to_have_text("colours version 1")
    expect(plain_page.locator("#outcome h2")).to_be_in_viewport()

    plain_page.locator("form.publish button").first.click()

    expect(plain_page.locator("#outcome h2")).to_contain_text("Live: colours version", timeout=PATIENCE_MS)
