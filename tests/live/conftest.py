"""The real service, a server of images beside it, and a real browser."""

import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.live.service import Service
from tests.patience import PATIENCE

DATA = Path(__file__).parent.parent / "data"
# Without a screen, as any user, and without a word to anybody outside this machine.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def chromium_path() -> str | None:
    """The browser, best the one without a screen's parts: a page takes half of the processor time with it."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        pass


@pytest.fixture(scope="session")
def picture_url() -> Iterator[str]:
    """The address of the cat's image on a server of loopback."""
    handler = partial(_Quiet, directory=str(DATA))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/cat.jpg"
        server.shutdown()
        thread.join(PATIENCE)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with two workers that may fetch from loopback."""
    data = tmp_path_factory.mktemp("service") / "data"
    with Service(data, fetch_allow="127.0.0.1") as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A service with a store of its own and two workers."""
    with Service(tmp_path / "data", cache="off") as running:
        yield running


@pytest.fixture(scope="session")
def service_url(service: Service) -> str:
    """The address of the running service."""
    return service.url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; where there is none, its tests are skipped, except in continuous integration."""
    chromium = chromium_path()
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium in continuous integration")
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def browser_page(browser: Browser) -> Iterator[Page]:
    """A new page of a desktop's size."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield context.new_page()


@pytest.fixture
def plain_page(browser: Browser) -> Iterator[Page]:
    """A new page without JavaScript."""
    with browser.new_context(java_script_enabled=False) as context:
        yield context.new_page()
