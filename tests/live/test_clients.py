"""An image and a URL, sent by common clients with nothing set but what has no default, are answered."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.live.service import Service
from tests.patience import PATIENCE

pytestmark = pytest.mark.live

# Each gets the URL of the service, the image's file and the image's URL, and writes the answer to its output.
COMMANDS = {
    "curl, bytes": ["curl", "-s", "--data-binary", "@{file}", "{url}"],
    "curl, chunked": ["curl", "-s", "-H", "Transfer-Encoding: chunked", "--data-binary", "@{file}", "{url}"],
    "curl, upload": ["curl", "-s", "-X", "POST", "-T", "{file}", "{url}"],
    "curl, form": ["curl", "-s", "-F", "image=@{file}", "{url}"],
    "curl, JSON": ["curl", "-s", "-d", '{{"image_url": "{picture}"}}', "{url}/"],
    "curl, field": ["curl", "-s", "--data-urlencode", "image_url={picture}", "{url}"],
    "curl, field of a form": ["curl", "-s", "-F", "image_url={picture}", "{url}"],
    "wget, file": ["wget", "-q", "-O-", "--post-file={file}", "{url}"],
    "wget, JSON": ["wget", "-q", "-O-", '--post-data={{"image_url": "{picture}"}}', "{url}"],
}
PYTHON = {
    "requests, bytes": "import requests; show(requests.post(url, data=open(file, 'rb').read()).text)",
    "requests, file": "import requests; show(requests.post(url, data=open(file, 'rb')).text)",
    "requests, form": "import requests; show(requests.post(url, files={'image': open(file, 'rb')}).text)",
    "requests, JSON": "import requests; show(requests.post(url, json={'image_url': picture}).text)",
    "requests, JSON as text": (
        "import requests; show(requests.post(url, data=json.dumps({'image_url': picture})).text)"
    ),
    "requests, base64": (
        "import requests; text = base64.b64encode(open(file, 'rb').read()); "
        "show(requests.post(url, data={'image': text}).text)"
    ),
    "httpx, bytes": "import httpx; show(httpx.post(url, content=open(file, 'rb').read()).text)",
    "httpx, form": "import httpx; show(httpx.post(url, files={'image': open(file, 'rb')}).text)",
    "httpx, JSON": "import httpx; show(httpx.post(url, json={'image_url': picture}).text)",
    "urllib3, form": (
        "import urllib3; data = open(file, 'rb').read(); "
        "show(urllib3.request('POST', url, fields={'image': ('cat.jpg', data)}).data.decode())"
    ),
    "urllib, bytes": (
        "import urllib.request as client; data = open(file, 'rb').read(); "
        "show(client.urlopen(client.Request(url, data=data)).read().decode())"
    ),
    "http.client, bytes": (
        "import http.client, urllib.parse; parts = urllib.parse.urlsplit(url); "
        "connection = http.client.HTTPConnection(parts.netloc); "
        "connection.request('POST', parts.path, open(file, 'rb').read()); "
        "show(connection.getresponse().read().decode())"
    ),
    "aiohttp, bytes": (
        "import aiohttp, asyncio\n"
        "async def ask():\n"
        "    async with aiohttp.ClientSession() as session:\n"
        "        async with session.post(url, data=open(file, 'rb').read()) as answer:\n"
        "            show(await answer.text())\n"
        "asyncio.run(ask())"
    ),
    "aiohttp, form": (
        "import aiohttp, asyncio\n"
        "async def ask():\n"
        "    async with aiohttp.ClientSession() as session:\n"
        "        async with session.post(url, data={'image': open(file, 'rb')}) as answer:\n"
        "            show(await answer.text())\n"
        "asyncio.run(ask())"
    ),
}
_PYTHON = "import base64, json, sys\nurl, file, picture = sys.argv[1:]\nshow = print\n"
NODE = {
    "bytes": "{body: data}",
    "Blob": "{body: new Blob([data])}",
    "stream": "{body: fs.createReadStream(file), duplex: 'half'}",
    "form": "{body: form(new Blob([data]), 'cat.jpg')}",
    "form without a name": "{body: form(new Blob([data]), '')}",
    "form with base64": "{body: form(data.toString('base64'))}",
    "JSON": "{body: JSON.stringify({image_url: picture, version: null})}",
    "fields": "{body: new URLSearchParams({image_url: picture, submit: 'Predict'})}",
}
_NODE = """
const fs = require("fs"); const [url, file, picture] = process.argv.slice(1);
const data = fs.readFileSync(file);
function form(...value) { const made = new FormData(); made.append("image", ...value); return made; }
fetch(url, {method: "POST", ...%s}).then((answer) => answer.text()).then(console.log);
"""
_JAVA = """
import java.net.URI; import java.net.http.*; import java.nio.file.Path;
public class Client { public static void main(String[] given) throws Exception {
    var body = HttpRequest.BodyPublishers.ofFile(Path.of(given[1]));
    var request = HttpRequest.newBuilder(URI.create(given[0])).POST(body).build();
    System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
} }
"""


def check(command: list[str]) -> None:
    """Run a client and see that the cat is recognised."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout).get("predicted_label") == "tiger cat", run.stdout


@pytest.mark.parametrize("client", COMMANDS)
def test_command(client: str, service: Service, cat: Path, picture_url: str) -> None:
    """Commands of a shell."""
    places = {"url": f"{service.url}/predict", "file": str(cat), "picture": picture_url}
    check([part.format(**places) for part in COMMANDS[client]])


@pytest.mark.parametrize("client", PYTHON)
def test_python(client: str, service: Service, cat: Path, picture_url: str) -> None:
    """Libraries of Python."""
    library = client.partition(",")[0]
    if importlib.util.find_spec(library.partition(".")[0]) is None:
        pytest.skip(f"{library} is not installed")
    code = _PYTHON + PYTHON[client]
    check([sys.executable, "-c", code, f"{service.url}/predict", str(cat), picture_url])


@pytest.mark.parametrize("client", NODE)
def test_node(client: str, service: Service, cat: Path, picture_url: str) -> None:
    """`fetch` of Node, which is that of browsers."""
    check(["node", "-e", _NODE % NODE[client], f"{service.url}/predict", str(cat), picture_url])


def test_java(service: Service, cat: Path, tmp_path: Path) -> None:
    """`HttpClient` of Java."""
    if shutil.which("javac") is None:
        pytest.skip("no JDK is installed")
    source = tmp_path / "Client.java"
    source.write_text(_JAVA)
    check(["java", str(source), f"{service.url}/predict", str(cat)])


def test_browser(service: Service, cat: Path, browser_page: Page) -> None:
    """A form of a page from elsewhere, whose button has a name and whose other field is empty."""
    browser_page.set_content(
        f'<form action="{service.url}/predict" method="post" enctype="multipart/form-data">'
        '<input type="file" name="image"><input name="image_url">'
        '<button name="submit" value="Predict">Predict</button></form>'
    )
    browser_page.set_input_files("input[type=file]", cat)

    with browser_page.expect_navigation() as answer:
        browser_page.click("button")

    assert answer.value.status == 200
    assert '"name":"cat.jpg","predicted_label":"tiger cat"' in answer.value.text()
