"""The pages break no rule of axe-core (contrast, names, roles, headings), in both colour schemes."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urljoin

import pytest
from jinja2 import Environment, FileSystemLoader
from playwright.sync_api import FilePayload, Page, expect

from predictor.config import shipped
from tests.live.page import test_optimise as optimised
from tests.live.page.conftest import watch
from tests.live.page.test_walk import upload, zipped
from tests.live.service import Service
from tests.web.colours import archive, colours, noisy, picture
from tools.sample_models import classifier

pytestmark = [pytest.mark.live, pytest.mark.browser]
AXE = Path(sys.prefix) / "node" / "node_modules" / "axe-core" / "axe.min.js"
# All rules, then those that the other scheme can break.
SCHEMES: tuple[tuple[Literal["light", "dark"], str], ...] = (
    ("light", ""),
    ("dark", "{runOnly: {type: 'rule', values: ['color-contrast', 'link-in-text-block']}}"),
)
PURE = {"red/1.png": picture((220, 20, 20)), "blue/1.png": picture((20, 20, 220))}
WRONG = (1, 2, 0)


def findings(page: Page) -> list[str]:
    """What axe-core finds wrong in both colour schemes: the rule, and the elements."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: tools/install_test_servers.sh")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found = []
    for scheme, rules in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += page.evaluate(f"axe.run({rules}).then((result) => result.violations)")
    return [f"{one['id']}: {[node['html'] for node in one['nodes']][:3]}" for one in found]


def unfolded(page: Page) -> list[str]:
    """The same of all that can be unfolded on a page."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    return findings(page)


def reported() -> dict[str, Any]:
    """The last line of an optimisation's answer to the page."""
    report = {"model": {"name": "colours", "version": 2}, **optimised.report()}
    templates = Environment(loader=FileSystemLoader(shipped("templates")), autoescape=True)
    html = templates.get_template("optimise_sheet.html").render(report=report, root="../..")
    return {"report": report, "html": html}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a model that was made faster, and whose golden images its first version gets wrong."""
    with Service(tmp_path_factory.mktemp("accessibility") / "data", workers=1) as running:
        for model in (colours(40.0, WRONG), colours(40.0)):
            files = {"model": ("m.onnx", model)}
            running.post("/upload", files=files, data={"name": "colours"}).raise_for_status()
        optimised.keep(running.data / "models" / "colours" / "2", colours(39.0))
        running.post("/models/colours/optimise/publish").raise_for_status()
        kept = running.post("/models/colours/golden", files={"pictures": ("g.zip", archive(PURE)[0])})
        kept.raise_for_status()
        yield running


@pytest.fixture
def coloured(browser_page: Page) -> Iterator[Page]:
    """A page without animations; a complaint of the browser fails the test."""
    complaints = watch(browser_page)
    browser_page.emulate_media(reduced_motion="reduce")
    yield browser_page
    assert complaints == []


@pytest.mark.parametrize("path", ["/", "/upload", "/evaluate", "/docs", "/docs/models.md"])
def test_pages(page: Page, service_url: str, path: str) -> None:
    """Each page as it opens."""
    page.goto(urljoin(service_url, path))

    assert findings(page) == []


def test_filled(page: Page, cat_file: FilePayload, text_file: FilePayload) -> None:
    """The predict page with an answer and its maps, with a refusal, and with several images."""
    found = []
    for files, shown in (
        ([cat_file], ".ranking"),
        ([text_file], ".problem"),
        ([cat_file, text_file], ".many"),
    ):
        page.set_input_files("#image", files)
        page.wait_for_selector(f"#result {shown}")
        if files == [cat_file]:
            for place in (0, 1):
                page.get_by_role("button", name=re.compile("^Why")).nth(place).click()
            expect(page.locator(".map img:visible")).to_have_count(2)
        found += unfolded(page)

    expect(page.locator("#answers")).to_be_visible()
    assert found == []


def test_evaluation(coloured: Page, own: Service) -> None:
    """An evaluation, an image opened from it, and the question before its calibration is published."""
    coloured.goto(f"{own.url}/evaluate")
    coloured.set_input_files("#archive", zipped(noisy(40)))
    coloured.select_option("#model", "colours")
    coloured.fill("#precision", "0.9")
    coloured.get_by_role("button", name="Evaluate", exact=True).click()
    expect(coloured.locator("#outcome .matrix")).to_be_visible()
    found = unfolded(coloured)
    dialog = coloured.get_by_role("dialog")
    coloured.get_by_role("button", name="Open").first.click()
    expect(dialog).to_be_visible()
    found += findings(coloured)
    dialog.get_by_role("button", name="Close").click()
    coloured.get_by_role("button", name="Use this calibration").click()
    expect(dialog).to_be_visible()
    found += findings(coloured)

    assert found == []


def test_comparison(coloured: Page, own: Service) -> None:
    """A comparison, a ranking of preprocessings, and what golden images refuse of it."""
    coloured.goto(f"{own.url}/evaluate")
    coloured.set_input_files("#archive", zipped(noisy(10)))
    for choice in ("#model", "#compare-model"):
        coloured.select_option(choice, "colours")
    coloured.select_option("#version", "1")
    coloured.select_option("#other-version", "1")
    coloured.get_by_role("button", name="Compare").click()
    expect(coloured.locator("#outcome")).to_contain_text("McNemar")
    found = unfolded(coloured)
    coloured.set_viewport_size({"width": 390, "height": 844})
    found += findings(coloured)
    coloured.get_by_role("button", name="Find the preprocessing").click()
    coloured.get_by_role("button", name="Use this").first.click()
    coloured.get_by_role("dialog").get_by_role("button", name="Use it").click()
    expect(coloured.locator("#outcome .gate")).to_be_visible()
    found += unfolded(coloured)

    assert found == []


def test_models(coloured: Page, own: Service) -> None:
    """An upload that was published, one that was refused, a change before and after it was refused."""
    coloured.goto(f"{own.url}/upload")
    upload(coloured, classifier(["red", "green"], metadata=False), name="others")
    expect(coloured.locator("#outcome .warnings")).to_be_visible()
    found = unfolded(coloured)
    upload(coloured, colours(20.0, WRONG))
    expect(coloured.locator("#outcome .wrong")).to_be_visible()
    found += findings(coloured)
    first = coloured.locator("[aria-label=colours] li[data-version='1']")
    first.get_by_role("button", name="Make live").click()
    expect(coloured.get_by_role("dialog")).to_be_visible()
    found += findings(coloured)
    coloured.get_by_role("dialog").get_by_role("button", name="Make live").click()
    expect(coloured.locator("#note .wrong")).to_be_visible()
    found += findings(coloured)

    assert found == []


def test_faster(coloured: Page, own: Service) -> None:
    """The page that makes a model faster, as it opens, with a refusal, and with a report."""
    coloured.goto(f"{own.url}/models/colours/optimise")
    found = findings(coloured)
    coloured.get_by_role("button", name="Make it faster").click()
    expect(coloured.locator("#outcome .problem")).to_be_visible()
    found += findings(coloured)
    coloured.route("**/optimise", lambda route: route.fulfill(body=json.dumps(reported()) + "\n"))
    coloured.set_input_files("#archive", zipped(noisy(1)))
    coloured.get_by_role("button", name="Make it faster").click()
    expect(coloured.get_by_role("button", name="Publish")).to_be_visible()
    found += unfolded(coloured)

    assert found == []


@pytest.mark.parametrize("path", ["/no/such/page", "/?model=none", "/models/none/optimise"])
def test_errors(coloured: Page, own: Service, path: str) -> None:
    """The page of an error, and pages that open with one."""
    coloured.goto(own.url + path)

    assert findings(coloured) == []
