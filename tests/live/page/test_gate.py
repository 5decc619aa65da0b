"""Golden images refuse a version with the list of what it gets wrong, and the page can overrule them."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.live.page.conftest import watch
from tests.live.page.test_walk import upload, zipped
from tests.live.service import Service
from tests.web.colours import archive, colours, noisy, picture

pytestmark = [pytest.mark.live, pytest.mark.browser]
PURE = {"red/1.png": picture((220, 20, 20)), "blue/1.png": picture((20, 20, 220))}
# Each class looks at the wrong channel.
WRONG = (1, 2, 0)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a model whose version 1 gets every golden image wrong, and version 2 every one right."""
    with Service(tmp_path_factory.mktemp("gate") / "data", workers=1) as running:
        for model in (colours(40.0, WRONG), colours(40.0)):
            files = {"model": ("m.onnx", model)}
            running.post("/upload", files=files, data={"name": "colours"}).raise_for_status()
        kept = running.post("/models/colours/golden", files={"pictures": ("g.zip", archive(PURE)[0])})
        kept.raise_for_status()
        yield running


@pytest.fixture(autouse=True)
def good(own: Service) -> None:
    """Version 2 is live when a test begins."""
    own.post("/models/colours/activate", json={"version": 2, "force": True}).raise_for_status()


@pytest.fixture
def page(browser_page: Page, own: Service) -> Iterator[Page]:
    """The page of the models; a complaint of the browser fails the test."""
    complaints = watch(browser_page)
    browser_page.goto(f"{own.url}/upload")
    yield browser_page
    assert complaints == []


def last(service: Service) -> tuple[str, int]:
    """The last change of the model, and its live version."""
    known = service.get("/models/colours").json()
    return known["history"][-1]["action"], known["live"]


def test_make_live(page: Page, own: Service) -> None:
    """The refusal stands at the model with each wrong image; its button overrules it, which is recorded."""
    article = page.get_by_role("article", name="colours")
    first = article.locator("li[data-version='1']")
    first.get_by_role("button", name="Make live").click()
    page.get_by_role("dialog").get_by_role("button", name="Make live").click()

    note = article.locator("#note")
    expect(note).to_contain_text("The model gets 0 of 2 golden images right, and 2 are required")
    expect(note.locator(".wrong li")).to_have_text(
        ["blue/1.png: blue predicted as green", "red/1.png: red predicted as blue"]
    )
    expect(note).not_to_contain_text("force=true")
    assert last(own)[1] == 2
    note.get_by_role("button", name="Do it anyway").click()

    expect(note).to_have_text("Version 1 of colours is live.")
    expect(first).to_contain_text("gate overruled")
    assert last(own) == ("activate_forced", 1)


def test_upload(page: Page, own: Service) -> None:
    """An upload that is refused can be sent again with the button, or with the box of the form."""
    upload(page, colours(20.0, WRONG))
    expect(page.locator("#outcome-title")).to_have_text("Nothing was changed")
    expect(page.locator("#outcome .wrong li")).to_have_count(2)
    assert last(own)[1] == 2
    page.locator("#outcome").get_by_role("button", name="Do it anyway").click()
    expect(page.locator("#outcome-title")).to_contain_text("Live: colours version")
    report = page.locator("#outcome .report")
    expect(report).to_contain_text("0 of 2 right, 2 required; the gate was overruled")
    action, live = last(own)
    assert action == "upload_forced"

    page.get_by_role("checkbox").check()
    upload(page, colours(10.0, WRONG))

    expect(page.locator("#outcome-title")).to_have_text(f"Live: colours version {live + 1}")
    assert last(own) == ("upload_forced", live + 1)


def test_use_this(page: Page, own: Service) -> None:
    """What a report publishes is said before, refused with the list below the table, and then overruled."""
    new = 1 + max(one["version"] for one in own.get("/models/colours").json()["versions"])
    page.goto(f"{own.url}/evaluate")
    page.set_input_files("#archive", zipped(noisy(4)))
    page.select_option("#model", "colours")
    page.select_option("#version", "1")
    page.get_by_role("button", name="Find the preprocessing").click()
    page.get_by_role("button", name="Use this").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Use this preprocessing for colours?")
    expect(dialog).to_contain_text(f"Version {new} of colours is made from version 1.")
    expect(dialog).to_contain_text("instead of")
    expect(dialog).to_contain_text(f"All workers switch from version 2 to version {new} at once")
    dialog.get_by_role("button", name="Use it").click()

    gate = page.locator("#outcome .gate")
    expect(gate).to_contain_text("golden images right")
    expect(gate.locator(".wrong li").first).to_be_visible()
    assert last(own)[1] == 2
    gate.get_by_role("button", name="Do it anyway").click()

    expect(page.locator("#outcome")).to_contain_text(f"Live: version {new}")
    expect(gate).to_have_count(0)
    assert last(own) == ("upload_forced", new)


def test_without_scripts(plain_page: Page, own: Service) -> None:
    """Without JavaScript the page has the list and the button, too."""
    plain_page.goto(f"{own.url}/upload")
    first = plain_page.locator("[aria-label=colours] li[data-version='1']")
    first.get_by_role("button", name="Make live").click()
    expect(plain_page.locator("#note .wrong li")).to_have_count(2)

    plain_page.get_by_role("button", name="Do it anyway").click()

    expect(plain_page.locator("#note")).to_have_text("Version 1 of colours is live.")
    assert last(own) == ("activate_forced", 1)
