"""Takes the images that the documents show, `page.png` and `evaluate.png`, with Debian's Chromium.

python -m tools.screenshot
"""

import io
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

from tests.live.conftest import CHROMIUM_FLAGS
from tests.live.service import ROOT, Service

_SIZE: ViewportSize = {"width": 1160, "height": 790}
_CAT = ROOT / "tests" / "data" / "cat.jpg"
_CROPS = 60
# A third of the bytes, without a difference that anybody sees.
_COLOURS = 256


def predicted(page: Page, url: str) -> bytes:
    """The predict page after a prediction, as PNG.

    Args:
        page: a browser's page.
        url: a running service.
    """
    page.goto(url)
    page.set_input_files("#image", _CAT)
    page.wait_for_selector("#facts:not([hidden])")
    return _taken(page)


def evaluated(page: Page, url: str) -> bytes:
    """The evaluate page with the preprocessings of the bundled model, ranked on crops of one photograph."""
    page.goto(f"{url}/evaluate")
    page.set_input_files("#archive", {"name": "val.zip", "mimeType": "application/zip", "buffer": _crops()})
    page.get_by_role("button", name="Find the preprocessing").click()
    page.wait_for_selector("#outcome .candidates", timeout=600_000)
    page.set_viewport_size({"width": _SIZE["width"], "height": 1180})
    page.evaluate("document.activeElement.blur(); document.getElementById('outcome').scrollIntoView()")
    return _taken(page)


def _crops() -> bytes:
    """A ZIP file of parts of the cat, each named after its class."""
    photograph = Image.open(_CAT)
    out = io.BytesIO()
    random = np.random.default_rng(7)
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(_CROPS):
            side = int(random.integers(180, 300))
            left, top = (int(random.integers(0, length - side + 1)) for length in photograph.size)
            part = io.BytesIO()
            photograph.crop((left, top, left + side, top + side)).save(part, "PNG")
            archive.writestr(f"n02124075_{number}.png", part.getvalue())
    return out.getvalue()


def _taken(page: Page) -> bytes:
    # Bars grow, and the button that lies under the pointer looks different.
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)
    return page.screenshot()


def _save(name: str, png: bytes) -> None:
    few = Image.open(io.BytesIO(png)).convert("RGB")
    few = few.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=2)
    few.save(ROOT / "docs" / name, optimize=True)


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "data", cache="off") as service,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport=_SIZE)
        _save("page.png", predicted(page, service.url))
        _save("evaluate.png", evaluated(page, service.url))
        browser.close()
