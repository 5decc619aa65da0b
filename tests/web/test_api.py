"""`POST /predict` takes every documented form and answers each mistake with its code."""

import base64
import gc
import io
import json
import socket
import ssl
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from predictor.errors import Overloaded, TooLate
from predictor.image_formats import HEIF_INSTALLED
from predictor.inference.admission import Deadline
from tests.fetch.hostile import Server, says
from tests.fetch.hostile import answer as http_answer
from tests.web import encoded

Post = Callable[..., TestResponse]


def b64(data: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def picture(cat: Path) -> bytes:
    """The bytes of a photograph of a cat."""
    return cat.read_bytes()


def noise_png(width: int, height: int) -> bytes:
    """A PNG of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def files(*pictures: bytes, **fields: object) -> dict[str, Any]:
    """A multipart form with files in the field `image`."""
    return {**fields, "image": [(io.BytesIO(data), "cat.jpg") for data in pictures]}


class TestForms:
    """One image gives one answer, whatever form it comes in."""

    def test_every_form_agrees(self, client: FlaskClient, picture: bytes) -> None:
        """Body, base64, data URL and file give one and the same answer."""
        answers = [
            client.post("/predict", data=picture, content_type="image/jpeg"),
            client.post("/predict", data=picture, content_type="application/octet-stream"),
            client.post("/predict", data=picture, content_type="application/x-www-form-urlencoded"),
            client.post("/predict", json={"image": b64(picture)}),
            client.post("/predict", json={"image": f"data:image/jpeg;base64,{b64(picture)}"}),
            client.post("/predict", data=files(picture)),
        ]

        predictions = [answer.get_json()["predictions"] for answer in answers]

        assert [answer.status_code for answer in answers] == [200] * 6
        assert all(prediction == predictions[0] for prediction in predictions)
        assert predictions[0][0]["label"] in {"tabby", "tiger cat", "Egyptian cat"}

    def test_answer(self, client: FlaskClient, picture: bytes) -> None:
        """The answer has the contract's fields, ranked, with the class's id and synonyms."""
        answer = client.post("/predict", data=picture, content_type="image/jpeg").get_json()

        confidences = [score["confidence"] for score in answer["predictions"]]
        assert set(answer) == {"predicted_label", "confidence", "predictions", "model", "cached"}
        assert answer["predicted_label"] == answer["predictions"][0]["label"]
        assert answer["confidence"] == confidences[0]
        assert confidences == sorted(confidences, reverse=True)
        assert len(confidences) == 5
        assert answer["model"]["name"] == "default"
        assert answer["model"]["version"] == 1
        assert answer["model"]["digest"].startswith("sha256:")
        assert {score["index"]: score["id"] for score in answer["predictions"]}[281] == "n02123045"

    def test_wrapped_base64(self, client: FlaskClient, picture: bytes) -> None:
        """Base64 with line breaks, as the command `base64` writes it, is accepted."""
        wrapped = base64.encodebytes(picture).decode()

        assert client.post("/predict", json={"image": wrapped}).status_code == 200

    def test_server_timing(self, make_app: Callable[..., Flask], picture: bytes) -> None:
        """The phases of the work stand in the header, in milliseconds."""
        client = make_app(cache="off").test_client()

        header = client.post("/predict", data=picture, content_type="image/jpeg").headers["Server-Timing"]

        assert [part.split(";")[0] for part in header.split(", ")] == [
            "queue",
            "decode",
            "preprocess",
            "infer",
        ]

    def test_no_temporary_folder(
        self, client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A form with a large image needs no temporary file: it is answered where none can be made."""
        image = noise_png(500, 500)
        # By hand, because Werkzeug's client would write so large a form to a temporary file itself.
        head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="cat.png"\r\n\r\n'
        form = head + image + b"\r\n--b--\r\n"
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        with pytest.raises(FileNotFoundError), tempfile.TemporaryFile():
            pass

        answer = client.post("/predict", data=form, content_type="multipart/form-data; boundary=b")

        assert len(image) > 500_000
        assert answer.status_code == 200, answer.text

    @pytest.mark.skipif(not HEIF_INSTALLED, reason="pillow-heif is not installed")
    @pytest.mark.parametrize("form", ["body", "file"])
    def test_heic(self, client: FlaskClient, picture: bytes, form: str) -> None:
        """An iPhone's HEIC is answered as the same pixels in a PNG are."""
        heic = io.BytesIO()
        Image.open(io.BytesIO(picture)).save(heic, "HEIF", quality=90)
        png = io.BytesIO()
        Image.open(heic).save(png, "PNG")

        sent, same = (
            client.post("/predict", data=files(data) if form == "file" else data, query_string={"fresh": 1})
            for data in (heic.getvalue(), png.getvalue())
        )

        assert heic.getvalue()[4:12] == b"ftypheic"
        assert (sent.status_code, same.status_code) == (200, 200)
        assert sent.get_json()["predictions"] == same.get_json()["predictions"]

    def test_own_authority(self, make_app: Callable[..., Flask], picture: bytes, tmp_path: Path) -> None:
        """An image comes over TLS from a server whose certificate the operator's own authority signed."""
        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        server = Server(says(http_answer(picture)), context=context)
        app = make_app(fetch_ca=tmp_path / "ca.pem", fetch_allow=(f"127.0.0.1:{server.port}",))

        answer = app.test_client().post("/predict", json={"image_url": f"https://127.0.0.1:{server.port}/"})
        server.close()

        assert (answer.status_code, answer.get_json().get("predicted_label")) == (200, "tiger cat")

    def test_repeated(self, make_app: Callable[..., Flask], picture: bytes) -> None:
        """The second of two equal requests is answered from the cache, with the same answer."""
        client = make_app().test_client()

        first, second = (
            client.post("/predict", data=picture, content_type="image/jpeg").get_json() for _ in range(2)
        )

        assert (first.pop("cached"), second.pop("cached")) == (False, True)
        assert first == second


class TestBytesDecide:
    """What a body is, its bytes say; clients name many types for it, or none."""

    @pytest.mark.parametrize(
        "kind",
        [
            None,
            "",
            "text/plain",
            "text/plain;charset=UTF-8",
            "text/html",
            "binary/octet-stream",
            "application/x-image",
            "application/x-www-form-urlencoded",
            "application/json",
            "application/pdf",
            "no type at all",
        ],
    )
    def test_image(self, client: FlaskClient, picture: bytes, kind: str | None) -> None:
        """An image is answered under any type but that of a multipart form."""
        answer = client.post("/predict", data=picture, content_type=kind)

        assert (answer.status_code, answer.get_json().get("predicted_label")) == (200, "tiger cat")

    @pytest.mark.parametrize(
        "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"]
    )
    @pytest.mark.parametrize("before", ["", " \r\n", "\ufeff"])
    def test_json(self, client: FlaskClient, picture: bytes, kind: str | None, before: str) -> None:
        """A body that begins with `{` is JSON: `curl -d` names the type of a form, `fetch` that of a text."""
        body = before + json.dumps({"image": b64(picture), "top_k": 1})

        answer = client.post("/predict", data=body.encode(), content_type=kind)

        assert (answer.status_code, len(answer.get_json()["predictions"])) == (200, 1)

    def test_form(self, client: FlaskClient) -> None:
        """A form in the body's encoding is still a form."""
        answer = client.post("/predict", data={"image_url": "http://127.0.0.1/", "top_k": "2"})

        assert (answer.status_code, answer.get_json()["code"]) == (403, "fetch_blocked")

    @pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/html", "image/png"])
    @pytest.mark.parametrize(
        "body",
        [
            b'<!doctype html>\n<html lang="en"><body>403 Forbidden secret</body></html>',
            b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">secret</svg>',
            b"version https://git-lfs.github.com/spec/v1\noid sha256:secret=\n",
            b"%PDF-1.7 secret=1&a=2",
            bytes(1000),
            b"secret",
        ],
    )
    def test_anything_else(self, client: FlaskClient, body: bytes, kind: str | None) -> None:
        """What is neither image nor form nor JSON is 415, in a sentence without a byte of it."""
        answer = client.post("/predict", data=body, content_type=kind)

        assert (answer.status_code, answer.get_json()["code"]) == (415, "unsupported_image")
        assert not any(part in answer.get_json()["detail"] for part in ("secret", "<", "version", "\0"))

    @pytest.mark.parametrize(
        "body",
        [b"image=a&<html>=secret", b"image=a&%3Cscript%3E=b", b'{"<html>": "secret"}', b'{"\\u0000": 1}'],
    )
    def test_no_echo(self, client: FlaskClient, body: bytes) -> None:
        """A field whose name is none is refused without being repeated."""
        answer = client.post("/predict", data=body, content_type="application/x-www-form-urlencoded")

        assert answer.get_json()["detail"] == "A name in the request is not a field that is known here."

    def test_null(self, client: FlaskClient, picture: bytes) -> None:
        """Null means not given, for options and for the ways to send an image."""
        sent = {"image": b64(picture), "image_url": None, "images": None, "image_urls": None}
        options = dict.fromkeys(("top_k", "model", "version", "debug", "exact"))

        answer = client.post("/predict?top_k=2", json=sent | options)

        assert (answer.status_code, len(answer.get_json()["predictions"])) == (200, 2)


class TestParts:
    """A part of a form is a file by its name, its type or its bytes."""

    def test_files(self, client: FlaskClient, picture: bytes) -> None:
        """With an empty name, without one, with any type: each byte of the image arrives."""
        parts = {
            "named": ("cat.jpg", picture, "image/jpeg"),
            "empty name": ("", picture, "image/jpeg"),
            "no name": (None, picture, "image/jpeg"),
            "no name, no image type": (None, picture, "text/plain"),
            "no name, binary": (None, picture, "application/octet-stream"),
            "base64": b64(picture),
            "data URL": f"data:image/jpeg;base64,{b64(picture)}",
        }

        answers = {
            name: encoded.post(client, "/predict?debug=1", ("image", part)) for name, part in parts.items()
        }

        assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(parts, 200)
        seen = [answer.get_json()["debug"]["input"] for answer in answers.values()]
        assert all(one == seen[0] for one in seen)

    def test_extended_name(self, client: FlaskClient, picture: bytes) -> None:
        """A file that is named by RFC 5987 only is a file."""
        head = (
            b"--b\r\nContent-Disposition: form-data; name=\"image\"; filename*=utf-8''k%C3%A4tzchen\r\n\r\n"
        )

        answer = client.post(
            "/predict", data=head + picture + b"\r\n--b--\r\n", content_type="multipart/form-data; boundary=b"
        )

        assert answer.status_code == 200

    def test_nothing_chosen(self, client: FlaskClient, picture: bytes) -> None:
        """An empty file without a name does not count beside an image."""
        nothing = ("image", ("", b"", "application/octet-stream"))

        answer = encoded.post(client, "/predict", nothing, ("image", ("a.jpg", picture, "image/jpeg")))

        assert "predicted_label" in answer.get_json()

    @pytest.mark.parametrize("boundary", ["----=_Part_1_2.3", "==abc==", "a/b:c", "b"])
    def test_boundary_without_quotes(self, client: FlaskClient, picture: bytes, boundary: str) -> None:
        """A boundary that needs quotes is read without them, as some clients write it."""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        form = head.encode() + picture + f"\r\n--{boundary}--\r\n".encode()
        for declared in (boundary, f'"{boundary}"'):
            kind = f"multipart/form-data; boundary={declared}; charset=utf-8"

            assert client.post("/predict", data=form, content_type=kind).status_code == 200

    def test_name_of_a_list(self, client: FlaskClient, picture: bytes) -> None:
        """Many clients name the repeated field of a list `image[]`."""
        parts = [("image[]", (name, picture, "image/jpeg")) for name in ("a.jpg", "b.jpg")]
        answer = encoded.post(client, "/predict", *parts)

        assert [one["name"] for one in answer.get_json()["results"]] == ["a.jpg", "b.jpg"]

    @pytest.mark.parametrize(
        ("body", "kind", "sentence"),
        [
            (b"--b\r\n", "multipart/form-data", "has no boundary"),
            (b"--c--\r\n", "multipart/form-data; boundary=b", "damaged or incomplete"),
            (b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc',
             "multipart/form-data; boundary=b", "damaged or incomplete"),
        ],
    )  # fmt: skip
    def test_broken_form(self, client: FlaskClient, body: bytes, kind: str, sentence: str) -> None:
        """A form without a boundary or without an end is told so."""
        answer = client.post("/predict", data=body, content_type=kind)

        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
        assert sentence in answer.get_json()["detail"]


class TestBase64:
    """Base64 as the encoders of common languages write it."""

    @pytest.mark.parametrize("way", ["image", "image_url"])
    @pytest.mark.parametrize("head", ["data:image/jpeg;base64,", "DATA:image/jpeg;BASE64,", "data:;base64,"])
    def test_data_url(self, client: FlaskClient, picture: bytes, way: str, head: str) -> None:
        """A data: URL is taken wherever a URL is; its scheme and parameter have no case."""
        assert client.post("/predict", json={way: head + b64(picture)}).status_code == 200

    def test_alphabet(self, client: FlaskClient, picture: bytes) -> None:
        """Padding may be missing, the alphabet may be URL-safe, and a data: URL may be percent-encoded."""
        safe = base64.urlsafe_b64encode(picture).decode().rstrip("=")
        quoted = f"data:image/jpeg;base64,{b64(picture)}".replace("+", "%2B").replace("/", "%2F")

        answers = [client.post("/predict", json={"image": text}) for text in (safe, quoted)]

        assert [answer.status_code for answer in answers] == [200, 200]

    def test_url_under_image(self, client: FlaskClient) -> None:
        """A URL in the field of base64 is told where URLs go."""
        answer = client.post("/predict", json={"image": "https://example.com/cat.jpg"})

        assert answer.status_code == 400
        assert "image_url" in answer.get_json()["detail"]


class TestOptions:
    """Options come as query arguments or as fields."""

    def test_top_k(self, client: FlaskClient, picture: bytes) -> None:
        """`top_k` is read from the query, from JSON and from a form; it never gives more than all classes."""
        counts = [
            len(answer.get_json()["predictions"])
            for answer in (
                client.post("/predict?top_k=1", data=picture, content_type="image/jpeg"),
                client.post("/predict", json={"image": b64(picture), "top_k": 2}),
                client.post("/predict", data=files(picture, top_k="3")),
                client.post("/predict?top_k=9", json={"image": b64(picture), "top_k": 4}),
                client.post("/predict?top_k=5000", data=picture, content_type="image/jpeg"),
            )
        ]

        assert counts == [1, 2, 3, 4, 1000]

    def test_threshold(self, client: FlaskClient, picture: bytes) -> None:
        """`threshold` leaves out the classes below it, from query, JSON and form, and from kept answers."""
        first, second = client.post("/predict?top_k=2", data=picture).get_json()["predictions"]
        between = (first["confidence"] + second["confidence"]) / 2

        answers = [
            client.post(f"/predict?top_k=2&threshold={between}", data=picture).get_json(),
            client.post(
                "/predict?threshold=0", json={"image": b64(picture), "top_k": 2, "threshold": between}
            ).get_json(),
            client.post("/predict", data=files(picture, top_k=2, threshold=between)).get_json(),
        ]
        reached = client.post(f"/predict?top_k=1&threshold={first['confidence']}", data=picture).get_json()
        wide = client.post("/predict?top_k=2&threshold=0", data=picture).get_json()

        assert [answer["predictions"] for answer in (*answers, reached)] == [[first]] * 4
        assert [answer["abstained"] for answer in (*answers, wide)] == [False] * 4
        assert wide["predictions"] == [first, second]
        assert [answer["cached"] for answer in (*answers, wide)] == [True] * 4

    def test_no_class_left(self, client: FlaskClient, picture: bytes) -> None:
        """An answer without a class says that it abstains; each image of a request is judged by itself."""
        sent = {"images": [b64(picture), b64(noise_png(40, 30)), "?"], "fresh": True}
        sure = [one.get("confidence") for one in client.post("/predict", json=sent).get_json()["results"]]

        found = client.post("/predict", json=sent | {"threshold": min(sure[:2]) + 1e-6}).get_json()["results"]
        none = client.post("/predict?threshold=1", data=picture).get_json()

        assert sorted(one["abstained"] for one in found[:2]) == [False, True]
        assert found[2]["error"]["code"] == "invalid_request"
        assert (none["predicted_label"], none["confidence"], none["predictions"]) == (None, None, [])
        assert none["abstained"] is True

    def test_page_has_no_threshold(self, client: FlaskClient, picture: bytes) -> None:
        """The page's form shows the classes whatever threshold comes with it."""
        page = client.post("/", data=files(picture, threshold="1"))

        assert "tiger cat" in page.text

    def test_model_and_version(self, client: FlaskClient, picture: bytes) -> None:
        """The live model can be named; another one is not found."""
        post = {
            query: client.post(f"/predict?{query}", data=picture, content_type="image/jpeg")
            for query in ("model=default&version=1", "model=other", "version=2")
        }

        assert [answer.status_code for answer in post.values()] == [200, 404, 404]
        assert post["model=other"].get_json()["code"] == "model_not_found"
        assert post["model=other"].get_json()["detail"].startswith("No model has that name; GET /models")
        assert "The model default has no such version; it has version 1." in post["version=2"].text

    @pytest.mark.parametrize(
        "query",
        [
            "top_k=0",
            "top_k=five",
            "top_k=1.5",
            "topk=3",
            "version=0",
            "model=a/b",
            "top_k=1&top_k=2",
            "threshold=-0.1",
            "threshold=1.1",
            "threshold=nan",
            "threshold=inf",
            "threshold=half",
        ],
    )
    def test_wrong_options(self, client: FlaskClient, picture: bytes, query: str) -> None:
        """A wrong or unknown option is refused by its name instead of passed over."""
        answer = client.post(f"/predict?{query}", data=picture, content_type="image/jpeg")

        assert answer.status_code == 400
        assert answer.get_json()["code"] == "invalid_request"
        assert query.split("=", maxsplit=1)[0] in answer.get_json()["detail"]


class TestMany:
    """Many images in one request are answered in their order."""

    def test_one_bad_picture(self, client: FlaskClient, picture: bytes) -> None:
        """A bad image gets its own error and does not fail the others."""
        sent = {"images": [b64(picture), b64(b"no picture"), "?", b64(noise_png(40, 30))]}

        answer = client.post("/predict", json=sent)
        results = answer.get_json()["results"]

        assert answer.status_code == 200
        assert results[0]["predicted_label"] in {"tabby", "tiger cat", "Egyptian cat"}
        assert [results[index]["error"]["code"] for index in (1, 2)] == [
            "unsupported_image",
            "invalid_request",
        ]
        assert results[3]["predictions"][0]["label"] != results[0]["predictions"][0]["label"]

    def test_repeated_files(self, client: FlaskClient, picture: bytes) -> None:
        """The field `image` repeated gives a list, in the order sent."""
        answer = client.post("/predict", data=files(b"x", picture, picture))

        assert [min(result) for result in answer.get_json()["results"]] == ["error", "cached", "cached"]

    def test_piece_ends_in_boundary(self, client: FlaskClient, picture: bytes) -> None:
        """A file is what was sent, wherever the pieces end in which its form is read."""
        head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="cat"\r\n\r\n'
        form = head + picture + b"\r\n--x--\r\n"
        # What stands before the first boundary counts for nothing (RFC 2046, 5.1.1).
        preamble = b" " * (-(len(form) - 3 + 2) % (64 << 10)) + b"\r\n"

        answers = [
            client.post("/predict", data=data, content_type=kind).get_json()
            for data, kind in [(picture, "image/jpeg"), (preamble + form, "multipart/form-data; boundary=x")]
        ]

        assert answers[1]["cached"]

    def test_list_of_one(self, client: FlaskClient, picture: bytes) -> None:
        """A list of one image is answered with a list."""
        answer = client.post("/predict", json={"images": [b64(picture)]})

        assert len(answer.get_json()["results"]) == 1

    def test_too_many(self, make_app: Callable[..., Flask]) -> None:
        """More images than allowed are refused as a whole."""
        answer = make_app(max_batch=2).test_client().post("/predict", json={"images": ["", "", ""]})

        assert answer.status_code == 400
        assert "2" in answer.get_json()["detail"]


def truncated(picture: bytes) -> bytes:
    """The first half of an image's bytes."""
    return picture[: len(picture) // 2]


class TestErrors:
    """Every mistake has its code, and nothing of the inside shows."""

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"", 422, "invalid_image"),
            (b"This is a text called a picture.", 415, "unsupported_image"),
            (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, 422, "invalid_image"),
        ],
    )
    def test_bad_bodies(self, client: FlaskClient, body: bytes, status: int, code: str) -> None:
        """Empty, text and damaged bodies are told apart."""
        answer = client.post("/predict", data=body, content_type="image/jpeg")

        assert (answer.status_code, answer.get_json()["code"]) == (status, code)

    def test_truncated(self, client: FlaskClient, picture: bytes) -> None:
        """Half an image is refused, not guessed at."""
        answer = client.post("/predict", data=truncated(picture), content_type="image/jpeg")

        assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_image")

    def test_too_many_pixels(self, client: FlaskClient) -> None:
        """A small file of 10^8 pixels is refused."""
        out = io.BytesIO()
        Image.new("1", (10_000, 10_000)).save(out, "PNG")

        answer = client.post("/predict", data=out.getvalue(), content_type="image/png")

        assert (answer.status_code, answer.get_json()["code"]) == (413, "image_too_large")

    def test_too_many_bytes(self, make_app: Callable[..., Flask], picture: bytes) -> None:
        """An image over the limit is refused, and so is a body over five times the limit."""
        client = make_app(max_image_mb=0.02).test_client()

        answers = [
            client.post("/predict", data=data, content_type="image/jpeg")
            for data in (picture, bytes(200_000))
        ]

        assert [answer.status_code for answer in answers] == [413, 413]
        assert [answer.get_json()["code"] for answer in answers] == ["image_too_large"] * 2

    @pytest.mark.parametrize(
        "body",
        [
            "{",
            "[]",
            "null",
            "{}",
            '{"image": 5}',
            '{"image": null}',
            '{"image": ["a"]}',
            '{"images": []}',
            '{"images": "a"}',
            '{"image": "a", "image_url": "http://a"}',
            '{"image": "%%%"}',
            '{"image": "data:image/png,abc"}',
            '{"image": "aGk=", "top_k": "5"}',
            '{"image": "aGk=", "top_k": NaN}',
            '{"image": "aGk=", "topk": 5}',
            '{"image_url": ""}',
            "[" * 100_000,
            "\ud800",
        ],
    )
    def test_bad_json(self, client: FlaskClient, body: str) -> None:
        """JSON of any other form than the documented one is an invalid request."""
        data = body.encode("utf-8", "surrogatepass")

        answer = client.post("/predict", data=data, content_type="application/json")

        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")

    def test_forms_without_picture(self, client: FlaskClient, picture: bytes) -> None:
        """A form without an image, with a wrong field's name, or with both kinds is refused."""
        answers = [
            client.post("/predict", data={"top_k": "5"}),
            encoded.post(client, "/predict", ("image", ("", b"", "application/octet-stream"))),
            client.post("/predict", data={"file": (io.BytesIO(picture), "cat.jpg")}),
            client.post("/predict", data=files(picture, image_url="http://example.com/")),
            encoded.post(client, "/predict", ("image", b64(picture)), ("image_url", "http://example.com/")),
        ]

        assert [answer.status_code for answer in answers] == [400] * 5

    @pytest.mark.parametrize("field", ["images", "file", "files[0]"])
    def test_fields_of_other_clients(self, client: FlaskClient, picture: bytes, field: str) -> None:
        """A file in the field of another service's client is told the name of ours."""
        answer = client.post("/predict", data={field: (io.BytesIO(picture), "cat.jpg")})

        assert answer.status_code == 400
        assert answer.get_json()["detail"] == f"{field}: name the file field image."

    def test_content_type(self, client: FlaskClient) -> None:
        """A body of another kind is refused in a sentence that says what is taken."""
        answer = client.post("/predict", data="cat", content_type="text/plain")

        assert answer.status_code == 415
        assert "application/octet-stream" in answer.get_json()["detail"]

    def test_authorities_gone(
        self, make_app: Callable[..., Flask], picture: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A worker that starts after the file of authorities was lost serves without it, and logs that."""
        client = make_app(fetch_ca=Path("lost.pem")).test_client()

        assert client.post("/predict", data=picture).status_code == 200
        assert "PREDICTOR_FETCH_CA=lost.pem cannot be read" in caplog.text

    def test_blocked_url(self, client: FlaskClient) -> None:
        """An image on the inside network is not fetched; the sentence names the rule and the setting."""
        address = client.post("/predict", json={"image_url": "http://127.0.0.1/"})
        port = client.post("/predict", json={"image_url": "http://127.0.0.1:8080/"})

        for answer, rule in ((address, "not public"), (port, "port")):
            assert (answer.status_code, answer.get_json()["code"]) == (403, "fetch_blocked")
            assert "127.0.0.1" not in answer.get_data(as_text=True)
            assert rule in answer.get_json()["detail"]
            assert "PREDICTOR_FETCH_ALLOW" in answer.get_json()["detail"]

    @pytest.mark.parametrize(
        ("url", "sentence"),
        [
            ("example.com/cat.jpg", "must begin with https://"),
            ("s3://bucket/cat.jpg", "signed https URL"),
            ("file:///etc/passwd", "send the image itself"),
            ("https://user:secret@example.com/cat.jpg", "user name"),
            ("https://example.com/\nsecret", "line break"),
            ("https://example.com/\ud800secret", "control character"),
            ("\ud800", "must begin with https://"),
        ],
    )
    def test_bad_url(self, client: FlaskClient, url: str, sentence: str) -> None:
        """A text that is no URL to download is the caller's mistake, and none of it is repeated."""
        body = json.dumps({"image_url": url})
        answer = client.post("/predict", data=body, content_type="application/json")

        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
        assert sentence in answer.get_json()["detail"]
        assert "secret" not in answer.get_data(as_text=True)

    def test_problem(self, client: FlaskClient) -> None:
        """An error is a problem document that carries the caller's request id."""
        answer = client.post("/predict", json={}, headers={"X-Request-ID": "abc-123"})

        problem = json.loads(answer.data)
        assert answer.mimetype == "application/problem+json"
        assert answer.headers["X-Request-ID"] == "abc-123"
        assert problem["request_id"] == "abc-123"
        assert set(problem) == {"type", "title", "status", "detail", "code", "request_id"}

    def test_token(self, make_app: Callable[..., Flask], picture: bytes) -> None:
        """With a token set, only requests that carry it are answered."""
        client = make_app(predict_token="secret").test_client()

        def status(**headers: str) -> int:
            return client.post(
                "/predict", data=picture, content_type="image/jpeg", headers=headers
            ).status_code

        assert status() == 401
        assert status(Authorization="Bearer wrong") == 401
        assert status(Authorization="Basic secret") == 401
        assert status(Authorization="Bearer secret") == 200

    def test_file_without_line_breaks(self, client: FlaskClient, picture: bytes) -> None:
        """A file that curl sent by -d @FILE lacks its line breaks; the sentence says how a file is sent."""
        lost = picture.translate(None, b"\n\r\0")

        answer = client.post("/predict", data=lost, content_type="application/x-www-form-urlencoded")
        whole = client.post("/predict", data=picture, content_type="application/x-www-form-urlencoded")

        assert (answer.status_code, whole.status_code) == (400, 200)
        assert "use --data-binary @FILE" in answer.get_json()["detail"]

    def test_overload(self, make_app: Callable[..., Flask], picture: bytes) -> None:
        """When the queue is full, a request is refused with the time to try again."""
        app = make_app(max_queue=1)
        engine = app.extensions["predictor"].engine

        with engine.admission.reserve(1, 1.0, Deadline()):
            answer = app.test_client().post("/predict", data=picture, content_type="image/jpeg")

        assert (answer.status_code, answer.get_json()["code"]) == (503, "overloaded")
        assert int(answer.headers["Retry-After"]) >= 1

    @pytest.mark.parametrize(("error", "status"), [(TooLate("late"), 499), (Overloaded("full"), 503)])
    def test_client_that_left(self, make_app: Callable[..., Flask], error: Overloaded, status: int) -> None:
        """What is too late for a client that has left is its client's; a full queue is one for everybody."""
        app = make_app()

        @app.get("/late")
        def late() -> str:
            raise error

        ours, theirs = socket.socketpair()
        theirs.close()

        with ours:
            answer = app.test_client().get("/late", environ_overrides={"gunicorn.socket": ours})

        assert answer.status_code == status
        left = f"predictor_client_disconnects_total {float(status == 499)}"
        assert left in app.test_client().get("/metrics").text


class TestFresh:
    """A caller can ask for an answer that is not from the cache."""

    @pytest.mark.parametrize(
        "headers",
        [
            {"Cache-Control": "no-cache"},
            {"Cache-Control": "No-Store"},
            {"Cache-Control": "max-age=0, must-revalidate"},
            {"Pragma": "no-cache"},
            {"Pragma": "no-cache", "Cache-Control": "no-cache"},
        ],
    )
    def test_headers(self, client: FlaskClient, picture: bytes, headers: dict[str, str]) -> None:
        """The headers of HTTP do it in every form of a request."""
        client.post("/predict", data=picture)

        answers = [
            client.post("/predict", data=picture, headers=headers),
            client.post("/predict?top_k=5", data=picture, headers=headers),
            client.post("/predict", json={"image": b64(picture)}, headers=headers),
            client.post("/predict", data=files(picture), headers=headers),
        ]

        assert [answer.get_json()["cached"] for answer in answers] == [False] * 4

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Cache-Control": "max-age=60"},
            {"Cache-Control": "only-if-cached"},
            {"Pragma": "no-cache", "Cache-Control": "max-age=60"},
            {"Cache-Control": "x=no-cache"},
        ],
    )
    def test_other_headers(self, client: FlaskClient, picture: bytes, headers: dict[str, str]) -> None:
        """Other directives do not."""
        client.post("/predict", data=picture)

        assert client.post("/predict", data=picture, headers=headers).get_json()["cached"]

    def test_option(self, client: FlaskClient, picture: bytes) -> None:
        """So does the option, which has the last word."""
        client.post("/predict", data=picture)

        assert not client.post("/predict?fresh=true", data=picture).get_json()["cached"]
        assert not client.post("/predict", json={"image": b64(picture), "fresh": True}).get_json()["cached"]
        said = client.post("/predict?fresh=0", data=picture, headers={"Cache-Control": "no-cache"})
        assert said.get_json()["cached"]


class TestExact:
    """With `exact` a large JPEG is decoded whole."""

    def test_every_form(self, client: FlaskClient, photograph: bytes) -> None:
        """As query argument, form field or JSON field it gives another answer than without, and says so."""
        answers = [
            client.post("/predict", data=photograph, content_type="image/jpeg"),
            client.post("/predict?exact=false", data=photograph, content_type="image/jpeg"),
            client.post("/predict?exact=1", data=photograph, content_type="image/jpeg"),
            client.post("/predict", data=files(photograph, exact="true")),
            client.post("/predict", json={"image": b64(photograph), "exact": True}),
        ]

        confidences = [answer.get_json()["confidence"] for answer in answers]
        assert confidences[0] == confidences[1] != confidences[2]
        assert confidences[2:] == confidences[2:3] * 3
        assert [answer.get_json()["cached"] for answer in answers] == [False, True, False, True, True]

    def test_png(self, client: FlaskClient, cat: Path) -> None:
        """The answer is that for the same pixels in a format without loss."""
        jpeg, png = io.BytesIO(), io.BytesIO()
        Image.open(cat).resize((3900, 2600)).save(jpeg, "JPEG")
        Image.open(jpeg).save(png, "PNG", compress_level=1)

        exact = client.post("/predict", data=files(jpeg.getvalue(), exact="1")).get_json()
        plain = client.post("/predict", data=files(png.getvalue())).get_json()
        fast = client.post("/predict", data=files(jpeg.getvalue())).get_json()

        assert exact["predictions"] == plain["predictions"] != fast["predictions"]

    def test_wrong(self, client: FlaskClient, picture: bytes) -> None:
        """Anything but yes or no is refused by its name."""
        answer = client.post("/predict?exact=perhaps", data=picture, content_type="image/jpeg")

        assert (answer.status_code, answer.get_json()["detail"]) == (400, "exact must be true or false.")


class TestDebug:
    """With `debug` an answer says how it came about."""

    def test_input(self, client: FlaskClient, picture: bytes) -> None:
        """The image that the model saw is the resized and cut one; its figures are the input's."""
        answer = client.post("/predict?debug=1", data=picture, content_type="image/jpeg").get_json()

        debug = answer["debug"]
        seen = Image.open(io.BytesIO(base64.b64decode(debug["input"]["png"].partition(",")[2])))
        pixels = np.asarray(seen)
        assert (debug["input"]["dtype"], debug["input"]["shape"], seen.size) == (
            "uint8",
            [224, 224, 3],
            (224, 224),
        )
        assert debug["input"]["mean"] == pytest.approx(pixels.mean())
        assert (debug["input"]["minimum"], debug["input"]["maximum"]) == (pixels.min(), pixels.max())
        assert debug["preprocessing"]["resize"] == "crop"
        assert debug["reasons"].keys() >= {"preprocessing", "activation", "labels"}
        assert debug["phases"].keys() >= {"decode", "preprocess", "infer"}

    def test_exact(self, client: FlaskClient, picture: bytes) -> None:
        """What the model saw, sent as it is, gives nearly the same answer: nothing is lost on the way."""
        first = client.post("/predict?debug=true", data=picture, content_type="image/jpeg").get_json()
        seen = base64.b64decode(first["debug"]["input"]["png"].partition(",")[2])

        wide = Image.new("RGB", (256, 256))
        wide.paste(Image.open(io.BytesIO(seen)), (16, 16))
        out = io.BytesIO()
        wide.save(out, "PNG")
        second = client.post("/predict", data=out.getvalue(), content_type="image/png").get_json()

        assert [one["index"] for one in second["predictions"]] == [
            one["index"] for one in first["predictions"]
        ]
        assert second["confidence"] == pytest.approx(first["confidence"], abs=1e-6)

    def test_always_new(self, client: FlaskClient, picture: bytes) -> None:
        """Such an answer is never an old one, each image of many has its own, and others have none."""
        client.post("/predict", data=picture, content_type="image/jpeg")

        answer = client.post("/predict", data=files(picture, picture, debug="1")).get_json()

        assert [result["cached"] for result in answer["results"]] == [False, False]
        assert all("infer" in result["debug"]["phases"] for result in answer["results"])
        plain = client.post("/predict", data=picture, content_type="image/jpeg").get_json()
        assert "debug" not in plain

    def test_wrong(self, client: FlaskClient, picture: bytes) -> None:
        """Anything but yes or no is refused by its name."""
        answer = client.post("/predict?debug=perhaps", data=picture, content_type="image/jpeg")

        assert (answer.status_code, answer.get_json()["detail"]) == (400, "debug must be true or false.")


@pytest.fixture
def without_collector() -> Iterator[None]:
    """A stretch of time in which the garbage collector does not come by and memory is counted."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.enable()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("path", ["/predict", "/"])
def test_refused_picture_is_not_kept(client: FlaskClient, path: str) -> None:
    """The bytes of a refused image are gone once it was answered."""
    sizes = []
    for _ in range(12):
        assert client.post(path, data=files(bytes(1_000_000))).status_code == 415
        sizes.append(tracemalloc.get_traced_memory()[0])
    assert sizes[-1] - sizes[1] < 3_000_000
