"""Many images are sent in parts, and again what was not answered."""

import json
import threading
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.live.page.conftest import watch
from tests.live.page.test_many import COUNTED, ROWS, STAGE, image, images, names, posts
from tests.live.page.test_models import drop
from tests.live.service import Service

pytestmark = [pytest.mark.live, pytest.mark.browser]


def test_full_service(browser_page: Page, service_url: str) -> None:
    """What the service has no room for is sent again after the time that it asks for."""
    refused = {"title": "Too busy", "status": 503, "detail": "Try again.", "code": "overloaded"}
    left = [2, 1]

    def answer(route: Route) -> None:
        if left[0]:
            left[0] -= 1
            route.fulfill(status=503, headers={"Retry-After": "1"}, body=json.dumps(refused))
        elif left[1]:
            left[1] -= 1
            response = route.fetch()
            said = response.json()
            said["results"][0] = {"error": refused}
            route.fulfill(response=response, json=said)
        else:
            route.continue_()

    complaints = watch(browser_page)
    browser_page.goto(service_url)
    browser_page.route("**/predict", answer)
    browser_page.set_input_files("#image", images(40))

    expect(browser_page.locator(STAGE)).to_have_text("40 of 40 images predicted.")
    assert left == [0, 0]
    assert [one for one in complaints if "status of 503" not in one] == []


def test_cancel(page: Page) -> None:
    """Cancel ends the requests; the rest can be sent later, and what was answered is kept."""
    free = threading.Event()
    begun: list[Route] = []

    def hold(route: Route) -> None:
        begun.append(route)
        if len(begun) == 1 or free.is_set():
            route.continue_()

    page.route("**/predict", hold)
    sent = posts(page)
    page.set_input_files("#image", images(40))
    expect(page.locator(f"{ROWS} .share", has_text="%")).to_have_count(8)
    expect(page.locator(STAGE)).to_contain_text("8 of 40 images")
    page.get_by_role("button", name="Cancel").click()

    expect(page.locator(STAGE)).to_have_text("8 of 40 images predicted, 32 not sent.")
    free.set()
    before = len(sent)
    page.get_by_role("button", name="Send the remaining 32").click()
    expect(page.locator(STAGE)).to_have_text("40 of 40 images predicted.")
    assert len(sent) - before == 4


def test_lost_service(page: Page) -> None:
    """A service that is gone ends the sending with a sentence, and the rest can be sent when it is back."""
    page.route("**/predict", lambda route: route.abort())
    page.set_input_files("#image", images(33))
    expect(page.locator(STAGE)).to_contain_text("33 not sent. No answer: The service could not be reached.")

    page.unroute("**/predict")
    page.get_by_role("button", name="Send the remaining 33").click()
    expect(page.locator(STAGE)).to_have_text("33 of 33 images predicted.")


ONE_REFUSAL = """() => {
  let sent = 0;
  window.fetch = async (url, { signal }) => {
    if (sent++) {
      const start = (body) => signal.addEventListener("abort", () => body.error(signal.reason));
      return new Response(new ReadableStream({ start }), { status: 401 });
    }
    await new Promise((done) => setTimeout(done, 100));
    return Response.json({ title: "Unauthorized", detail: "A token is required." }, { status: 401 });
  };
}"""


def test_refused_by_the_service(page: Page) -> None:
    """The refusal that ended the sending is told, not what is left of those it cut off."""
    page.evaluate(ONE_REFUSAL)
    page.set_input_files("#image", images(33))

    expect(page.locator(STAGE)).to_have_text(
        "0 of 33 images predicted, 33 not sent. Unauthorized: A token is required."
    )


def test_proxy_with_a_limit(page: Page) -> None:
    """Where a proxy refuses a large request its images are sent alone."""

    def answer(route: Route) -> None:
        if int(route.request.headers["x-images"]) > 1:
            route.fulfill(status=413, body="<h1>Too large</h1>")
        else:
            route.continue_()

    page.evaluate(COUNTED)
    page.route("**/predict", answer)
    page.set_input_files("#image", images(33))

    expect(page.locator(STAGE)).to_have_text("33 of 33 images predicted.")


def test_too_large(page: Page, tmp_path: Path) -> None:
    """An image past the limit has its error at once, and the others are sent without it."""
    sent = posts(page)
    large, small = tmp_path / "large.png", tmp_path / "small.png"
    large.write_bytes(bytes(21_000_000))
    small.write_bytes(image("small.png")["buffer"])
    page.set_input_files("#image", [large, small])

    expect(page.locator(STAGE)).to_have_text("1 of 2 images predicted, 1 with a problem.")
    expect(page.locator(f"{ROWS} .failed")).to_contain_text(
        "large.png has 21.0 MB; at most 20 MB are accepted."
    )
    assert len(sent) == 1


def test_small_parts(browser_page: Page, tmp_path: Path) -> None:
    """The parts are no larger than the service's own limit."""
    with Service(tmp_path / "data", workers=1, max_batch=2, max_queue=2) as running:
        complaints = watch(browser_page)
        browser_page.goto(running.url)
        sent = posts(browser_page)
        browser_page.set_input_files("#image", images(9))

        expect(browser_page.locator(STAGE)).to_have_text("9 of 9 images predicted.")
        assert len(sent) >= 5
        assert [one for one in complaints if "status of 503" not in one] == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images, with what else lies in folders."""
    (tmp_path / "pets" / "cats").mkdir(parents=True)
    (tmp_path / "pets" / "notes.txt").write_text("no image")
    (tmp_path / "pets" / ".hidden.png").write_bytes(image("x")["buffer"])
    for number in range(33):
        (tmp_path / "pets" / "cats" / f"{number}.png").write_bytes(image("x", number)["buffer"])
    return tmp_path / "pets"


def test_dropped_folder(page: Page, folder: Path) -> None:
    """Of a dropped folder the images are sent, with their paths as names."""
    drop(page, folder)

    expect(page.locator(STAGE)).to_have_text("33 of 33 images predicted.")
    assert sorted(names(page)) == sorted(f"pets/cats/{number}.png" for number in range(33))


def test_dropped_heic(page: Page, tmp_path: Path) -> None:
    """An image for whose name the browser knows no type is one of the folder, too."""
    (tmp_path / "phone").mkdir()
    for name in ("IMG_0001.HEIC", "IMG_0002.heif", "notes.txt", "raw"):
        (tmp_path / "phone" / name).write_bytes(image("x")["buffer"])
    drop(page, tmp_path / "phone")

    expect(page.locator("#caption")).to_have_text("2 images")
    expect(page.locator("#answers .file")).to_have_count(2)
    shown = page.locator("#answers .file").all_text_contents()
    assert sorted(shown) == ["phone/IMG_0001.HEIC", "phone/IMG_0002.heif"]
