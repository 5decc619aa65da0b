"""Each common client sends an image and a URL by its default settings, and each is answered with 200.

Clients that are no Python packages are used where they are installed; `make test` installs axios where
npm is.
"""

import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import playwright
import pytest
import requests
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.live.service import Service
from tests.live.test_service import counted
from tests.loops import in_a_loop
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
HERE = Path(__file__).parent
TOKEN = "a-token-for-predictions"


@pytest.fixture(scope="module")
def url(service: Service) -> str:
    """Where predictions are asked for."""
    return f"{service.url}/predict"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of more than a megabyte, before which curl waits for the server's word."""
    pixels = np.random.default_rng(1).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("large") / "large.png"
    Image.fromarray(pixels).save(path)
    assert path.stat().st_size > 1024 * 1024
    return path


def refused(statuses: dict[str, Any]) -> dict[str, Any]:
    """The ways that were not answered with 200."""
    assert statuses
    return {way: status for way, status in statuses.items() if status != 200}


def test_requests(url: str, cat: Path, picture_url: str) -> None:
    """Python's requests: bytes, a file, a form, JSON, JSON as text, a URL in a form."""
    data, text = cat.read_bytes(), json.dumps({"image_url": picture_url})

    def post(**options: Any) -> int:
        return requests.post(url, timeout=PATIENCE, **options).status_code

    with cat.open("rb") as file, cat.open("rb") as part:
        statuses = {
            "bytes": post(data=data),
            "file": post(data=file),
            "generator": post(data=iter([data[:1000], data[1000:]])),
            "form": post(files={"image": part}),
            "form with bytes": post(files={"image": data}),
            "form with an empty name": post(files={"image": ("", data)}),
            "JSON": post(json={"image_url": picture_url, "version": None}),
            "JSON as text": post(data=text),
            "URL in a form": post(data={"image_url": picture_url}),
        }

    assert refused(statuses) == {}


def test_httpx(url: str, cat: Path, picture_url: str) -> None:
    """httpx: bytes, a form, JSON, a URL in a form."""
    httpx = pytest.importorskip("httpx")
    data = cat.read_bytes()

    with httpx.Client(timeout=PATIENCE) as client, cat.open("rb") as file:
        statuses = {
            "bytes": client.post(url, content=data).status_code,
            "generator": client.post(url, content=iter([data])).status_code,
            "form": client.post(url, files={"image": file}).status_code,
            "JSON": client.post(url, json={"image_url": picture_url}).status_code,
            "JSON as text": client.post(url, content=json.dumps({"image_url": picture_url})).status_code,
            "URL in a form": client.post(url, data={"image_url": picture_url}).status_code,
        }

    assert refused(statuses) == {}


def test_aiohttp(url: str, cat: Path, picture_url: str) -> None:
    """aiohttp: bytes, a file, a form, JSON, JSON as text, a URL in a form."""
    aiohttp = pytest.importorskip("aiohttp")

    async def send() -> dict[str, int]:
        statuses = dict[str, int]()
        async with aiohttp.ClientSession() as session:
            for way, options in (
                ("bytes", {"data": cat.read_bytes()}),
                ("file", {"data": io.BytesIO(cat.read_bytes())}),
                ("form", {"data": {"image": io.BytesIO(cat.read_bytes())}}),
                ("JSON", {"json": {"image_url": picture_url}}),
                ("JSON as text", {"data": json.dumps({"image_url": picture_url})}),
                ("URL in a form", {"data": {"image_url": picture_url}}),
            ):
                async with session.post(url, **options) as answer:
                    statuses[way] = answer.status
        return statuses

    assert refused(in_a_loop(send())) == {}


def test_standard_library(url: str, cat: Path, picture_url: str) -> None:
    """urllib, which calls every body a form, and http.client, which calls it nothing."""
    bodies = {
        "bytes": cat.read_bytes(),
        "JSON": json.dumps({"image_url": picture_url}).encode(),
        "URL in a form": urlencode({"image_url": picture_url}).encode(),
    }
    statuses = dict[str, int]()
    for way, body in bodies.items():
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(url, body, PATIENCE) as answer:
            statuses[f"urllib: {way}"] = answer.status
    for way in ("bytes", "JSON"):
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        connection.request("POST", "/predict", bodies[way])
        statuses[f"http.client: {way}"] = connection.getresponse().status
        connection.close()

    assert len(statuses) == 5
    assert refused(statuses) == {}


def test_hugging_face(service: Service, url: str, cat: Path, picture_url: str) -> None:
    """The client of huggingface_hub posts images to any URL; each request is answered with 200."""
    hub = pytest.importorskip("huggingface_hub")
    client = hub.InferenceClient(model=url, timeout=PATIENCE)
    answered = 'http_requests_total{endpoint="api.predict",method="POST",status="200"}'
    before = counted(service, answered)

    for image in (cat.read_bytes(), cat, str(cat), picture_url):
        # The answer of this route has the service's own form, which the client cannot read.
        with suppress(TypeError, ValueError, KeyError, AttributeError):
            client.image_classification(image)

    assert counted(service, answered) == before + 4


def curl(*options: object) -> int:
    """The status of an answer to curl."""
    command = ["curl", "--silent", "--output", os.devnull, "--write-out", "%{http_code}", *map(str, options)]
    return int(subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE).stdout)


def test_curl(url: str, cat: Path, large: Path, picture_url: str) -> None:
    """The machine's curl: bytes, an upload, a form, JSON as 7.81 and as 7.82 can send it, a URL in a form."""
    if shutil.which("curl") is None:
        pytest.skip("no curl is installed")
    text = json.dumps({"image_url": picture_url})
    statuses = {
        "bytes": curl("--data-binary", f"@{cat}", url),
        "many bytes": curl("--data-binary", f"@{large}", url),
        "upload": curl("--upload-file", cat, "--request", "POST", url),
        "form": curl("--form", f"image=@{cat}", url),
        "large form": curl("--form", f"image=@{large}", url),
        "form without a file name": curl("--form", f"image=<{cat};type=image/jpeg", url),
        "JSON": curl("--data", text, url),
        "JSON with its type": curl("--header", "Content-Type: application/json", "--data", text, url),
        "URL in a form": curl("--data-urlencode", f"image_url={picture_url}", url),
        "chunked": curl("--header", "Transfer-Encoding: chunked", "--data-binary", f"@{cat}", url),
    }
    if (
        "--json"
        in subprocess.run(["curl", "--help", "all"], check=True, capture_output=True, text=True).stdout
    ):
        statuses["--json"] = curl("--json", text, url)

    assert refused(statuses) == {}


def test_newest_curl(url: str, cat: Path, large: Path, picture_url: str) -> None:
    """The curl library of today, with what its program would set: the same, and JSON as `--json` sends it."""
    pycurl = pytest.importorskip("pycurl")
    text = json.dumps({"image_url": picture_url})
    types = ["Content-Type: application/json", "Accept: application/json"]

    def status(**options: Any) -> int:
        transfer = pycurl.Curl()
        transfer.setopt(pycurl.URL, url)
        transfer.setopt(pycurl.WRITEFUNCTION, lambda _: None)
        for name, value in options.items():
            transfer.setopt(getattr(pycurl, name), value)
        transfer.perform()
        found: int = transfer.getinfo(pycurl.RESPONSE_CODE)
        transfer.close()
        return found

    with large.open("rb") as file:
        uploaded = status(UPLOAD=1, CUSTOMREQUEST="POST", READDATA=file, INFILESIZE=large.stat().st_size)
    statuses = {
        "bytes": status(POSTFIELDS=cat.read_bytes()),
        "many bytes": status(POSTFIELDS=large.read_bytes()),
        "upload": uploaded,
        "form": status(HTTPPOST=[("image", (pycurl.FORM_FILE, str(cat)))]),
        "large form": status(HTTPPOST=[("image", (pycurl.FORM_FILE, str(large)))]),
        "JSON": status(POSTFIELDS=text),
        "--json": status(POSTFIELDS=text, HTTPHEADER=types),
        "URL in a form": status(POSTFIELDS=urlencode({"image_url": picture_url})),
        "chunked": status(POSTFIELDS=cat.read_bytes(), HTTPHEADER=["Transfer-Encoding: chunked"]),
    }

    assert refused(statuses) == {}


def replayed(url: str, body: bytes, kind: str) -> int:
    """The status of an answer to what curl 7.81 sends: it waits for 100 before more than a megabyte."""
    waits = len(body) > 1024 * 1024
    lines = [
        "POST /predict HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        "User-Agent: curl/7.81.0",
        "Accept: */*",
        f"Content-Length: {len(body)}",
        f"Content-Type: {kind}",
        *(["Expect: 100-continue"] if waits else []),
    ]
    host, port = urlsplit(url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        if waits:
            assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        response.read()
        return response.status


def form_of_curl(data: bytes) -> tuple[bytes, str]:
    """A form with a file as curl 7.81 writes it: its bytes, and its type."""
    boundary = "------------------------d74496d66958873e"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="cat.jpg"\r\n'
    body = f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def test_curl_7_81(url: str, cat: Path, large: Path, picture_url: str) -> None:
    """What curl 7.81 sends, as Ubuntu 22.04 has it, byte by byte; it knows no `--json`."""
    form = "application/x-www-form-urlencoded"
    statuses = {
        "bytes": replayed(url, cat.read_bytes(), form),
        "many bytes": replayed(url, large.read_bytes(), form),
        "form": replayed(url, *form_of_curl(cat.read_bytes())),
        "large form": replayed(url, *form_of_curl(large.read_bytes())),
        "JSON": replayed(url, json.dumps({"image_url": picture_url}).encode(), form),
        "URL in a form": replayed(url, f"image_url={picture_url}".encode(), form),
    }

    assert refused(statuses) == {}


def printed(*command: object, **variables: str) -> dict[str, Any]:
    """What a client's script prints."""
    ended = subprocess.run(
        list(map(str, command)), check=False, capture_output=True, text=True, timeout=PATIENCE,
        env=os.environ | variables,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    statuses: dict[str, Any] = json.loads(ended.stdout)
    return statuses


def node() -> str:
    """Node: the machine's, or the one that playwright brings along."""
    return shutil.which("node") or str(Path(playwright.__file__).parent / "driver" / "node")


def test_node(url: str, cat: Path, picture_url: str) -> None:
    """Node's fetch with bytes, blobs, streams, forms and JSON, and its http.request."""
    assert refused(printed(node(), HERE / "fetch.cjs", url, cat, picture_url)) == {}


def test_axios(url: str, cat: Path, picture_url: str) -> None:
    """The client axios with bytes, streams, forms and JSON."""
    modules = Path(sys.prefix) / "node" / "node_modules"
    if not (modules / "axios").exists():
        pytest.skip("axios is not installed: `make test` installs it where npm is")

    assert refused(printed(node(), HERE / "axios.cjs", url, cat, picture_url, NODE_PATH=str(modules))) == {}


def test_java(url: str, cat: Path, picture_url: str) -> None:
    """Java's HttpClient, which asks for HTTP/2 and names no type."""
    if shutil.which("javac") is None:
        pytest.skip("no Java development kit is installed")

    assert refused(printed("java", HERE / "Client.java", url, cat, picture_url)) == {}


@pytest.fixture
def other_page(browser_page: Page, picture_url: str) -> Page:
    """A page of another origin."""
    browser_page.goto(picture_url.replace("127.0.0.1", "localhost") + "/none")
    return browser_page


@pytest.mark.browser
@pytest.mark.parametrize("way", ["file", "URL"])
def test_form_of_another_origin(other_page: Page, url: str, cat: Path, picture_url: str, way: str) -> None:
    """A form on another web site may post an image or a URL, as browsers have always allowed."""
    field = '<input type="file" name="image">' if way == "file" else '<input name="image_url">'
    kind = ' enctype="multipart/form-data"' if way == "file" else ""
    other_page.set_content(f'<form method="post" action="{url}"{kind}>{field}<button>Predict</button></form>')
    if way == "file":
        other_page.locator("input").set_input_files(cat)
    else:
        other_page.locator("input").fill(picture_url)

    with other_page.expect_navigation() as navigation:
        other_page.get_by_text("Predict").click()

    assert navigation.value is not None
    assert navigation.value.status == 200
    assert json.loads(navigation.value.text())["predicted_label"] == "tiger cat"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, picture_url: str) -> Iterator[Service]:
    """A service that needs a token and shares with the pages of one origin."""
    origin = picture_url.removesuffix("/cat.jpg").replace("127.0.0.1", "localhost")
    data = tmp_path_factory.mktemp("guarded") / "data"
    with Service(
        data, workers=1, fetch_allow="127.0.0.1", predict_token=TOKEN, allowed_origins=origin
    ) as running:
        yield running


FETCH = """async ([url, token, imageUrl]) => {
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "Authorization": `Bearer ${token}`,
        "X-Request-ID": "page-1",
      },
      body: JSON.stringify({image_url: imageUrl}),
    });
    return [answer.status, answer.headers.get("X-Request-ID"), (await answer.json()).code ?? null];
  } catch (error) {
    return [0, null, String(error)];
  }
}"""


@pytest.mark.browser
def test_script_of_an_allowed_origin(other_page: Page, guarded: Service, picture_url: str) -> None:
    """A script of an allowed origin sends a token and JSON, and reads answers, headers and refusals."""
    url = f"{guarded.url}/predict"

    assert other_page.evaluate(FETCH, [url, TOKEN, picture_url]) == [200, "page-1", None]
    assert other_page.evaluate(FETCH, [url, "wrong", picture_url]) == [401, "page-1", "unauthorized"]
    assert other_page.evaluate(FETCH, [f"{guarded.url}/models/default/rollback", TOKEN, ""])[0] == 0


@pytest.mark.browser
def test_script_of_another_origin(
    browser: Browser, guarded: Service, service: Service, picture_url: str
) -> None:
    """A script of an origin that is not allowed reads nothing."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{picture_url}/none")  # by another name, so of another origin

        assert page.evaluate(FETCH, [f"{guarded.url}/predict", TOKEN, picture_url])[0] == 0
        assert page.evaluate(FETCH, [f"{service.url}/predict", TOKEN, picture_url])[0] == 0
