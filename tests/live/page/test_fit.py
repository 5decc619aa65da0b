"""Everything fits: texts into their charts, pages and their header onto a phone, hints to what it can do."""

import io
import zipfile
from collections.abc import Iterator
from urllib.parse import urljoin

import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.live.page.conftest import watch
from tests.live.service import Service
from tools.sample_models import classifier

pytestmark = [pytest.mark.live, pytest.mark.browser]
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
MODELS = {
    "few": ["cat", "West Highland white terrier", "MOUNTAIN MEADOW WOMBAT", "日本の猫と犬と鳥と魚と馬と牛"],
    "many": [f"number {index} of the many classes" for index in range(30)],
}
IMAGES = 48
# With a calibration there are two more, but none can be fitted to the model of few classes.
CHARTS = {"few": 3, "many": 5}

EXCESS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Each text of a chart that does not lie inside of it, by half a pixel.
OUTSIDE = """charts => charts.flatMap((chart) => {
  const frame = chart.getBoundingClientRect();
  return [...chart.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < frame.left - .5 || box.right > frame.right + .5
      || box.top < frame.top - .5 || box.bottom > frame.bottom + .5;
  }).map((text) => text.textContent);
})"""
# The parts of the header, each with its box.
BOXES = """parts => parts.map((part) => part.getBoundingClientRect()).filter((box) => box.width)
  .map((box) => [box.left, box.right, box.top, box.bottom])"""

HEIGHTS = "parts => parts.map((part) => part.getBoundingClientRect().height)"
# The width of a field that its placeholder leaves free.
LEFT_OVER = """field => {
  const brush = document.createElement("canvas").getContext("2d");
  brush.font = getComputedStyle(field, "::placeholder").font;
  const { paddingLeft, paddingRight } = getComputedStyle(field);
  return field.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight)
    - brush.measureText(field.placeholder).width;
}"""
# Whether each table that is wider than its place has a shadow at the edge.
SHADED = """tables => tables.filter((table) => table.scrollWidth > table.clientWidth)
  .map((table) => getComputedStyle(table).backgroundAttachment.includes("local"))"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a model of few classes and one of many, all with long names."""
    with Service(tmp_path_factory.mktemp("fit") / "data") as running:
        for name, labels in MODELS.items():
            files = {"model": ("m.onnx", classifier(labels, seed=1))}
            running.post("/upload", files=files, data={"name": name}).raise_for_status()
        yield running


def archive(labels: list[str]) -> FilePayload:
    """Images of all classes, in a folder for each."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as written:
        for number in range(IMAGES):
            image = io.BytesIO()
            Image.new("RGB", (16, 16), (5 * number, 255 - 5 * number, 90)).save(image, "PNG")
            written.writestr(f"{labels[number % len(labels)]}/{number}.png", image.getvalue())
    return {"name": "set.zip", "mimeType": "application/zip", "buffer": out.getvalue()}


@pytest.mark.parametrize("model", MODELS)
def test_report(browser_page: Page, own: Service, model: str) -> None:
    """Texts of a report's charts lie inside them; nothing is wider than a screen; cut tables have shadows."""
    complaints = watch(browser_page)
    browser_page.goto(f"{own.url}/evaluate")
    browser_page.set_input_files("#archive", archive(MODELS[model]))
    browser_page.select_option("#model", model)
    browser_page.get_by_role("button", name="Evaluate", exact=True).click()
    charts = browser_page.locator("#outcome svg:has(text)")
    expect(charts).to_have_count(CHARTS[model])

    found = []
    for size in (PHONE, DESKTOP):
        browser_page.set_viewport_size(size)  # type: ignore[arg-type]
        found.append((charts.evaluate_all(OUTSIDE), browser_page.evaluate(EXCESS)))
        assert all(browser_page.locator(".scroll").evaluate_all(SHADED))

    assert found == [([], 0)] * 2
    assert complaints == []


@pytest.mark.parametrize("path", ["/", "/upload", "/evaluate", "/docs", "/docs/operate.md"])
def test_header(page: Page, service_url: str, path: str) -> None:
    """On a phone the header has two rows at most, and all parts of it are inside of the screen."""
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto(urljoin(service_url, path))

    boxes = page.locator(".top > *, .top nav a").evaluate_all(BOXES)

    rows = list[tuple[float, float]]()
    for _, _, top, bottom in sorted(boxes, key=lambda box: box[2]):
        if rows and top < rows[-1][1]:
            rows[-1] = rows[-1][0], max(bottom, rows[-1][1])
        else:
            rows.append((top, bottom))
    assert len(rows) <= 2
    assert all(left >= 0 and right <= PHONE["width"] for left, right, *_ in boxes)
    assert page.evaluate(EXCESS) == 0


def test_same_header(page: Page, service_url: str) -> None:
    """On a phone the header is as high on each page, and so is the name of the service in it."""
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    heights = set()
    for path in ("/", "/upload", "/evaluate", "/docs"):
        page.goto(urljoin(service_url, path))
        heights |= {tuple(page.locator(".top, .brand").evaluate_all(HEIGHTS))}

    assert len(heights) == 1


def test_placeholder(page: Page) -> None:
    """On a phone the example of a URL fits into its field."""
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]

    assert page.locator("#image_url").evaluate(LEFT_OVER) >= 0


@pytest.mark.parametrize("touch", [False, True])
def test_hints(browser: Browser, service_url: str, touch: bool) -> None:
    """Dropping and pasting is proposed where there is a mouse, the camera where there are fingers."""
    with browser.new_context(
        viewport=PHONE if touch else DESKTOP,  # type: ignore[arg-type]
        has_touch=touch,
        is_mobile=touch,
    ) as context:
        page = context.new_page()
        complaints = watch(page)
        page.goto(service_url)

        expect(page.get_by_text("or drop or paste")).to_be_visible(visible=not touch)
        expect(page.get_by_text("Take a photo")).to_be_visible(visible=touch)
        assert complaints == []
