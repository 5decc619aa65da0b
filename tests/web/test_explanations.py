"""`POST /explain` says which parts of an image speak for a class, for every kind of model."""

import base64
import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from tests.explaining.networks import LINEAR, OTHER, POOLED, SIDE, cues, network
from tools.make_reference import crop_of
from tools.sample_models import classifier

DATA = Path(__file__).parents[1] / "data"
EXPORTS = json.loads((DATA / "exports" / "torch.json").read_text())


def upload(client: FlaskClient, name: str, model: bytes, **companions: str) -> None:
    """Have the service serve a model."""
    files: dict[str, Any] = {"model": (io.BytesIO(model), "m.onnx"), "name": name}
    files |= {kind: (io.BytesIO(text.encode()), kind) for kind, text in companions.items()}
    answer = client.post("/upload", data=files)
    assert answer.status_code == 200, answer.get_json()


def export(client: FlaskClient, name: str) -> None:
    """Have the service serve a network of another tool."""
    upload(client, name, (DATA / "exports" / f"{name}.onnx").read_bytes(), **EXPORTS[name]["companions"])


def b64(data: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(data).decode()


def png(pixels: Any, **options: Any) -> bytes:
    """An image file."""
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(out, "PNG", **options)
    return out.getvalue()


def noise(seed: int, side: int = SIDE) -> bytes:
    """An image of noise."""
    return png(np.random.default_rng(seed).integers(0, 256, (side, side, 3)))


def cued(row: int, column: int, blue: tuple[int, int] | None = None) -> bytes:
    """A grey image of noise with a red square in one of its 7 x 7 cells, and perhaps a blue one."""
    pixels = np.random.default_rng(0).integers(80, 160, (SIDE, SIDE, 1)).repeat(3, axis=2)
    pixels[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = (255, 0, 0)
    if blue is not None:
        row, column = blue
        pixels[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = (0, 0, 255)
    return png(pixels)


def executions(client: FlaskClient, name: str) -> int:
    """How often a model has run."""
    found = client.get(f"/v2/models/{name}/stats").get_json()["model_stats"]
    return sum(one["execution_count"] for one in found)


def explained(client: FlaskClient, data: bytes, **query: Any) -> dict[str, Any]:
    """The explanation."""
    answer = client.post("/explain", query_string=query, data=data)
    assert answer.status_code == 200, answer.get_json()
    return dict(answer.get_json())


def most(answer: dict[str, Any]) -> tuple[int, int]:
    """Row and column of the largest number of a map."""
    grid = np.array(answer["grid"])
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    return int(row), int(column)


class TestMethods:
    """Maps are what they are said to be."""

    def test_reference(self, client: FlaskClient, cat: Path) -> None:
        """The maps of the included model are those that gradients give in PyTorch, on published weights."""
        reference = json.loads((DATA / "cam_reference.json").read_text())["maps"]
        # The middle of 256 x 256 pixels is cut out without being resized.
        image = png(np.pad(crop_of(cat)[0], ((16, 16), (16, 16), (0, 0))))
        for index, expected in reference.items():
            answer = explained(client, image, **{"class": index})

            grid = np.array(answer["grid"])
            assert answer["method"] == "cam"
            assert np.corrcoef(grid.ravel(), np.ravel(expected))[0, 1] > 0.999
            assert np.abs(grid - expected).max() < 0.02 * np.abs(expected).max()

    @pytest.mark.parametrize("method", ["cam", "masks"])
    @pytest.mark.parametrize("place", [(0, 0), (6, 2)])
    def test_planted_cue(self, client: FlaskClient, method: str, place: tuple[int, int]) -> None:
        """Where a red square decides, the map is there, and nowhere else."""
        upload(client, "cue", network(cue=True))

        answer = explained(client, cued(*place), model="cue", method=method)

        grid = np.array(answer["grid"])
        assert answer["class"] == {"label": "red square", "index": 1}
        assert most(answer) == place
        assert np.abs(np.delete(grid.ravel(), 7 * place[0] + place[1])).max() < 0.5 * grid.max()
        assert answer["fidelity"] is None if method == "cam" else answer["fidelity"] > 0.2

    def test_against(self, client: FlaskClient) -> None:
        """What speaks for a class speaks against another one."""
        upload(client, "cue", network(cue=True))

        answer = explained(client, cued(3, 3), model="cue", method="masks", **{"class": "grass"})

        assert np.argmin(answer["grid"]) == 7 * 3 + 3

    def test_sum(self, client: FlaskClient) -> None:
        """The maps of two classes differ by as much in sum as their scores do, biases left aside."""
        upload(client, "sum", network())
        differences = []
        for seed in (1, 2):
            first, second = (
                explained(client, noise(seed), model="sum", **{"class": label}) for label in ("grass", "7")
            )
            scores = np.log(first["confidence"]) - np.log(second["confidence"])
            differences.append(scores - np.sum(first["grid"]) + np.sum(second["grid"]))

        assert differences[0] == pytest.approx(differences[1], abs=1e-4)

    def test_shuffled_weights(self, client: FlaskClient) -> None:
        """With the weights of the last layer in another order the maps are others."""
        upload(client, "whole", network())
        upload(client, "shuffled", network(shuffled=True))
        for method in ("cam", "masks"):
            whole, shuffled = (
                np.ravel(explained(client, noise(0), model=name, method=method, **{"class": 0})["grid"])
                for name in ("whole", "shuffled")
            )

            assert np.corrcoef(whole, shuffled)[0, 1] < 0.9

    def test_same_twice(self, client: FlaskClient) -> None:
        """An image is explained the same way each time, and another one in another way."""
        upload(client, "cue", network(cue=True))
        first, again = (explained(client, cued(1, 1), model="cue", method="masks") for _ in range(2))

        assert first == again
        assert first["runs"] == 256

    @pytest.mark.parametrize("kind", ["layer between", "a part of the window"])
    def test_other_ends(self, client: FlaskClient, kind: str) -> None:
        """A network that ends otherwise is explained by masks, and says so where only a map is wanted."""
        tail = OTHER[kind] if "pooled" not in OTHER[kind] else f"{POOLED['global']} {OTHER[kind]}"
        upload(client, "end", network(tail))

        assert explained(client, noise(0), model="end")["method"] == "masks"
        refused = client.post("/explain?model=end&method=cam", data=noise(0))
        assert (refused.status_code, refused.get_json()["code"]) == (400, "invalid_request")

    @pytest.mark.parametrize("linear", ["MatMul", "convolution"])
    def test_ways_of_writing(self, client: FlaskClient, linear: str) -> None:
        """However a linear layer is written, the map is the same."""
        upload(client, "gemm", network())
        upload(client, "other", network(f"{POOLED['whole window']} {LINEAR[linear]}", "Sigmoid"))
        expected, found = (
            explained(client, noise(3), model=name, **{"class": 1}) for name in ("gemm", "other")
        )

        assert found["method"] == "cam"
        assert np.allclose(found["grid"], expected["grid"], atol=1e-5)


class TestModels:
    """Every kind of model is explained."""

    @pytest.mark.parametrize(
        ("name", "method"), [("timm_vit", "masks"), ("hf_multi_label", "masks"), ("timm_softmax", "cam")]
    )
    def test_exports(self, client: FlaskClient, name: str, method: str, cat: Path) -> None:
        """A vision transformer, a multi-label network and one with a fixed batch."""
        export(client, name)

        answer = explained(client, cat.read_bytes(), model=name, **{"class": 3})

        predicted = client.post(f"/predict?model={name}&top_k=12", data=cat.read_bytes()).get_json()
        confidences = {one["index"]: one["confidence"] for one in predicted["predictions"]}
        assert answer["method"] == method
        assert answer["confidence"] == pytest.approx(confidences[3], abs=1e-5)
        assert np.ptp(answer["grid"]) > 0

    def test_one_at_a_time(self, client: FlaskClient) -> None:
        """A graph that takes one image at a time is explained by both methods."""
        upload(client, "one", network(batch=1, cue=True))
        for method in ("cam", "masks"):
            assert most(explained(client, cued(5, 1), model="one", method=method)) == (5, 1)

    def test_fixed_batch(self, client: FlaskClient) -> None:
        """Masks fill the batches of a graph of fixed batch size, which has its map on the cue, too."""
        upload(client, "four", network(batch=4, cue=True))
        before = executions(client, "four")

        answer = explained(client, cued(4, 2), model="four", method="masks")

        assert (most(answer), answer["runs"]) == ((4, 2), 256)
        # One is for the image itself; a thread may take fewer masks than there is room for others' sake.
        assert 1 + 256 / 4 <= executions(client, "four") - before <= 1 + 256 / 2

    @pytest.mark.parametrize("method", ["cam", "masks"])
    def test_several_classes(self, client: FlaskClient, method: str) -> None:
        """Of classes that apply at the same time, each has its map on its own cue."""
        upload(client, "cues", cues())
        places = {"red square": (1, 1), "blue square": (5, 4)}
        image = cued(*places["red square"], blue=places["blue square"])
        predicted = client.post("/predict?model=cues&threshold=0.5", data=image).get_json()

        assert predicted["multi_label"] is True
        assert {one["label"] for one in predicted["predictions"]} == places.keys()
        for label, place in places.items():
            answer = explained(client, image, model="cues", method=method, **{"class": label})
            grid = np.array(answer["grid"])
            assert most(answer) == place
            assert np.abs(np.delete(grid.ravel(), 7 * place[0] + place[1])).max() < 0.5 * grid.max()

    def test_mean_colour(self, client: FlaskClient) -> None:
        """A model of the mean colour, whose features would be its pixels, is explained by masks."""
        upload(client, "colour", classifier(["a", "b", "c"], batch=1))

        assert explained(client, noise(0), model="colour")["method"] == "masks"


class TestRequests:
    """Requests are those of a prediction, for one image."""

    def test_answer(self, client: FlaskClient, cat: Path) -> None:
        """Without options the most confident class is explained; the box is what the model sees."""
        answer = explained(client, cat.read_bytes())
        predicted = client.post("/predict", data=cat.read_bytes()).get_json()

        assert answer["class"] == {
            "label": predicted["predicted_label"],
            "index": predicted["predictions"][0]["index"],
        }
        assert answer["confidence"] == pytest.approx(predicted["confidence"], abs=1e-5)
        assert answer["model"] == predicted["model"]
        assert answer["image"] == {"width": 451, "height": 300}
        assert answer["box"] == pytest.approx([93.96, 18.75, 357.04, 281.25], abs=0.01)
        assert np.shape(answer["grid"]) == (7, 7)
        assert (answer["runs"], answer["fidelity"]) == (1, None)

    @pytest.mark.parametrize("given", [True, 1.5, [1], {}])
    def test_class_of_another_type(self, client: FlaskClient, given: object) -> None:
        """A class that is neither an index nor a label is refused by its name in the request."""
        answer = client.post("/explain", json={"image": "AAAA", "class": given})

        assert answer.status_code == 400
        assert answer.get_json()["detail"] == "class must be a whole number or a string."
        twice = client.post("/explain?class=a&class=b", data=noise(0)).get_json()
        assert twice["detail"] == "class is given more than once."

    @pytest.mark.parametrize("given", ["tiger cat", "Tiger_Cat", "n02123159", "282"])
    def test_class(self, client: FlaskClient, cat: Path, given: str) -> None:
        """A class is named by its label, its id or its index."""
        assert explained(client, cat.read_bytes(), **{"class": given})["class"]["index"] == 282

    def test_forms(self, client: FlaskClient) -> None:
        """JSON and forms take the same options; a number in JSON is an index, a text first a label."""
        upload(client, "cue", network(cue=True))
        image = f"data:image/png;base64,{b64(noise(0))}"
        answers = [
            client.post("/explain", json={"image": image, "class": 2, "model": "cue"}),
            client.post("/explain", json={"image": image, "class": "7", "model": "cue"}),
            client.post("/explain", data=f"class=7&model=cue&image={quote(image)}"),
            client.post(
                "/explain", data={"image": (io.BytesIO(noise(0)), "a.png"), "class": "7", "model": "cue"}
            ),
        ]

        assert [answer.status_code for answer in answers] == [200] * 4
        assert [answer.get_json()["class"]["index"] for answer in answers] == [2, 2, 2, 2]
        assert answers[3].get_json()["name"] == "a.png"

    @pytest.mark.parametrize(
        ("query", "body", "status"),
        [
            ("class=nothing", {}, 400),
            ("method=magic", {}, 400),
            ("top_k=3", {}, 400),
            ("model=nowhere", {}, 404),
            ("", {"class": 1000}, 400),
            ("", {"class": -1}, 400),
            ("", {"images": ["x"]}, 400),
        ],
    )
    def test_refusals(self, client: FlaskClient, query: str, body: dict[str, Any], status: int) -> None:
        """What cannot be explained is refused with a sentence."""
        image = b64(noise(0))
        answer = client.post(f"/explain?{query}", json={"image": image, **body})

        assert answer.status_code == status, answer.get_json()

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ("tigercat", "none of the model's classes; did you mean tiger cat (index 282)?"),
            ("crane", "several of the model's classes: give one of their indices, 134, 517."),
            ("zzzz", "none of the model's classes: give a label, or an index from 0 to 999."),
            ("1000", "none of the model's classes: give a label, or an index from 0 to 999."),
        ],
    )
    def test_class_in_doubt(self, client: FlaskClient, given: str, sentence: str) -> None:
        """A class that is none of the model's, or several, is answered with what may be meant."""
        answer = client.post("/explain", json={"image": b64(noise(0)), "class": given, "model": "default"})

        assert sentence in answer.get_json()["detail"]

    def test_many(self, client: FlaskClient) -> None:
        """One image at a time is explained."""
        files = {"image": [(io.BytesIO(noise(0)), "a.png"), (io.BytesIO(noise(1)), "b.png")]}
        answer = client.post("/explain", data=files)

        assert answer.status_code == 400
        assert "one image" in answer.get_json()["detail"]

    def test_overlay(self, client: FlaskClient, cat: Path) -> None:
        """The PNG has the frame of the image that was sent, and comes in JSON where that is asked for."""
        answer = client.post("/explain", data=cat.read_bytes(), headers={"Accept": "image/png"})

        assert answer.content_type == "image/png"
        with Image.open(io.BytesIO(answer.data)) as image:
            assert image.size == (451, 300)
            assert "tiger cat" in image.info["Description"]
        assert explained(client, cat.read_bytes(), overlay=True)["overlay"].startswith(
            "data:image/png;base64,"
        )

    def test_orientation(self, client: FlaskClient) -> None:
        """A map lies in the frame of the upright image."""
        upload(client, "cue", network(cue=True))
        with Image.open(io.BytesIO(cued(0, 6))) as image:
            wide = Image.new("RGB", (2 * SIDE, SIDE), "gray")
            wide.paste(image, (SIDE // 2, 0))
        turned, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = 6
        wide.transpose(Image.Transpose.ROTATE_90).save(turned, "PNG", exif=exif)

        answer = explained(client, turned.getvalue(), model="cue")

        assert answer["image"] == {"width": 2 * SIDE, "height": SIDE}
        assert answer["box"] == [SIDE / 2, 0, 1.5 * SIDE, SIDE]
        assert most(answer) == (0, 6)

    def test_token(self, make_app: Callable[..., Flask], cat: Path) -> None:
        """An explanation needs the token of a prediction."""
        client = make_app(predict_token="secret").test_client()

        assert client.post("/explain", data=cat.read_bytes()).status_code == 401
        headers = {"Authorization": "Bearer secret"}
        assert client.post("/explain", data=cat.read_bytes(), headers=headers).status_code == 200


class TestLoad:
    """Explanations are refused where there is no time or no room for them."""

    def test_deadline(self, client: FlaskClient, cat: Path) -> None:
        """Masks that would take too long are refused before they begin."""
        answer = client.post(
            "/explain?method=masks", data=cat.read_bytes(), headers={"X-Request-Deadline-Ms": "300"}
        )

        assert (answer.status_code, answer.get_json()["code"]) == (503, "overloaded")
        assert "X-Request-Deadline-Ms" in answer.get_json()["detail"]

    def test_deadline_of_a_fixed_batch(self, app: Flask, client: FlaskClient) -> None:
        """Masks that share the runs of a graph of fixed batch size take the time of these runs."""
        upload(client, "sixteen", network(batch=16, cue=True))
        runner = app.extensions["predictor"].engine.model("sixteen").runner
        sent: dict[str, Any] = {
            "data": cued(2, 5),
            "query_string": {"model": "sixteen", "method": "masks"},
            "headers": {"X-Request-Deadline-Ms": "9000"},
        }

        # 128 masks are 8 runs, and each may take a second.
        runner.seconds_per_image = runner.seconds_per_run = 0.9
        given = client.post("/explain", **sent)
        runner.seconds_per_run = 100.0
        refused = client.post("/explain", **sent)

        assert given.status_code == 200, given.get_json()
        assert most(given.get_json()) == (2, 5)
        assert (refused.status_code, refused.get_json()["code"]) == (503, "overloaded")

    def test_others_under_way(self, app: Flask, cat: Path) -> None:
        """As many are computed by masks as leave most threads to predictions, which are answered."""
        worker, done = app.extensions["predictor"], list[int]()

        def explain() -> None:
            done.append(app.test_client().post("/explain?method=masks", data=cat.read_bytes()).status_code)

        first = threading.Thread(target=explain)
        first.start()
        while not worker.engine.admission.waiting:
            time.sleep(0.001)
        time.sleep(0.2)
        refused = app.test_client().post("/explain?method=masks", data=cat.read_bytes())
        predicted = app.test_client().post("/predict?fresh=1", data=cat.read_bytes())
        before = list(done)
        first.join()

        assert before == []
        assert (refused.status_code, predicted.status_code, done) == (503, 200, [200])
        assert int(refused.headers["Retry-After"]) >= 1
