"""What clients send by their defaults, by mistake, or declared as something else."""

import base64
import io
import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from predictor.app import create_app
from predictor.config import Settings
from predictor.image_formats import FORMATS
from predictor.web import base64_images
from tests.data_folders import served_before
from tests.web import encoded

FORM = "multipart/form-data; boundary=b"
URLENCODED = "application/x-www-form-urlencoded"
INFER = "/v2/models/default/infer"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application that opens no HEIC, as where the package for it is not installed."""
    formats = tuple(name for name in FORMATS if name != "HEIF")
    data = served_before(tmp_path_factory.mktemp("data"))
    app = create_app(Settings(data=data, device="cpu", threads=4, formats=formats))
    yield app
    app.extensions["predictor"].close()


@pytest.fixture(scope="module")
def picture(cat: Path) -> bytes:
    """The bytes of a photograph of a cat."""
    return cat.read_bytes()


def part(headers: str, content: bytes, end: bytes = b"\r\n--b--\r\n") -> bytes:
    """A form of one part."""
    return b"--b\r\n" + headers.encode("latin-1") + b"\r\n\r\n" + content + end


def detail(answer: TestResponse) -> tuple[int, str]:
    """Status and sentence of a refusal."""
    return answer.status_code, answer.get_json()["detail"]


DISPOSITION = "Content-Disposition: form-data; name"
PARTS = {
    "Go": (f'{DISPOSITION}="image"; filename="cat.jpg"\r\nContent-Type: application/octet-stream', "cat.jpg"),
    "curl": (f'{DISPOSITION}="image"; filename="cat.jpg"\r\nContent-Type: image/jpeg', "cat.jpg"),
    ".NET": (f"{DISPOSITION}=image; filename=cat.jpg; filename*=utf-8''cat.jpg", "cat.jpg"),
    ".NET, other letters": (
        f"{DISPOSITION}=image; filename=\"=?utf-8?B?S8OkLmpwZw==?=\"; filename*=utf-8''K%C3%A4.jpg",
        "Kä.jpg",
    ),
    ".NET, bytes only": (f"{DISPOSITION}=image", None),
    "Spring": (
        f'{DISPOSITION}="image"\r\nContent-Type: application/octet-stream\r\nContent-Length: %d',
        None,
    ),
    "Apache HttpClient": (
        f'{DISPOSITION}="image"; filename="cat.jpg"\r\nContent-Transfer-Encoding: binary',
        "cat.jpg",
    ),
    "a Blob": (f'{DISPOSITION}="image"; filename="blob"\r\nContent-Type: image/jpeg', "blob"),
    "Latin-1": (f'{DISPOSITION}="image"; filename="K\xe4.jpg"', "Kä.jpg"),
    "UTF-8": (f'{DISPOSITION}="image"; filename="K\xc3\xa4.jpg"', "Kä.jpg"),
    "RFC 5987 in Latin-1": (f"{DISPOSITION}=\"image\"; filename*=iso-8859-1''K%E4.jpg", "Kä.jpg"),
    "empty name": (f'{DISPOSITION}="image"; filename=""', None),
}


class TestClients:
    """Forms as common clients write them."""

    @pytest.mark.parametrize("client_name", PARTS)
    @pytest.mark.parametrize("kind", [FORM, 'multipart/form-data; charset=utf-8; boundary="b"'])
    def test_part(self, client: FlaskClient, picture: bytes, client_name: str, kind: str) -> None:
        """The image is answered under the name that its client gave it."""
        headers, name = PARTS[client_name]

        answer = client.post(
            "/predict", data=part(headers.replace("%d", str(len(picture))), picture), content_type=kind
        )

        assert answer.status_code == 200
        assert answer.get_json()["predicted_label"] == "tiger cat"
        assert answer.get_json().get("name") == name

    @pytest.mark.parametrize(
        "kind", [None, URLENCODED, "application/json", "multipart/form-data", "text/plain"]
    )
    def test_form_of_another_type(self, client: FlaskClient, picture: bytes, kind: str | None) -> None:
        """A form whose type was set by hand is told who sets it."""
        answer = client.post("/predict", data=part(PARTS["curl"][0], picture), content_type=kind)

        status, sentence = detail(answer)
        assert status == 400
        assert "has no boundary in its Content-Type: let the HTTP client set" in sentence

    @pytest.mark.parametrize("headers", ['; filename="cat.jpg"', '; name=""; filename="cat.jpg"', ""])
    def test_part_without_a_name(self, client: FlaskClient, picture: bytes, headers: str) -> None:
        """A part that names no field is told that the name is missing."""
        data = part(f"Content-Disposition: form-data{headers}", picture)

        status, sentence = detail(client.post("/predict", data=data, content_type=FORM))

        assert status == 400
        assert sentence.startswith("A field without a name")

    @pytest.mark.parametrize("kind", ["multipart/mixed", "multipart/related"])
    def test_other_parts(self, client: FlaskClient, picture: bytes, kind: str) -> None:
        """Parts of another type with a boundary are told the type of a form."""
        answer = client.post(
            "/predict", data=part(PARTS["curl"][0], picture), content_type=f"{kind}; boundary=b"
        )

        assert detail(answer) == (
            400,
            "A form in several parts must have the Content-Type multipart/form-data.",
        )

    @pytest.mark.parametrize("kind", [URLENCODED, "application/json", "text/plain", None])
    def test_fields_of_another_type(self, client: FlaskClient, kind: str | None) -> None:
        """An urlencoded form is known by its first field."""
        body = "image_url=http%3A%2F%2F127.0.0.1%2F&top_k=2"

        answer = client.post("/predict", data=body, content_type=kind)

        assert (answer.status_code, answer.get_json()["code"]) == (403, "fetch_blocked")

    @pytest.mark.parametrize("letter", [b"%E4", b"\xe4", b"%C3%A4", b"\xc3\xa4"])
    def test_letters(self, client: FlaskClient, letter: bytes) -> None:
        """A URL in a form may have letters in any encoding, escaped or not."""
        answer = client.post(
            "/predict", data=b"image_url=http://127.0.0.1/K" + letter + b".jpg", content_type=URLENCODED
        )

        assert (answer.status_code, answer.get_json()["code"]) == (403, "fetch_blocked")

    def test_many_fields(self, client: FlaskClient) -> None:
        """A form of very many fields is refused before it is read."""
        answer = client.post("/predict", data="image=a" + "&a=1" * 200, content_type=URLENCODED)

        assert detail(answer) == (400, "The form has more than 100 fields.")

    def test_no_form(self, client: FlaskClient, picture: bytes) -> None:
        """An image and JSON are known under the type of a form without a boundary."""
        bodies = [picture, b'{"image": "%s"}' % base64.b64encode(picture)]

        answers = [client.post("/predict", data=body, content_type="multipart/form-data") for body in bodies]

        assert [answer.status_code for answer in answers] == [200, 200]

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (part(PARTS["curl"][0], b"abc", b""), "it ends before its closing boundary"),
            (part(PARTS["curl"][0], b"abc", b"\r\n--b"), "it ends before its closing boundary"),
            (
                part(PARTS["curl"][0], b"abc").replace(b"--b", b"--c"),
                "no part of it begins with the boundary",
            ),
            (part(PARTS["curl"][0], b"\r\n").replace(b"\r\n", b"\n"), "line feeds alone"),
            (part("no header", b"abc"), "the header of a part"),
            (part(PARTS["curl"][0], b"abc", b"\r\n--bb\r\n"), "the line of a boundary"),
        ],
    )
    def test_broken(self, client: FlaskClient, body: bytes, why: str) -> None:
        """A broken form is told what is wrong with it."""
        status, sentence = detail(client.post("/predict", data=body, content_type=FORM))

        assert status == 400
        assert sentence.startswith("The multipart form is damaged or incomplete: ")
        assert why in sentence

    def test_cut_body(self, client: FlaskClient, picture: bytes) -> None:
        """So is one of which fewer bytes come than announced."""
        body = part(PARTS["curl"][0], picture)[:-100]

        answer = client.post(
            "/predict", input_stream=io.BytesIO(body), content_length=len(body) + 100, content_type=FORM
        )

        assert detail(answer)[0] == 400
        assert "ends before its closing boundary" in detail(answer)[1]

    @pytest.mark.parametrize(
        "added", ["_=1732800000000", "submit=Predict", "utf8=%E2%9C%93", "MAX_FILE_SIZE=9"]
    )
    def test_added_fields(self, client: FlaskClient, picture: bytes, added: str) -> None:
        """What libraries and browsers add to a query or a form by themselves is passed over."""
        image = base64.b64encode(picture).decode().replace("+", "%2B")

        answers = [
            client.post(f"/predict?{added}", data=picture),
            client.post("/predict", data=f"image={image}&{added}", content_type=URLENCODED),
        ]

        assert [answer.status_code for answer in answers] == [200, 200]

    def test_empty_fields(self, client: FlaskClient, picture: bytes) -> None:
        """A field that was left empty in a form is not given."""
        fields = [(name, "") for name in ("image_url", "top_k", "model", "version", "debug")]

        answer = encoded.post(client, "/predict", *fields, ("image", ("cat.jpg", picture, "image/jpeg")))

        assert answer.get_json().get("detail") is None
        assert len(answer.get_json()["predictions"]) == 5


class TestText:
    """An image as text, wherever it stands."""

    def test_body(self, client: FlaskClient, picture: bytes) -> None:
        """Base64 as the body itself, or in a file, is an image under any type."""
        text = base64.encodebytes(picture)
        bodies = [text, b"data:image/jpeg;base64," + text]

        answers = [
            client.post("/predict", data=body, content_type=kind)
            for body in bodies
            for kind in (None, "text/plain", URLENCODED, "application/octet-stream", "image/jpeg")
        ] + [client.post("/predict", data={"image": (io.BytesIO(body), "a.jpg")}) for body in bodies]

        assert {answer.status_code for answer in answers} == {200}

    @pytest.mark.parametrize("width", [64, 76, None])
    def test_spaces(self, client: FlaskClient, picture: bytes, width: int | None) -> None:
        """Spaces are line ends that a shell changed, or plus signs that a form changed."""
        text = base64.b64encode(picture).decode()
        lines = [text[place : place + width] for place in range(0, len(text), width)] if width else [text]
        changed = " ".join(lines).replace("+", "%2B" if width else " ").replace("/", "%2F")

        answer = client.post("/predict", data=f"image={changed}", content_type=URLENCODED)

        assert (answer.status_code, answer.get_json()["predicted_label"]) == (200, "tiger cat")

    @pytest.mark.parametrize("text", ["AA " * 300_000, "AA\n" * 300_000, f"{'A' * 64} {'AA ' * 300_000}"])
    def test_white_space(self, text: str) -> None:
        """Much white space takes no more memory than the text a few times."""
        tracemalloc.start()
        try:
            base64_images.of_text(text)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert peak < 6 * len(text)

    def test_large_field(self, client: FlaskClient) -> None:
        """An image over 500 kB in base64 fits into a field of a form."""
        out = io.BytesIO()
        Image.effect_noise((900, 900), 99).save(out, "PNG")
        text = base64.urlsafe_b64encode(out.getvalue()).decode()

        answer = client.post("/predict", data=f"image={text}", content_type=URLENCODED)

        assert (len(text) > 800_000, answer.status_code) == (True, 200)

    @pytest.mark.parametrize("text", ["cat.jpg", "@cat.jpg", "/home/me/my cat.jpeg", "C:\\cat.png"])
    def test_file_name(self, client: FlaskClient, text: str) -> None:
        """The name of a file in place of its content is told how the file is sent."""
        status, sentence = detail(client.post("/predict", data={"image": text}))

        assert status == 400
        assert "not the name of its file" in sentence
        assert text not in sentence

    def test_text_form_of_bytes(self, client: FlaskClient, picture: bytes) -> None:
        """Base64 as Python shows it, with a b and quotes, is told what is missing."""
        text = str(base64.b64encode(picture))

        assert "decode()" in detail(client.post("/predict", json={"image": text}))[1]

    @pytest.mark.parametrize("text", ["https://a/b.jpg", "s3://bucket/b.jpg", "file:///b.jpg"])
    def test_url(self, client: FlaskClient, text: str) -> None:
        """A URL there is told its field."""
        assert "image_url" in detail(client.post("/predict", json={"image": text}))[1]


class TestOtherContents:
    """What is no image is called what it is, under whatever type and in whatever form."""

    @pytest.mark.parametrize(
        ("body", "name"),
        [
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "HEIC"),
            (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
            (b"\x1f\x8b\x08\0\0\0\0\0", "GZIP"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "MP4"),
            (b"<html><body>secret</body></html>", "HTML"),
        ],
    )
    @pytest.mark.parametrize(
        "kind", [None, "application/json", "multipart/form-data", "text/plain", "image/jpeg", URLENCODED]
    )
    def test_body(self, client: FlaskClient, body: bytes, name: str, kind: str | None) -> None:
        """As the body."""
        status, sentence = detail(client.post("/predict", data=body, content_type=kind))

        assert status == 415
        assert sentence.startswith("This is a")
        assert name in sentence
        assert "secret" not in sentence

    @pytest.mark.parametrize("headers", ["filename", "Content-Type", ""])
    def test_part(self, client: FlaskClient, headers: str) -> None:
        """As a file, also where only the bytes say that it is one."""
        head = {
            "filename": f'{DISPOSITION}="image"; filename="IMG_1.HEIC"',
            "Content-Type": f'{DISPOSITION}="image"\r\nContent-Type: image/heic',
            "": f'{DISPOSITION}="image"',
        }[headers]
        heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)

        status, sentence = detail(client.post("/predict", data=part(head, heic), content_type=FORM))

        assert status == 415
        assert "HEIC image, as iPhones make them" in sentence

    def test_json_as_image(self, client: FlaskClient) -> None:
        """JSON that was saved as an image is not taken for a request."""
        body = b'{"message": "secret", "status": 404}'
        answers = [
            client.post("/predict", data=body, content_type="image/jpeg"),
            client.post("/predict", data=body, content_type="application/octet-stream"),
            client.post("/predict", data={"image": (io.BytesIO(body), "cat.jpg")}),
        ]

        for status, sentence in map(detail, answers):
            assert status == 415
            assert sentence.startswith("This is JSON, perhaps an error")
            assert "secret" not in sentence

    def test_url_as_body(self, client: FlaskClient) -> None:
        """A URL alone is told its field."""
        status, sentence = detail(
            client.post("/predict", data="https://example.com/cat.jpg", content_type=URLENCODED)
        )

        assert status == 415
        assert "send it as image_url" in sentence
        assert "example" not in sentence

    def test_zeros(self, client: FlaskClient) -> None:
        """Bytes that are no text are judged as an image under any type."""
        status, sentence = detail(client.post("/predict", data=bytes(3000), content_type=URLENCODED))

        assert status == 415
        assert sentence.startswith(
            "This is a file of zero bytes: it was not written or copied completely. Send an"
        )

    def test_utf_16(self, client: FlaskClient) -> None:
        """JSON in UTF-16, as a shell of Windows writes a file, is JSON."""
        body = '{"image_url": "http://127.0.0.1/"}'.encode("utf-16")

        assert client.post("/predict", data=body).get_json()["code"] == "fetch_blocked"

    def test_quotes(self, client: FlaskClient) -> None:
        """JSON whose quotes another shell kept or removed is told where it is no JSON."""
        status, sentence = detail(client.post("/predict", data="'{image: secret}'", content_type=URLENCODED))

        assert (status, sentence) == (400, "The body is not valid JSON: the fault is at line 1, column 1.")

    def test_query_alone(self, client: FlaskClient) -> None:
        """An image in the query of a request without a body is told where it belongs."""
        assert "belongs in the body" in detail(client.post("/predict?image_url=http://a/b.jpg"))[1]

    @pytest.mark.parametrize("kind", [None, URLENCODED, "text/plain", "application/json"])
    def test_nothing(self, client: FlaskClient, kind: str | None) -> None:
        """A request without a body is told what to send."""
        status, sentence = detail(client.post("/predict", content_type=kind))

        assert status == 400
        assert sentence.startswith("The body is empty. Send JSON")

    @pytest.mark.parametrize("body", ["[]", "[1, 2]", '["a"]', '[{"image": "a"}]', "[[[0.1]]]"])
    @pytest.mark.parametrize("kind", ["application/json", URLENCODED, None])
    def test_list(self, client: FlaskClient, body: str, kind: str | None) -> None:
        """JSON of another form is told so."""
        answer = client.post("/predict", data=body, content_type=kind)

        assert detail(answer) == (400, "The body must be a JSON object.")


class TestRepeatedFields:
    """A field that is given twice is several images, or is named."""

    @pytest.mark.parametrize("kind", [URLENCODED, "multipart/form-data"])
    def test_images(self, client: FlaskClient, picture: bytes, kind: str) -> None:
        """Several images in base64 are answered in their order, an empty one between them is none."""
        texts = [base64.b64encode(picture).decode(), "", "?", base64.b64encode(picture).decode()]

        answer = client.post("/predict", data={"image": texts, "top_k": "1"}, content_type=kind)

        found = answer.get_json()["results"]
        assert [next(iter(one)) for one in found] == ["predicted_label", "error", "predicted_label"]

    @pytest.mark.parametrize(
        ("path", "fields", "kind"),
        [
            ("/predict?top_k=1&top_k=2", {"image": "aGk="}, URLENCODED),
            ("/predict", {"image": "aGk=", "top_k": ["1", "2"]}, URLENCODED),
            ("/predict", {"image": "aGk=", "top_k": ["1", "2"]}, "multipart/form-data"),
            ("/predict", {"image_url": ["http://a/b.jpg", "http://a/b.jpg"]}, URLENCODED),
            ("/predict", {"image": "aGk=", "model": ["a", ""]}, URLENCODED),
            ("/upload", {"name": ["a", "b"]}, "multipart/form-data"),
            ("/models/default/activate", {"version": ["1", "2"]}, URLENCODED),
        ],
    )
    def test_others(self, client: FlaskClient, path: str, fields: dict[str, Any], kind: str) -> None:
        """Of several values of another field none is chosen."""
        repeated = next((name for name, value in fields.items() if isinstance(value, list)), "top_k")
        answer = client.post(path, data=fields, content_type=kind)

        assert detail(answer) == (400, f"{repeated} is given more than once.")

    def test_file_and_text(self, client: FlaskClient, picture: bytes) -> None:
        """Files and texts together have no order, so they are refused."""
        sent = [(io.BytesIO(picture), "cat.jpg"), base64.b64encode(picture).decode()]

        assert detail(client.post("/predict", data={"image": sent}))[0] == 400


@pytest.mark.parametrize("field", ["images", "image_urls"])
def test_too_many_images(client: FlaskClient, field: str) -> None:
    """Far too many images are counted, and none of them is made."""
    body = json.dumps({field: [""] * 300_000}).encode()
    tracemalloc.start()
    answer = client.post("/predict", data=body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert detail(answer) == (400, "At most 32 images may come in one request.")
    assert peak < 15_000_000


@pytest.mark.parametrize(
    ("path", "count"),
    [("/predict", 1_400_000), ("/explain", 1_400_000), ("/hf/default", 1_400_000), (INFER, 7_500_000)],
)
def test_too_many_values(client: FlaskClient, path: str, count: int) -> None:
    """JSON with more values than a request can need is refused before any of them takes memory."""
    body = b'{"inputs": [' + b"[]," * count + b"0]}"
    tracemalloc.start()
    answer = client.post(path, data=body, content_type="application/json")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.status_code == 400
    assert re.search(r"The JSON has more than [0-9]+ values\.", answer.get_data(as_text=True))
    assert peak < 2 * len(body)


class TestNames:
    """A result says which file it is about."""

    def test_many(self, client: FlaskClient, picture: bytes) -> None:
        """Each of many has its file's name as it was sent, answers and errors."""
        sent = [(picture, "a.jpg"), (b"no image", "folder/b.jpg"), (picture, ""), (picture, "<b>.jpg")]

        answer = client.post("/predict", data={"image": [(io.BytesIO(data), name) for data, name in sent]})

        results = answer.get_json()["results"]
        assert [result.get("name") for result in results] == ["a.jpg", "folder/b.jpg", None, "<b>.jpg"]
        assert "error" in results[1]

    def test_none(self, client: FlaskClient, picture: bytes) -> None:
        """A body, base64 and a URL have none."""
        text = base64.b64encode(picture).decode()
        answers = [
            client.post("/predict", data=picture, content_type="image/jpeg").get_json(),
            client.post("/predict", json={"image": text}).get_json(),
            *client.post("/predict", json={"images": [text, "?"]}).get_json()["results"],
        ]

        assert [answer for answer in answers if "name" in answer] == []


class TestCodings:
    """A compressed body is refused in the way that HTTP has for it."""

    @pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "br", "zstd", "identity, GZIP"])
    @pytest.mark.parametrize("path", ["/predict", "/upload", "/models/default/activate"])
    def test_refused(self, client: FlaskClient, picture: bytes, coding: str, path: str) -> None:
        """With the reason, and with what is accepted."""
        answer = client.post(path, data=picture, headers={"Content-Encoding": coding})

        assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "identity")
        assert "Content-Encoding" in answer.get_json()["detail"]

    @pytest.mark.parametrize("coding", ["identity", "", "aws-chunked", "utf-8", "none", "base64"])
    def test_none(self, client: FlaskClient, picture: bytes, coding: str) -> None:
        """A name that stands for no compression changes nothing."""
        answer = client.post("/predict", data=picture, headers={"Content-Encoding": coding})

        assert answer.status_code == 200


@pytest.mark.parametrize("kind", ["application/json", URLENCODED, "application/octet-stream"])
@pytest.mark.parametrize("path", ["/predict", "/hf/default", "/v2/models/default/infer"])
def test_too_long_without_a_length(make_app: Callable[..., Flask], path: str, kind: str) -> None:
    """A body whose length is not said before is too large as well, and is not taken for what came of it."""
    client = make_app(max_image_mb=0.01).test_client()
    begin = b"top_k=5&image=" if kind == URLENCODED else b'{"image": "'

    answer = client.post(
        path,
        input_stream=io.BytesIO(begin.ljust(50_001, b"A")),
        content_type=kind,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert answer.status_code == 413
