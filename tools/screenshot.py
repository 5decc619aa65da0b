"""Takes the picture of the page that the README shows: `docs/page.png`, with Debian's Chromium.

python -m tools.screenshot
"""

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright

from tests.live.conftest import CHROMIUM_FLAGS
from tests.live.service import ROOT, Service

_SIZE: ViewportSize = {"width": 1160, "height": 720}
# A third of the bytes, without a difference that anybody sees.
_COLOURS = 256


def taken(url: str, image: Path) -> bytes:
    """The page after a prediction, as PNG.

    Args:
        url: a running service.
        image: the file that is sent.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport=_SIZE)
        page.goto(url)
        page.set_input_files("#image", image)
        page.click("button[type=submit]")
        page.wait_for_selector("#facts:not([hidden])")
        # Bars grow, and the button that lies under the pointer looks different.
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000)
        picture = page.screenshot()
        browser.close()
    return picture


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "data", cache="off") as service:
        picture = Image.open(io.BytesIO(taken(service.url, ROOT / "tests" / "data" / "cat.jpg")))
    few = picture.convert("RGB").quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=2)
    few.save(ROOT / "docs" / "page.png", optimize=True)
