"""The Python client sends what the API takes, tries again where that is right, and raises errors by codes."""

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from predictor.client import Client, Result
from predictor.client_types import (
    BY_CODE,
    DeadlineExceeded,
    InvalidImage,
    InvalidModel,
    NotReady,
    Overloaded,
    ServiceError,
    Unauthorized,
    Unreachable,
    UnreadableImage,
)
from predictor.errors import ConfigError, PredictorError
from tests.patience import PATIENCE

SCORE = {"label": "cat", "index": 1, "confidence": 0.75}
ANSWER = {
    "predicted_label": "cat",
    "confidence": 0.75,
    "predictions": [SCORE],
    "model": {"name": "default", "version": 3, "digest": "sha256:0"},
    "cached": False,
    "multi_label": False,
}
Reply = tuple[int, dict[str, str], dict[str, Any] | str]


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class Fake:
    """A service that answers as it is told, by default with a good prediction."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    replies: list[Reply | None] = field(default_factory=list)
    reply: Callable[[Asked], Reply] = lambda _: (200, {}, ANSWER)

    def answer(self, asked: Asked) -> Reply | None:
        """What is answered; None closes the connection without a word."""
        self.asked.append(asked)
        return self.replies.pop(0) if self.replies else self.reply(asked)


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A fake service on loopback."""
    told = Fake()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            asked = Asked(self.command, parts.path, parse_qs(parts.query), dict(self.headers), body)
            reply = told.answer(asked)
            if reply is None:
                self.close_connection = True
                return
            status, headers, answer = reply
            content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = handle_one  # noqa: N815 (the names of http.server)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield told
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(fake: Fake) -> Iterator[Client]:
    """A client of the fake service."""
    with Client(fake.url, timeout=PATIENCE) as made:
        yield made


def problem(status: int, code: str, **headers: str) -> Reply:
    """An error as the service writes it."""
    document = {"title": "No", "detail": "It is so.", "status": status, "code": code, "request_id": "r1"}
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, document


def test_answer(fake: Fake, client: Client) -> None:
    """An answer has the class, all scores, the model's version, and the whole JSON."""
    result = client.predict(b"bytes")

    assert (result.label, result.confidence, result.model, result.version) == ("cat", 0.75, "default", 3)
    assert [(one.label, one.index, one.confidence) for one in result.predictions] == [("cat", 1, 0.75)]
    assert result.json == ANSWER
    assert not result.abstained


def test_abstained(client: Client, fake: Fake) -> None:
    """An answer without a class has no label."""
    nothing: dict[str, Any] = {
        "predicted_label": None,
        "confidence": None,
        "predictions": [],
        "abstained": True,
    }
    fake.reply = lambda _: (200, {}, ANSWER | nothing)

    result = client.predict(b"x", threshold=0.9)

    assert fake.asked[0].query["threshold"] == ["0.9"]
    assert (result.label, result.confidence, result.predictions, result.abstained) == (None, None, (), True)


def test_bytes_and_paths(fake: Fake, client: Client, tmp_path: Path) -> None:
    """Bytes, and files by their paths, are sent as they are."""
    file = tmp_path / "image.jpg"
    file.write_bytes(b"\xff\xd8 some")

    for image in (b"\xff\xd8 some", bytearray(b"\xff\xd8 some"), file, str(file)):
        client.predict(image)

    assert {one.body for one in fake.asked} == {b"\xff\xd8 some"}
    assert {one.headers["Content-Type"] for one in fake.asked} == {"application/octet-stream"}


@pytest.mark.parametrize(
    "url", ["https://example.com/cat.jpg", "HTTP://example.com/", "data:image/png;base64,AA"]
)
def test_urls(fake: Fake, client: Client, url: str) -> None:
    """The service downloads what a URL names."""
    client.predict(url)

    assert json.loads(fake.asked[0].body) == {"image_url": url}


def test_pillow_and_numpy(fake: Fake, client: Client) -> None:
    """An image of Pillow and an array are sent without loss."""
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)

    for image in (pixels, Image.fromarray(pixels), pixels[:, :, 0]):
        client.predict(image)

    sent = [np.asarray(Image.open(io.BytesIO(one.body))) for one in fake.asked]
    assert (sent[0] == pixels).all()
    assert (sent[1] == pixels).all()
    assert (sent[2] == pixels[:, :, 0]).all()


def test_no_image(client: Client) -> None:
    """What is no image is said so, before anything is sent."""
    for wrong in (12, np.zeros((0, 0, 3), np.uint8), np.zeros((3, 0), np.uint8), Image.new("L", (0, 5))):
        with pytest.raises(TypeError, match=r"PIL\.Image"):
            client.predict(wrong)


def test_options(fake: Fake, client: Client) -> None:
    """Options go with the request; None means not given."""
    client.predict(b"x", top_k=3, model="pets", version=None, exact=True)

    assert fake.asked[0].query == {"top_k": ["3"], "model": ["pets"], "exact": ["true"]}
    assert 0 < int(fake.asked[0].headers["X-Request-Deadline-Ms"]) <= 1000 * PATIENCE


@pytest.mark.parametrize("image", [b"bytes", "https://example.com/a.jpg"])
def test_class_by_index(fake: Fake, client: Client, image: bytes | str) -> None:
    """An int is the index of the class that is explained, and a text its label, even if that is a number."""
    fake.replies = [(200, {}, {})] * 3

    client.explain(image, class_=1, method="cam")
    client.explain(image, class_=np.int64(2))
    client.explain(image, class_="1")

    sent = {"image": "Ynl0ZXM="} if isinstance(image, bytes) else {"image_url": image}
    assert [json.loads(one.body) for one in fake.asked[:2]] == [{**sent, "class": 1}, {**sent, "class": 2}]
    assert [one.query for one in fake.asked] == [{"method": ["cam"]}, {}, {"class": ["1"]}]


@pytest.mark.parametrize("token", ["secret", "geheim-ä-€", "read-from-a-file\n", "no-utf-8-\udcff"])
def test_token(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """The token is sent, in UTF-8, whatever a file `.netrc` says of the host."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    with Client(fake.url, token=token) as client:
        client.predict(b"x")

    # The server reads headers in Latin-1.
    assert fake.asked[0].headers["Authorization"].encode("latin-1") == b"Bearer " + os.fsencode(token.strip())


def test_waits_as_it_is_told(fake: Fake, client: Client) -> None:
    """Where the service says when to try again, the client does."""
    fake.replies = [
        problem(503, "overloaded", Retry_After="0"),
        problem(429, "too_many_requests", Retry_After="0"),
    ]

    assert client.predict(b"x").label == "cat"
    assert len(fake.asked) == 3


def test_no_time_left_to_wait(fake: Fake) -> None:
    """Where the time would be over before the next try, the error is raised at once."""
    fake.reply = lambda _: problem(503, "overloaded", Retry_After="3600")

    with Client(fake.url, timeout=60) as client, pytest.raises(Overloaded) as caught:
        client.predict(b"x")

    assert caught.value.retry_after == 3600
    assert len(fake.asked) == 1


def test_unavailable_without_a_time(fake: Fake, client: Client) -> None:
    """An error that does not say when to try again is raised."""
    fake.reply = lambda _: problem(503, "not_ready")

    with pytest.raises(NotReady):
        client.predict(b"x")

    assert not client.ready()


def test_broken_connection(fake: Fake, client: Client) -> None:
    """A prediction is tried again where the connection breaks, a change is not."""
    fake.replies = [None, None]
    assert client.predict(b"x").label == "cat"

    fake.replies = [None]
    with pytest.raises(Unreachable):
        client.rollback()
    assert [one.path for one in fake.asked] == ["/predict"] * 3 + ["/models/default/rollback"]


def test_nobody_there() -> None:
    """Without a service, the error says so once the time is over."""
    with (
        Client("http://127.0.0.1:9", timeout=0.5) as client,
        pytest.raises(Unreachable, match="check its URL"),
    ):
        client.predict(b"x")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "localhost:8080", "", "ftp://127.0.0.1"])
def test_no_url_of_a_service(url: str) -> None:
    """A URL that no later try can reach is said so at once."""
    begun = time.monotonic()
    with Client(url, timeout=9) as client, pytest.raises(Unreachable, match="http:// or https://"):
        client.predict(b"x")

    assert time.monotonic() - begun < 3


def test_slow_service(fake: Fake) -> None:
    """A service that does not answer in time is given up."""
    going_on = threading.Event()

    def slow(_: Asked) -> Reply:
        going_on.wait(PATIENCE)
        return 200, {}, ANSWER

    fake.reply = slow
    with Client(fake.url, timeout=0.2) as client, pytest.raises(DeadlineExceeded):
        client.predict(b"x")
    going_on.set()


def test_another_server(fake: Fake, client: Client) -> None:
    """A web server that is no such service is told apart."""
    fake.reply = lambda _: (404, {}, "<h1>Not found</h1>")

    with pytest.raises(Unreachable, match="not an image prediction service"):
        client.rollback()


def test_every_code_has_its_class() -> None:
    """Each code of the service raises a class of its own name, so that a caller can tell them apart."""

    def codes(kind: type[PredictorError]) -> set[str]:
        return {kind.code} | {code for below in kind.__subclasses__() for code in codes(below)}

    assert codes(PredictorError) - {ConfigError.code} | {"internal"} <= BY_CODE.keys()


def test_error(fake: Fake, client: Client) -> None:
    """An error has the sentence, the code, the status and the id of the request."""
    fake.reply = lambda _: problem(422, "invalid_image")

    with pytest.raises(InvalidImage, match=r"It is so\.") as caught:
        client.predict(b"x")

    error = caught.value
    assert (error.code, error.status, error.request_id) == ("invalid_image", 422, "r1")


def test_unknown_code(fake: Fake, client: Client) -> None:
    """A code of a later release is still an error of the service."""
    fake.reply = lambda _: problem(418, "teapot")

    with pytest.raises(ServiceError) as caught:
        client.predict(b"x")

    assert caught.value.code == "teapot"


def test_many(fake: Fake, client: Client) -> None:
    """Many images have their answers in order, and a bad one has its error in its place."""

    def reply(asked: Asked) -> Reply:
        if asked.body == b"7":
            return problem(422, "invalid_image")
        return 200, {}, {**ANSWER, "predicted_label": asked.body.decode()}

    fake.reply = reply
    found = list(client.predict_many((str(number).encode() for number in range(20)), concurrency=4))

    assert isinstance(found[7], InvalidImage)
    names = [one.label for one in found if isinstance(one, Result)]
    assert names == [str(number) for number in range(20) if number != 7]


def test_many_with_missing_files(client: Client, tmp_path: Path) -> None:
    """A file that is missing, or that is none, has its error in its place, and the others go on."""
    (tmp_path / "image.jpg").write_bytes(b"\xff\xd8 some")
    names = ["image.jpg", "gone.jpg", ".", "image.jpg"]

    found = list(client.predict_many([tmp_path / name for name in names], concurrency=2))

    assert [type(one) for one in found] == [Result, UnreadableImage, UnreadableImage, Result]
    assert str(found[1]) == "The image cannot be read: No such file or directory."


def test_many_takes_few_at_a_time(client: Client) -> None:
    """Images are taken as their answers are read."""
    taken = list[int]()

    def images() -> Iterator[bytes]:
        for number in range(1000):
            taken.append(number)
            yield b"x"

    answers = client.predict_many(images(), concurrency=4)
    next(answers)
    answers.close()  # type: ignore[attr-defined]

    assert len(taken) <= 5


def test_many_stops_where_all_would_fail(fake: Fake, client: Client) -> None:
    """A wrong token is no fault of an image."""
    fake.reply = lambda _: problem(401, "unauthorized")

    with pytest.raises(Unauthorized):
        list(client.predict_many([b"x"] * 100))


def test_upload(fake: Fake, client: Client, tmp_path: Path) -> None:
    """A model goes with its files, labels and name, each by its field."""
    model, weights, labels = (tmp_path / name for name in ("my.onnx", "my.onnx.data", "labels.txt"))
    model.write_bytes(b"model")
    weights.write_bytes(b"weights" * 300_000)
    labels.write_text("cat\ndog\n")
    fake.reply = lambda _: (200, {}, {"status": "success", "version": 2})

    assert client.upload(model, weights, labels=labels, name="pets")["version"] == 2

    body = fake.asked[0].body
    assert int(fake.asked[0].headers["Content-Length"]) == len(body)
    assert b'name="name"\r\n\r\npets\r\n' in body
    assert b'name="model"; filename="my.onnx"\r\n' in body
    assert b'name="files"; filename="my.onnx.data"\r\n' in body
    assert b'name="labels"; filename="labels.txt"\r\n' in body
    assert body.count(b"weights") == 300_000


def test_calls_about_quality(fake: Fake, client: Client, tmp_path: Path) -> None:
    """Comparisons, calibrations and golden images go where they belong, with what was chosen."""
    pictures, candidate = tmp_path / "set.zip", tmp_path / "new.onnx"
    pictures.write_bytes(b"images")
    candidate.write_bytes(b"model")
    fake.reply = lambda _: (200, {}, {"images": []})

    client.compare(pictures, candidate, model="pets", version=3)
    client.calibrate({"temperature": 2}, "pets", version=4)
    client.set_golden(pictures, "pets", least=1)
    client.golden("pets")
    client.delete_golden("pets")
    client.activate(5, "pets", force=True)

    assert [(one.method, one.path) for one in fake.asked] == [
        ("POST", "/compare"),
        ("POST", "/models/pets/calibration"),
        ("POST", "/models/pets/golden"),
        ("GET", "/models/pets/golden"),
        ("DELETE", "/models/pets/golden"),
        ("POST", "/models/pets/activate"),
    ]
    compared, calibrated, golden = (one.body for one in fake.asked[:3])
    assert b'name="candidate"; filename="new.onnx"\r\n' in compared
    assert b'name="version"\r\n\r\n3\r\n' in compared
    assert (json.loads(calibrated), fake.asked[1].query) == ({"temperature": 2}, {"version": ["4"]})
    assert b'name="least"\r\n\r\n1\r\n' in golden
    assert json.loads(fake.asked[-1].body) == {"version": 5, "force": True}


def test_upload_without_an_end(fake: Fake, client: Client, tmp_path: Path) -> None:
    """A pipe or a device, whose end may never come, is refused before anything is sent."""
    os.mkfifo(pipe := tmp_path / "pipe.onnx")
    (model := tmp_path / "model.onnx").write_bytes(b"model")

    for files in ([pipe], [Path("/dev/zero")], [model, pipe]):
        with pytest.raises(OSError, match="a pipe or a device, not a regular file"):
            client.upload(*files)
    with pytest.raises(OSError, match="a pipe or a device"):
        client.predict(pipe)
    with pytest.raises(OSError, match="a folder; send its files, or a ZIP file of it"):
        client.evaluate(tmp_path)
    assert fake.asked == []


def test_upload_of_a_folder(fake: Fake, client: Client, tmp_path: Path) -> None:
    """All files of a folder are sent, by their paths in it."""
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"model")
    (tmp_path / "config.json").write_text("{}")
    fake.reply = lambda _: (200, {}, {"status": "success"})

    client.upload(tmp_path)

    body = fake.asked[0].body
    assert b'name="files"; filename="onnx/model.onnx"\r\n' in body
    assert b'name="files"; filename="config.json"\r\n' in body


def test_names_that_are_no_text(fake: Fake, client: Client, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are sent as question marks, in names of files and in arguments."""
    model = tmp_path / os.fsdecode(b"my\xff.onnx")
    model.write_bytes(b"model")
    fake.reply = lambda _: (200, {}, ANSWER)

    client.upload(model, name="a\udcff")
    client.predict(b"image", model="a\udcff")
    client.model("a\udcff")

    assert b'name="model"; filename="my?.onnx"\r\n' in fake.asked[0].body
    assert b'name="name"\r\n\r\na?\r\n' in fake.asked[0].body
    assert fake.asked[1].query == {"model": ["a?"]}
    assert fake.asked[2].path == "/models/a%3F"


def test_names_that_are_no_part_of_a_path(fake: Fake, client: Client) -> None:
    """A name never leads to another URL than that of a model, also one that is empty."""
    fake.reply = lambda _: (200, {}, {})

    for name in ("", "pets?x", "pets/versions/1", "pets#"):
        client.model(name)

    paths = ["/models/%20", "/models/pets%3Fx", "/models/pets%2Fversions%2F1", "/models/pets%23"]
    assert [one.path for one in fake.asked] == paths


def test_refused_upload(fake: Fake, client: Client, tmp_path: Path) -> None:
    """A model that cannot be served raises the sentence that says why."""
    (tmp_path / "my.onnx").write_bytes(b"model")
    fake.reply = lambda _: problem(422, "invalid_model")

    with pytest.raises(InvalidModel, match=r"It is so\."):
        client.upload(tmp_path / "my.onnx")


def test_models(fake: Fake, client: Client) -> None:
    """Changes of models have a call each."""
    fake.reply = lambda _: (200, {}, {"status": "success", "models": [{"name": "pets"}]})

    assert [one["name"] for one in client.models()] == ["pets"]
    client.model("pets")
    client.activate(2, "pets")
    client.rollback("pets")
    client.delete("pets", 1)
    client.delete("pets")
    assert client.ready()

    assert [(one.method, one.path) for one in fake.asked] == [
        ("GET", "/models"),
        ("GET", "/models/pets"),
        ("POST", "/models/pets/activate"),
        ("POST", "/models/pets/rollback"),
        ("DELETE", "/models/pets/versions/1"),
        ("DELETE", "/models/pets"),
        ("GET", "/readyz"),
    ]
    assert json.loads(fake.asked[2].body) == {"version": 2}


def test_needs_nothing_of_the_service() -> None:
    """The client is imported where neither the runtime nor the web framework is installed."""
    absent = ("onnxruntime", "onnx", "flask", "gunicorn", "numpy", "PIL", "pynvml", "pydantic")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent}))\nfrom predictor.client import Client"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)
