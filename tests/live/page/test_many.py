"""More images than a request holds: sent in parts, shown as a table, saved as files."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, Request, Route, expect

from tests.live.page.conftest import holds

pytestmark = [pytest.mark.live, pytest.mark.browser]

EXCESS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SHOWN = "images => images.filter((image) => image.naturalWidth > 0).length"
COUNTING = """() => {
  window.live = new Set();
  const [make, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
  URL.createObjectURL = (blob) => { const url = make.call(URL, blob); window.live.add(url); return url; };
  URL.revokeObjectURL = (url) => { window.live.delete(url); revoke.call(URL, url); };
}"""
# A browser does not show what is in a form that it sends.
COUNTED = """() => {
  const send = window.fetch;
  window.fetch = (url, options) => {
    const count = options?.body?.getAll("image").length;
    return send(url, { ...options, headers: { ...options?.headers, "X-Images": count } });
  };
}"""
ROWS = "#table tbody tr"
STAGE = "#batch-stage"


def image(name: str, shade: int = 90) -> FilePayload:
    """A small image file."""
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (shade % 256, 120, 60)).save(out, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": out.getvalue()}


def images(count: int) -> list[FilePayload]:
    """Image files of different content."""
    return [image(f"{number}.png", number) for number in range(count)]


def posts(page: Page) -> list[Request]:
    """Collects the requests that send images."""
    seen: list[Request] = []
    page.on("request", lambda request: seen.append(request) if request.method == "POST" else None)
    return seen


def names(page: Page) -> list[str]:
    """The file names of the table in their order."""
    return page.locator(f"{ROWS} .name").all_text_contents()


def saved(page: Page, button: str) -> str:
    """What a button saves."""
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).read_text()


def test_table(page: Page, text_file: FilePayload) -> None:
    """Forty images are sent in parts of a few; each has a row, and one bad image has its error."""
    sent = posts(page)
    page.set_input_files("#image", [*images(39), text_file])

    expect(page.locator(STAGE)).to_have_text("39 of 40 images predicted, 1 with a problem.")
    assert len(sent) >= 2
    assert names(page) == [*(f"{number}.png" for number in range(39)), "notes.txt"]
    expect(page.locator(f"{ROWS} .said").first).not_to_be_empty()
    expect(page.locator(f"{ROWS} .share").first).to_have_text(re.compile(r"^[\d.<]+\xa0%$"))
    expect(page.locator(f"{ROWS} .failed")).to_contain_text("Unsupported image format")
    expect(page.locator("#announcement")).to_contain_text("39 of 40 images predicted")
    holds(page, "document.querySelector('#table tbody img').naturalWidth > 0")


def test_sorted(page: Page, text_file: FilePayload) -> None:
    """A heading sorts up, down, and at the third click back; a screen reader is told which."""
    page.set_input_files("#image", [text_file, *images(39)])
    expect(page.locator(STAGE)).to_contain_text("predicted")
    given = names(page)

    heading = page.locator("#table th", has_text="Confidence")
    for direction in ("ascending", "descending"):
        heading.get_by_role("button").click()
        expect(heading).to_have_attribute("aria-sort", direction)
        shares = [
            float(text.strip("<%")) for text in page.locator(f"{ROWS} .share").all_text_contents() if text
        ]
        assert shares == sorted(shares, reverse=direction == "descending")
    page.locator("#table").get_by_role("button", name="File").click()
    assert names(page) == [*(f"{number}.png" for number in range(39)), "notes.txt"]
    for _ in range(2):
        page.locator("#table").get_by_role("button", name="File").click()
    assert names(page) == given


def test_saved(page: Page, text_file: FilePayload) -> None:
    """CSV and JSON hold each image by name; no cell is a formula of a spreadsheet."""
    hostile = ['=cmd("x").png', "+1.png", "-1.png", "@a.png", " =1.png", 'a"b,c.png']
    page.set_input_files("#image", [*map(image, hostile), text_file, *images(34)])
    expect(page.locator(STAGE)).to_contain_text("40 of 41 images predicted")

    rows = list(csv.DictReader(io.StringIO(saved(page, "#save-csv"))))
    results = json.loads(saved(page, "#save-json"))

    assert [row["name"].removeprefix("'") for row in rows][:6] == hostile
    assert [row["name"] for row in rows if row["name"].strip()[0] in "=+-@"] == []
    assert 0 < float(rows[0]["confidence"]) < 1
    assert rows[6]["error"].startswith("Unsupported image format")
    assert [result["name"] for result in results][:6] == hostile
    assert results[0]["predicted_label"] == rows[0]["label"]
    assert results[6]["error"]["code"] == "unsupported_image"


def test_few_are_saved_too(page: Page, text_file: FilePayload) -> None:
    """So do the few that are shown as cards."""
    page.set_input_files("#image", [image("a.png"), text_file])
    expect(page.locator("#answers article")).to_have_count(2)

    assert [row["name"] for row in csv.DictReader(io.StringIO(saved(page, "#save-csv")))] == [
        "a.png",
        "notes.txt",
    ]


def test_thousands(page: Page) -> None:
    """A thousand images are shown in pages; only the images in sight have a thumbnail in memory."""
    page.evaluate(COUNTING)
    page.evaluate(COUNTED)
    page.route("**/predict", lambda route: route.fulfill(json=answered(route)))
    page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement("canvas"), {width: 30, height: 30});
          const blob = await new Promise((done) => canvas.toBlob(done));
          const transfer = new DataTransfer();
          for (let i = 0; i < 1001; i++) transfer.items.add(new File([blob], `${i}.png`, {type: blob.type}));
          const input = document.getElementById("image");
          input.files = transfer.files;
          input.dispatchEvent(new Event("change"));
        }"""
    )
    expect(page.locator(STAGE)).to_have_text("1001 of 1001 images predicted.")
    expect(page.locator(ROWS)).to_have_count(500)
    assert page.evaluate("window.live.size") < 60

    for _ in range(2):
        page.get_by_role("button", name="Next").click()
    expect(page.locator(f"{ROWS} .name")).to_have_text(["1000.png"])
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    holds(page, "window.live.size == 1")
    page.set_input_files("#image", image("one.png"))
    holds(page, "window.live.size == 1")


def answered(route: Route) -> dict[str, object]:
    """A made-up answer for each image of a request."""
    count = int(route.request.headers["x-images"])
    best = {"label": "grey", "index": 0, "confidence": 0.5}
    model = {"name": "default", "version": 1, "digest": "sha256:" + "0" * 64}
    one = {
        "predicted_label": "grey",
        "confidence": 0.5,
        "predictions": [best],
        "model": model,
        "cached": False,
    }
    return {"results": [one] * count}


@pytest.mark.parametrize("width", [320, 390, 768])
def test_narrow(page: Page, width: int) -> None:
    """On a phone nothing is scrolled sideways, however long a name or a label is."""
    page.set_viewport_size({"width": width, "height": 844})
    page.set_input_files("#image", [image(f"{'long' * 40}.png"), *images(39)])
    expect(page.locator(STAGE)).to_contain_text("predicted")

    assert page.evaluate(EXCESS) == 0
