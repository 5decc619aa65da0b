"""The uploader's names are shown, shortened and escaped, and never become a path."""

import html
import json
from pathlib import Path

import pytest
import requests

from tests.live.models import FIRST, label
from tests.live.service import Service
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
PATHS = (
    "../../x.onnx",
    "..\\..\\x.onnx",
    "/etc/cron.d/x",
    "C:\\Windows\\x.onnx",
    "....//....//x",
    "..",
    ".",
    "%2e%2e%2fx",
    "..%00/x",
    "file:///tmp/x",
    "~/x",
    "$(touch x)",
    "`touch x`",
    "; touch x;",
    "| touch x",
    "x\x00.onnx",
    "x\r\nSet-Cookie: a=b",
    "CON",
    "model.onnx",
    "manifest.json",
    "part-0",
    ".hidden",
    " ",
    "-rf",
    "*",
    "x" * 5000,
    "ÿ" * 300,
    "ﷺ\u202e\u2066x",
    "👩‍👩‍👧‍👦" * 40,
    "Ω≈ç√∫µ≤≥÷",
    "ด้้้้้็็็็็้้้้้",
    "<img src=x onerror=alert(1)>",
    "'; DROP TABLE models; --",
    "{{7*7}}${7*7}",
    "%s%s%n%x",
    "\ufeffx",
    "\ud800",
)
"""Names as attackers, other systems and bad luck make them."""


def form(name: str, field: str = "model", content: bytes = b"no model") -> bytes:
    """A part of a form, with the name as it is, but for what would end the header."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "%0D").replace("\n", "%0A")
    raw = quoted.encode(errors="surrogatepass")
    disposition = b'Content-Disposition: form-data; name="%s"; filename="%s"' % (field.encode(), raw)
    return b"--b\r\n" + disposition + b"\r\n\r\n" + content + b"\r\n"


def files(folder: Path) -> set[Path]:
    """All files and folders below one."""
    return set(folder.rglob("*"))


@pytest.mark.promise("U8")
@pytest.mark.parametrize("field", ["model", "labels", "preprocessing", "other"])
def test_never_a_path(fresh: Service, field: str) -> None:
    """Whatever a file is called, nothing comes to lie anywhere, and the name is not given back as it is."""
    # Of two models neither is taken, so that this goes through many names without a check of each.
    around = fresh.data.parent
    before = files(around) - files(fresh.data / "metrics")

    for name in PATHS:
        body = form(name, field) + form(name) + form(name) + b"--b--\r\n"
        answer = fresh.post("/upload", data=body, headers={"Content-Type": "multipart/form-data; boundary=b"})

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), name
        assert "<img" not in answer.text
        assert "Set-Cookie" not in answer.headers

    left = {path for path in files(around) - files(fresh.data / "metrics") - before if path.exists()}
    assert {path.name for path in left} <= {"incoming", "gate.lock"}
    assert list((fresh.data / "incoming").iterdir()) == []


@pytest.mark.promise("U8")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../x.onnx", "x.onnx"),
        ("<img src=x onerror=alert(1)>.onnx", "<img src=x onerror=alert(1)>.onnx"),
        ("x" * 5000, "x" * 100),
        ("..", ".."),
        ("ด้้้้้็็็็็้้้้้Ω≈ç√", "ด้้้้้็็็็็้้้้้Ω≈ç√"),
    ],
)
def test_shown(service: Service, cat: Path, name: str, shown: str) -> None:
    """A served model's name is the last part of the uploader's, at most 100 characters, escaped."""
    around = service.data.parent
    before = set(around.iterdir())
    body = form(name, content=FIRST) + b"--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}

    answer = service.post("/upload", data=body, headers=headers).json()
    page = service.get("/upload", headers={"Accept": "text/html"}).text
    listed = service.get("/models/default").json()

    assert (answer["status"], answer["model"]) == ("success", shown)
    assert listed["versions"][0]["model"] == shown
    assert html.escape(shown) in page
    assert "<img src=x" not in page
    folder = service.data / "models" / "default" / str(answer["version"])
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "model.onnx"}
    assert json.loads((folder / "manifest.json").read_text())["model"] == shown
    assert set(around.iterdir()) == before
    assert label(service, cat) == "first"
    assert service.post("/models/default/activate", json={"version": 1}).status_code == 200
    removed = requests.delete(f"{service.url}/models/default/versions/{answer['version']}", timeout=PATIENCE)
    assert removed.status_code == 200
