"""The predict page as the service sends it, with what its URL names, and the token in its form."""

import io
import re
import tracemalloc
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from predictor.app import create_app
from predictor.config import BUNDLED_MODEL, Settings, shipped
from tests.data_folders import served_before

TOKEN = "predict-token-äöü"
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application that needs tokens, the same ones for predictions and for changes."""
    tokens = {"predict_token": f"{TOKEN},another", "admin_token": TOKEN}
    data = served_before(tmp_path_factory.mktemp("guarded"))
    app = create_app(Settings(data=data, device="cpu", workers=1, **tokens))  # type: ignore[arg-type]
    yield app
    app.extensions["predictor"].close()


def png(size: int = 8) -> bytes:
    """A small image."""
    out = io.BytesIO()
    Image.new("RGB", (size, size), (9, 99, 9)).save(out, "PNG")
    return out.getvalue()


def part(name: str, content: bytes, filename: str = "") -> bytes:
    """A part of a form."""
    file = f'; filename="{filename}"' if filename else ""
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


def sent(app: Flask, *parts: bytes, path: str = "/", **headers: str) -> TestResponse:
    """The answer to a form of these parts."""
    return app.test_client().post(
        path,
        data=b"".join(parts) + b"--x--\r\n",
        content_type="multipart/form-data; boundary=x",
        headers=HTML | headers,
    )


FILE = part("image", png(), "cat.png")
GIVEN = part("token", TOKEN.encode())


def test_token_in_the_form(guarded: Flask) -> None:
    """The page's form may carry the token in its first field; the answer does not repeat it."""
    answer = sent(guarded, GIVEN, FILE)

    assert answer.status_code == 200
    assert "cat.png" in answer.text
    assert TOKEN not in answer.text


@pytest.mark.parametrize(
    "parts",
    [
        [FILE],
        [part("token", b""), FILE],
        [part("token", b"wrong"), FILE],
        [part("token", b"another,wrong"), FILE],
        [part("token", b"wrong"), GIVEN, FILE],
        [FILE, GIVEN],
        [part("image_url", b""), GIVEN, FILE],
        [part("token ", TOKEN.encode()), FILE],
        [],
    ],
)
def test_wrong_token_in_the_form(guarded: Flask, parts: list[bytes]) -> None:
    """Without a right token in the first field nothing is predicted, and the page says so."""
    answer = sent(guarded, *parts)

    assert answer.status_code == 401
    assert answer.mimetype == "text/html"
    assert "The token is missing or wrong." in answer.text


def test_header_and_field(guarded: Flask) -> None:
    """A right header is enough, whatever the field holds; the page's field may be empty."""
    header = f"Bearer {TOKEN}".encode().decode("latin-1")

    assert sent(guarded, part("token", b""), FILE, Authorization=header).status_code == 200
    assert sent(guarded, part("token", b"wrong"), FILE, Authorization=header).status_code == 200


def test_no_token_needed(app: Flask) -> None:
    """Where no token is needed the field is no error."""
    assert sent(app, part("token", b""), FILE).status_code == 200
    assert sent(app, part("token", b"any"), FILE).status_code == 200


@pytest.mark.parametrize("path", ["/predict", "/upload", "/evaluate", "/models/default/rollback"])
def test_token_in_other_forms(guarded: Flask, path: str) -> None:
    """Nothing but the page takes a token from a form."""
    assert sent(guarded, GIVEN, FILE, path=path).status_code == 401


def test_token_in_a_query(guarded: Flask) -> None:
    """A token in a URL counts for nothing."""
    assert sent(guarded, FILE, path=f"/?token={TOKEN}").status_code == 401


@pytest.mark.parametrize("name", ["token", "image"])
def test_memory_before_the_token(guarded: Flask, name: str) -> None:
    """Of a large form without the token no more is read than a field may hold."""
    large = part(name, bytes(40_000_000), "large.bin")
    tracemalloc.start()
    status = sent(guarded, large).status_code
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert status in {401, 413}
    # The body itself is in memory twice: this test made it.
    assert peak < 100_000_000


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://example.com/cat.jpg", "https://example.com/cat.jpg"),
        ("example.com/cat.jpg", "https://example.com/cat.jpg"),
        (" //example.com/cat.jpg ", "https://example.com/cat.jpg"),
        ("ftp://example.com/cat.jpg", "ftp://example.com/cat.jpg"),
        ("/home/me/cat.jpg", "/home/me/cat.jpg"),
        ("C:\\me\\cat.jpg", "C:\\me\\cat.jpg"),
        ("javascript:alert(1)", "https://javascript:alert(1)"),
        ('"><b>', "https://&#34;&gt;&lt;b&gt;"),
    ],
)
def test_link(client: FlaskClient, given: str, shown: str) -> None:
    """A link fills the URL's field, as text; without a scheme it is an https URL, except a path."""
    page = client.get("/", query_string={"image_url": given})

    assert page.status_code == 200
    assert f'value="{shown}"' in page.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("model=default", 200),
        ("model=default/1", 200),
        ("model=default&version=1", 200),
        ("model=", 400),
        ("model=none", 404),
        ("model=default/2", 404),
        ("model=default/x", 400),
        ("model=default/0", 400),
        ("model=%3Cb%3E", 400),
    ],
)
def test_model_of_the_url(client: FlaskClient, query: str, status: int) -> None:
    """The page's URL chooses the model; one that is not there is said on the page."""
    page = client.get(f"/?{query}", headers=HTML)

    assert page.status_code == status
    assert page.mimetype == "text/html"
    assert 'id="form"' in page.text
    assert ('class="problem"' in page.text.split("<template", 1)[0]) == (status != 200)
    assert ("The form uses the model default, version 1, instead." in page.text) == (status != 200)


def test_damaged_form(app: Flask) -> None:
    """A form that breaks off is said on the page."""
    answer = app.test_client().post(
        "/", data=FILE[:-20], content_type="multipart/form-data; boundary=x", headers=HTML
    )

    assert answer.status_code == 400
    assert 'id="form"' in answer.text


def test_licences(client: FlaskClient) -> None:
    """The page says who made its example images and under which licence, and the notice names each file."""
    page = client.get("/").text
    (said,) = re.findall(r'<p id="licences".*?</p>', page)
    notice = BUNDLED_MODEL.with_name("NOTICE").read_text()
    examples = sorted(path.name for path in shipped("static").glob("*.jpg"))

    assert examples
    assert "https://creativecommons.org/publicdomain/zero/1.0/" in said
    for name in examples:
        assert f'src="./static/{name}"' in page
        assert name.removesuffix(".jpg") in said
        assert f"static/{name}" in notice


def test_golden_images_are_explained(client: FlaskClient) -> None:
    """The form for uploads says what golden images are, and where they are kept."""
    form = client.get("/upload").text.split('name="force"', 1)[1].split("</form>", 1)[0]

    assert "Golden images are labelled images that each new version" in form
    assert "They are kept on the page Evaluate." in form
