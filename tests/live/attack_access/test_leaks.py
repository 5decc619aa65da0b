"""Whatever is asked, an answer says nothing of the inside, and keeps a browser safe."""

import itertools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from flask import Flask

from predictor.problem import SAFE_HEADERS
from tests.live.attack_access.naughty import TEXTS, UNSHOWABLE
from tests.live.attack_access.wire import exchange
from tests.live.service import ROOT, Service
from tests.patience import PATIENCE
from tools import bad_models
from tools.sample_models import classifier

pytestmark = pytest.mark.live
TOKEN = "a-token-for-changing-models"
REQUESTS = 2000
METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", *["POST"] * 8)
VALUES = ("default", "..", "1", "0", "-1", "9" * 30, "a b", "\x00", "%", "A" * 300, *TEXTS[::9])
QUERIES = (
    *[""] * 10,
    "top_k=x",
    "top_k=0",
    "version=1e9",
    "model=../../etc/passwd",
    "debug=\x00",
    "x[]=1",
    "&&==",
    "top_k=" + "9" * 400,
)
TYPES = (
    None, "application/json", "text/plain", "image/jpeg", "application/octet-stream", "multipart/form-data",
    "multipart/form-data; boundary=b", "application/x-www-form-urlencoded", "application/json; charset=utf-7",
)  # fmt: skip
BODIES = (
    b"", b"{", b"{}", b"[]", b"null", b'"text"', b"\xff\xd8\xff\xe0broken", b"GIF89a", b"\x89PNG\r\n\x1a\n",
    b"RIFF\xff\xff\xff\xffWEBP", b"BM" + bytes(30), bytes(1000), b"[" * 5000, b"a=1&b=2", b"version=x",
    b'{"image_url": "http://127.0.0.1:1/x"}', b'{"image_url": "http://[::1]/"}', b'{"image_url": "file:///etc/passwd"}',
    b'{"image_url": "http://localhost:22/"}', b'{"image_url": 7}', b'{"image": "not base64"}',
    b'{"images": []}',
    b'{"version": 1e400}', b'{"version": NaN}', b'{"top_k": "\\ud800", "image": ""}',
    b"--b\r\nContent-Disposition: form-data; name=image; filename=a.jpg\r\n\r\n\xff\xd8\xff\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name=model; filename=../../x\r\n\r\nno model\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name=pictures; filename=a.zip\r\n\r\nPK\x03\x04\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data\r\n\r\n",
)  # fmt: skip
ACCEPTS = ("*/*", "text/html", "application/json", "application/x-ndjson", ",;=", "text/html;q=x")
INSIDE = re.compile(
    r"Traceback|File \"|site-packages|/predictor/|\.py\b| object at 0x|Errno|/usr/|/etc/|/tmp/"
)
LIBRARIES = re.compile(
    r"onnxruntime|onnx\.|werkzeug|flask|jinja|pydantic|pillow|\bPIL\b|numpy|gunicorn|urllib3|requests\.|sqlite|protobuf",
    re.IGNORECASE,
)
ADDRESS = re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b|::1\b")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of which everything is asked."""
    with Service(
        tmp_path_factory.mktemp("leaks") / "store-of-models", workers=1, admin_token=TOKEN, fetch_seconds=1
    ) as running:
        yield running


def leaks(service: Service, answer: requests.Response, sent: str) -> list[str]:
    """What an answer tells that it must not."""
    # The page says to its caller by which address he can ask it again.
    text = answer.text.replace(service.url, "")
    found = [path for path in (str(service.data), str(service.data.parent), str(ROOT)) if path in text]
    if answer.status_code >= 400:
        patterns = (INSIDE, LIBRARIES, ADDRESS)
        told = [match[0] for pattern in patterns for match in pattern.finditer(text)]
        # What the caller wrote himself is no secret.
        found += [one for one in told if one not in sent]
    if not answer.headers.get("Content-Security-Policy", "").startswith("default-src 'none'"):
        found.append("no policy")
    return found


def asked(app: Flask, seed: int) -> Iterator[dict[str, Any]]:
    """Requests for every route, most of them wrong in some way."""
    chance = random.Random(seed)
    rules = sorted({rule.rule for rule in app.url_map.iter_rules()} | {"/nothing", "/v2/models/<name>"})
    for rule in itertools.islice(itertools.cycle(rules), REQUESTS):
        path = re.sub(r"<.*?>", lambda _: quote(chance.choice(VALUES), safe=""), rule)
        headers = {
            "Accept": chance.choice(ACCEPTS),
            "Authorization": f"Bearer {chance.choice([TOKEN, TOKEN, TOKEN, 'wrong'])}",
        }
        if kind := chance.choice(TYPES):
            headers["Content-Type"] = kind
        yield {
            "method": chance.choice(METHODS),
            "path": f"{path}?{quote(chance.choice(QUERIES), safe='=&')}",
            "headers": headers,
            "data": chance.choice(BODIES),
        }


@pytest.mark.promise("A6")
def test_no_answer_tells_of_the_inside(attacked: Service, app: Flask) -> None:
    """No path, stack, address or library stands in an answer, no answer is our failure, all have a policy."""
    wrong = []
    seen = set()
    with requests.Session() as session:
        for one in asked(app, seed=7):
            answer = session.request(
                one["method"],
                attacked.url + one["path"],
                headers=one["headers"],
                data=one["data"],
                timeout=PATIENCE,
            )
            seen.add(answer.status_code)
            if found := leaks(attacked, answer, str(one)):
                wrong.append((found, one, answer.status_code, answer.text[:300]))
            if answer.status_code == 500:
                wrong.append((["our failure"], one, 500, answer.text[:300]))

    assert wrong == []
    assert seen >= {200, 400, 401, 404, 405, 415, 422}
    assert '"level":"error"' not in attacked.log


@pytest.mark.promise("A6")
@pytest.mark.parametrize(
    "model",
    [
        bad_models.TEXT,
        bad_models.truncated(),
        bad_models.no_image(),
        bad_models.strings(),
        bad_models.not_finite(),
        bad_models.foreign_operator(),
        bad_models.failing(),
    ],
    ids=["text", "truncated", "no image", "strings", "not finite", "foreign operator", "failing"],
)
def test_refused_models(attacked: Service, model: bytes) -> None:
    """The reason for which a model is refused is in words of our own."""
    answer = attacked.post(
        "/upload", files={"model": ("m.onnx", model)}, headers={"Authorization": f"Bearer {TOKEN}"}
    )

    assert answer.status_code == 422
    assert leaks(attacked, answer, "") == []


@pytest.mark.parametrize("label", UNSHOWABLE)
def test_labels_that_cannot_be_shown(attacked: Service, label: str) -> None:
    """A label that would be shown as something else is refused, and not repeated."""
    answer = attacked.post(
        "/upload",
        files={
            "model": ("m.onnx", classifier(["a", "b"], metadata=False)),
            "labels": ("labels.txt", f"{label}\nb\n".encode()),
        },
        headers={"Authorization": f"Bearer {TOKEN}"},
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_model")
    assert label not in answer.json()["detail"]


MALFORMED = (
    b"NONSENSE\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"GET /<script>alert(1)</script> HTTP/1.1 x\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
)


@pytest.mark.promise("A4", "A6")
@pytest.mark.parametrize("request_", MALFORMED, ids=lambda text: text[:24].decode())
def test_malformed_requests(attacked: Service, request_: bytes) -> None:
    """What is no HTTP is refused as all else is, which tells nothing of the inside and echoes nothing."""
    answer = exchange(attacked.port, request_)
    head, _, body = answer.partition(b"\r\n\r\n")

    assert re.match(rb"HTTP/1\.1 (4\d\d|501) ", head), head
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    problem = json.loads(body)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Request-ID"] == problem["request_id"]
    assert problem["request_id"] in attacked.log
    assert problem["code"] == "invalid_request"
    assert head.startswith(b"HTTP/1.1 %d " % problem["status"])
    assert {name: headers.get(name) for name, _ in SAFE_HEADERS} == dict(SAFE_HEADERS)
    assert b"<script" not in body
    text = body.decode("latin-1")
    assert [pattern.pattern for pattern in (INSIDE, LIBRARIES, ADDRESS) if pattern.search(text)] == []
    assert str(Path(ROOT)) not in text
