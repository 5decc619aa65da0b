"""Takes the images that the documents show, from the pages of a service of its own, with Debian's Chromium.

python -m tools.screenshot
"""

import io
import tempfile
import zipfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, sync_playwright

from tests.live.conftest import CHROMIUM_FLAGS, chromium_path
from tests.live.service import ROOT, Service
from tools.sample_models import classifier

_WIDTH = 1160
_PHONE = 390
_CAT = ROOT / "static" / "cat.jpg"
# Photographs by their classes.
_CLASSES = {"Egyptian cat": "cat.jpg", "espresso": "coffee.jpg", "missile": "rocket.jpg"}
_CROPS = 30
_SLOW_MS = 600_000
# A third of the bytes, without a difference that anybody sees.
_COLOURS = 256
_MAX_BYTES = 150_000


@dataclass(frozen=True)
class Shot:
    """An image of a page.

    Attributes:
        name: of its file in `docs`.
        show: brings the page of a service to what is to be seen.
        height: of the window in pixels.
        width: likewise.
        scheme: the colours.
        scale: pixels of the image for each pixel of the page.
    """

    name: str
    show: Callable[[Page, str], None]
    height: int
    width: int = _WIDTH
    scheme: Literal["light", "dark"] = "light"
    scale: float = 1


def predicted(page: Page, url: str) -> None:
    """The predict page after a prediction."""
    page.goto(url)
    page.set_input_files("#image", _CAT)
    page.wait_for_selector("#facts:not([hidden])")


def explained(page: Page, url: str) -> None:
    """The same with the maps of two classes."""
    predicted(page, url)
    for place in (0, 1):
        page.locator("#answers .why").nth(place).click()
        page.locator("#answers .map img:visible").nth(place).wait_for()
    page.evaluate("scrollTo(0, 0)")


def evaluated(page: Page, url: str) -> None:
    """The report of the bundled model on crops of three photographs."""
    _asked(page, url, "Evaluate", "#outcome .figures")


def ranked(page: Page, url: str) -> None:
    """Its preprocessings, ranked on those of two of the photographs."""
    _asked(page, url, "Find the preprocessing", "#outcome .candidates", [*_CLASSES][:2])


def compared(page: Page, url: str) -> None:
    """The bundled model beside a version of it with another preprocessing."""
    _asked(page, url, "Compare", "#outcome .figures")


def listed(page: Page, url: str) -> None:
    """The models page with several models, at their list."""
    page.goto(f"{url}/upload")
    page.evaluate("document.getElementById('models').scrollIntoView()")


SHOTS = (
    Shot("page.png", predicted, 790),
    Shot("explain.png", explained, 1040),
    Shot("phone.png", predicted, 844, width=_PHONE, scale=1.5),
    Shot("report.png", evaluated, 1180),
    Shot("evaluate.png", ranked, 900),
)
"""Images of a service with the bundled model only."""

LATER = (Shot("comparison.png", compared, 1000), Shot("models.png", listed, 780, scheme="dark"))
"""Images of the same service with more versions and models."""


def _asked(
    page: Page, url: str, button: str, wanted: str, classes: Collection[str] = tuple(_CLASSES)
) -> None:
    """The evaluate page with what came of labelled images."""
    page.goto(f"{url}/evaluate")
    page.set_input_files("#archive", _labelled(classes))
    page.get_by_role("button", name=button, exact=True).click()
    page.wait_for_selector(wanted, timeout=_SLOW_MS)
    page.evaluate("document.activeElement.blur()")


def _labelled(classes: Collection[str]) -> FilePayload:
    """A ZIP file of parts of the photographs, in a folder for each class."""
    out = io.BytesIO()
    random = np.random.default_rng(7)
    with zipfile.ZipFile(out, "w") as archive:
        for label in classes:
            photograph = Image.open(ROOT / "static" / _CLASSES[label])
            for number in range(_CROPS):
                side = int(random.integers(200, 300))
                left, top = (int(random.integers(0, length - side + 1)) for length in photograph.size)
                part = io.BytesIO()
                photograph.crop((left, top, left + side, top + side)).save(part, "PNG")
                archive.writestr(f"{label}/{number:02}.png", part.getvalue())
    return {"name": "val.zip", "mimeType": "application/zip", "buffer": out.getvalue()}


def _more_models(service: Service) -> None:
    """A second version of the bundled model, and a second model with two versions."""
    service.post("/models/default/preprocessing", json={"resize": "stretch"}).raise_for_status()
    for seed in range(2):
        files = {"model": ("colours.onnx", classifier(["red", "green", "blue"], seed=seed))}
        service.post("/upload", files=files, data={"name": "colours"}).raise_for_status()


def take(browser: Browser, url: str, shot: Shot) -> None:
    """Take an image and write it into `docs`.

    Args:
        browser: Chromium.
        url: a running service.
        shot: what to take.

    Raises:
        ValueError: the file would have more bytes than the documents want.
    """
    size = {"width": shot.width, "height": shot.height}
    with browser.new_context(
        viewport=size,  # type: ignore[arg-type]
        color_scheme=shot.scheme,
        device_scale_factor=shot.scale,
        reduced_motion="reduce",
    ) as context:
        page = context.new_page()
        shot.show(page, url)
        # The button that lies under the pointer looks different.
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000)
        png = _small(page.screenshot())
    if len(png) > _MAX_BYTES:
        raise ValueError(f"{shot.name} has {len(png)} bytes")
    (ROOT / "docs" / shot.name).write_bytes(png)
    print(f"docs/{shot.name}: {len(png)} bytes")


def _small(png: bytes) -> bytes:
    few = Image.open(io.BytesIO(png)).convert("RGB")
    out = io.BytesIO()
    few.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=2).save(out, "PNG", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "data", cache="off") as running,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        for one in SHOTS:
            take(chromium, running.url, one)
        _more_models(running)
        for one in LATER:
            take(chromium, running.url, one)
        chromium.close()
