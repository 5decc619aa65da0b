"""Labels and file names of any content are shown as text in a real browser, and lead nowhere."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, Route, expect

from tests.live.attack_access.naughty import TEXTS
from tests.live.page.conftest import watch
from tests.live.service import ROOT, Service
from tests.patience import PATIENCE
from tools.sample_models import classifier

pytestmark = [pytest.mark.live, pytest.mark.browser]
# The label that is a number stands at its own index, so that either means the same class.
GIVEN = sorted(TEXTS, key=lambda text: text != "0")
LABELS = [" ".join(text.split()) for text in GIVEN]
COUNT = len(TEXTS)
# Shown by an upload: the most different ones, each once as a model's and once as its labels' name.
NAMES = TEXTS[::6]
PATIENCE_MS = 1000 * PATIENCE
REPORT = """document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`blocked: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));"""
# What is inside of the places that show a text of others, and what no page of the service ever has.
PLACES = (".label", ".filename", ".file", ".synonyms", "#outcome-title", "title")
FOREIGN = (
    "iframe", "object", "embed", "base", "audio", "video", "math", "marquee", "plaintext", "meta[http-equiv]",
    "[onerror]", "[onload]", "[onfocus]", "[onclick]", "[ontoggle]", "[onmouseover]", "[srcdoc]",
    "main script", "img[src='x']", "a[href^='javascript:']",
    "td *:not(.badge, .opener, .small-copy[src^='data:image/jpeg;'])",
)  # fmt: skip
INJECTED = f"""() => [...document.querySelectorAll({json.dumps(", ".join(f"{place} *" for place in PLACES))}),
  ...document.querySelectorAll({json.dumps(", ".join(FOREIGN))})].map((element) => element.outerHTML)"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose live model has all the labels."""
    with Service(tmp_path_factory.mktemp("naughty") / "data", workers=1, max_batch=COUNT) as running:
        files = {
            "model": ("m.onnx", classifier(LABELS, metadata=False)),
            "labels": ("labels.json", json.dumps(GIVEN)),
        }
        running.post("/upload", files=files).raise_for_status()
        yield running


@pytest.fixture
def page(browser_page: Page, own: Service) -> Iterator[Page]:
    """A page that is watched: no dialog, no complaint, no request to elsewhere, and nothing put into it."""
    complaints = watch(browser_page)
    browser_page.add_init_script(REPORT)
    browser_page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))

    def note(url: str) -> None:
        if not url.startswith((own.url + "/", "data:image/", "blob:")):
            complaints.append(f"request: {url}")

    browser_page.on("request", lambda request: note(request.url))
    browser_page.on("popup", lambda popup: complaints.append(f"popup: {popup.url}"))
    yield browser_page
    assert browser_page.evaluate(INJECTED) == []
    assert complaints == []


def texts(page: Page, places: str) -> list[str]:
    """The text of each of these places as it stands in the document."""
    found = page.locator(places).all_text_contents()
    return [" ".join(text.split()) for text in found]


def picture() -> bytes:
    """A small image."""
    out = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 99, np.uint8)).save(out, "PNG")
    return out.getvalue()


def named(name: str, content: bytes | None = None) -> FilePayload:
    """An image of this name, or what is called one."""
    return {"name": name, "mimeType": "image/png", "buffer": picture() if content is None else content}


@pytest.mark.promise("A5")
def test_labels_by_script(page: Page, own: Service) -> None:
    """The ranking that the page's script draws shows each label, letter by letter."""

    def all_of_them(route: Route) -> None:
        route.continue_(url=f"{own.url}/predict?top_k={COUNT}")

    page.route("**/predict", all_of_them)
    page.goto(own.url)
    page.set_input_files("#image", named("a.png"))

    expect(page.locator("#answers .ranking li")).to_have_count(COUNT)
    assert sorted(texts(page, "#answers .ranking .label")) == sorted(LABELS)


@pytest.mark.promise("A5")
def test_labels_by_server(page: Page, own: Service) -> None:
    """So does the ranking that the service itself draws."""
    page.goto(own.url)
    page.locator("#form").evaluate(f"form => {{ form.action = '/?top_k={COUNT}'; }}")
    with page.expect_navigation():
        page.evaluate(
            """(name) => {
              const transfer = new DataTransfer();
              const bytes = Uint8Array.from(atob(name), (letter) => letter.charCodeAt(0));
              transfer.items.add(new File([bytes], "a.png", { type: "image/png" }));
              document.getElementById("image").files = transfer.files;
              HTMLFormElement.prototype.submit.call(document.getElementById("form"));
            }""",
            base64.b64encode(picture()).decode(),
        )

    expect(page.locator("#answers .ranking li")).to_have_count(COUNT)
    assert sorted(texts(page, "#answers .ranking .label")) == sorted(LABELS)


def test_html_has_no_label_raw(own: Service) -> None:
    """In the page's source no label with markup stands as it is written."""
    html = own.post(
        f"/?top_k={COUNT}", files={"image": ("a.png", picture())}, headers={"Accept": "text/html"}
    ).text

    raw = [label for label in LABELS if re.search("<[a-zA-Z/!?]", label) and label in html]
    assert html.count('class="label"') >= COUNT
    assert raw == []


def test_names_of_pictures(page: Page, own: Service) -> None:
    """The names of chosen images stand beside their answers."""
    page.goto(own.url)
    # A browser takes what is before a slash for a folder.
    names = [text.replace("/", "|") for text in TEXTS]
    page.set_input_files("#image", [named(name) for name in names])

    cards = page.locator("#answers article")
    expect(cards).to_have_count(COUNT, timeout=PATIENCE_MS)
    assert texts(page, "#answers article .file") == [" ".join(name.split()) for name in names]


@pytest.mark.promise("A5")
def test_names_and_labels_of_an_evaluation(page: Page, own: Service, tmp_path: Path) -> None:
    """A report shows every label, and the names of images that are left out; saved, it is as harmless."""
    page.goto(f"{own.url}/evaluate")
    good = [named(f"{index}_{index}.png") for index in range(COUNT)]
    bad = [
        named(f"0_{number} {text.replace('/', '|')}.png", b"no picture")
        for number, text in enumerate(TEXTS[:90])
    ]
    page.locator("#archive").evaluate("input => { input.multiple = true; }")
    page.set_input_files("#archive", [*good, *bad])
    page.get_by_role("button", name="Evaluate", exact=True).click()

    expect(page.locator("#outcome .problems li")).to_have_count(90, timeout=PATIENCE_MS)
    shown = set(texts(page, "#outcome td"))
    assert [label for label in LABELS if label not in shown] == []
    with page.expect_download() as download:
        page.click("#save-html")
    saved = tmp_path / "report.html"
    download.value.save_as(saved)
    with page.context.new_page() as alone:
        complaints = watch(alone)
        alone.on("dialog", lambda dialog: complaints.append(dialog.message))
        alone.set_content(saved.read_text())
        assert set(texts(alone, "td")) >= set(LABELS)
        assert alone.evaluate(INJECTED) == []
        assert complaints == []


@pytest.mark.promise("U8")
def test_names_of_uploads(page: Page, own: Service) -> None:
    """Names of uploaded files never become a path, and stand on the page as text, 100 characters of them."""
    before = outside(own)
    for number in range(0, len(NAMES) - 1, 2):
        files = {
            "model": (NAMES[number], classifier(["a", "b"], metadata=False, seed=number)),
            "labels": (NAMES[number + 1], b"a\nb\n"),
        }
        answer = own.post("/upload", files=files, data={"name": f"names-{number % 3}"})
        assert answer.status_code == 200, answer.text
    page.goto(f"{own.url}/upload")

    shown = texts(page, ".version .filename")
    kept = [own.get(f"/models/names-{one}").json()["versions"] for one in range(3)]
    told = {
        " ".join(name.split())
        for versions in kept
        for one in versions
        for name in (one["model"], one["labels"])
    }
    assert told <= set(shown)
    assert all(len(name) <= 100 and not set(name) & set("/\\") for name in told)
    assert len(told) > len(NAMES) // 2
    assert outside(own) == before
    folders = [
        path for path in (own.data / "models").rglob("*") if path.is_file() and path.parent.name.isdecimal()
    ]
    assert {path.name for path in folders} <= {"model.onnx", "labels", "manifest.json", "preprocessing"}
    assert list((own.data / "incoming").glob("*")) == []


def outside(service: Service) -> set[Path]:
    """What lies around the store, where a name that became a path would lead."""
    around = {
        path
        for folder in (service.data.parent, ROOT, Path("/tmp"), Path("/etc"))
        for path in folder.glob("*")
    }
    return {path for path in around if "naughty" in path.name and path != service.data.parent} | set(
        service.data.parent.glob("*")
    )


def test_names_of_refused_uploads(own: Service) -> None:
    """Neither does any name of a refused upload, and the refusal repeats no markup."""
    before = outside(own)
    for text in TEXTS:
        answer = own.post(
            "/upload",
            files={"model": (text, b"x"), text[:50] or "x": (text, b"x")},
            headers={"Accept": "text/html"},
        )
        assert answer.status_code == 400
        assert not (re.search("<[a-zA-Z/!?]", text) and text in answer.text), text

    assert outside(own) == before
    assert list((own.data / "incoming").glob("*")) == []
