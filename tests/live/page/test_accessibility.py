"""The pages break no rule of axe-core (contrast, names, roles, headings), in both colour schemes."""

import sys
from pathlib import Path
from typing import Literal
from urllib.parse import urljoin

import pytest
from playwright.sync_api import FilePayload, Page, expect

pytestmark = [pytest.mark.live, pytest.mark.browser]
AXE = Path(sys.prefix) / "node" / "node_modules" / "axe-core" / "axe.min.js"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def findings(page: Page) -> list[str]:
    """What axe-core finds wrong: the rule, and the elements."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: tools/install_test_servers.sh")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then((result) => result.violations)")
    return [f"{one['id']}: {[node['html'] for node in one['nodes']][:3]}" for one in found]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", ["/", "/upload", "/evaluate", "/docs"])
def test_pages(page: Page, service_url: str, path: str, scheme: Literal["light", "dark"]) -> None:
    """Each page as it opens."""
    page.emulate_media(color_scheme=scheme)
    page.goto(urljoin(service_url, path))

    assert findings(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_filled(
    page: Page, cat_file: FilePayload, text_file: FilePayload, scheme: Literal["light", "dark"]
) -> None:
    """The predict page with an answer, with a refusal, and with several."""
    page.emulate_media(color_scheme=scheme)
    found = []
    for files, shown in (
        ([cat_file], ".ranking"),
        ([text_file], ".problem"),
        ([cat_file, text_file], ".many"),
    ):
        page.set_input_files("#image", files)
        page.wait_for_selector(f"#result {shown}")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        found += findings(page)

    expect(page.locator("#answers")).to_be_visible()
    assert found == []
