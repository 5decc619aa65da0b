"""The Open Inference Protocol: images and tensors in, scores and classes out, in JSON and in bytes."""

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from flask import Flask
from flask.testing import FlaskClient

from predictor.config import BUNDLED_MODEL
from predictor.runtime.worker import Worker

MODEL = "/v2/models/default"
LENGTH = "Inference-Header-Content-Length"
READ = (
    "success", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"
)  # fmt: skip
"""The statistics that perf_analyzer reads without asking whether they are there."""


@pytest.fixture(scope="module")
def metadata(app: Flask) -> dict[str, Any]:
    """The metadata of the bundled model."""
    found: dict[str, Any] = app.test_client().get(MODEL).get_json()
    return found


@pytest.fixture
def encoded(cat: Path) -> str:
    """The cat in base64."""
    return base64.b64encode(cat.read_bytes()).decode()


class Asking:
    """Sends inferences to the bundled model."""

    def __init__(self, client: FlaskClient, metadata: dict[str, Any]) -> None:
        self.client = client
        self.input, self.output = metadata["inputs"][0]["name"], metadata["outputs"][0]["name"]
        self.dtype = np.dtype({"UINT8": "u1", "FP32": "f4"}[metadata["properties"]["tensor_datatype"]])
        self.datatype = metadata["properties"]["tensor_datatype"]
        self.shape = [1, *json.loads(metadata["properties"]["tensor_shape"])[1:]]

    def images(self, *texts: str) -> dict[str, Any]:
        """An input of images in JSON."""
        return {"name": self.input, "shape": [len(texts)], "datatype": "BYTES", "data": list(texts)}

    def tensor(self, array: Any, **changed: Any) -> dict[str, Any]:
        """An input of numbers in JSON."""
        form = {"name": self.input, "shape": list(array.shape), "datatype": self.datatype}
        return form | {"data": array.reshape(-1).tolist()} | changed

    def json(self, *inputs: dict[str, Any], **rest: Any) -> Any:
        """Ask in JSON."""
        return self.client.post(f"{MODEL}/infer", data=json.dumps({"inputs": inputs, **rest}))

    def binary(self, body: dict[str, Any], tail: bytes, **headers: str) -> Any:
        """Ask with bytes behind the JSON."""
        text = json.dumps(body).encode()
        return self.client.post(
            f"{MODEL}/infer", data=text + tail, headers={LENGTH: str(len(text)), **headers}
        )

    def noise(self, count: int = 1) -> Any:
        """Tensors of the model's own input."""
        random = np.random.default_rng(count)
        return random.integers(0, 200, [count, *self.shape[1:]]).astype(self.dtype)


@pytest.fixture
def ask(client: FlaskClient, metadata: dict[str, Any]) -> Asking:
    """Asks the bundled model."""
    return Asking(client, metadata)


def scores(answer: Any) -> Any:
    """The only output of an answer, as an array of FP32."""
    assert answer.status_code == 200, answer.get_data()
    if LENGTH not in answer.headers:
        (output,) = answer.get_json()["outputs"]
        return np.array(output["data"], np.float32).reshape(output["shape"])
    length = int(answer.headers[LENGTH])
    (output,) = json.loads(answer.data[:length])["outputs"]
    tail = answer.data[length:]
    assert output["parameters"]["binary_data_size"] == len(tail)
    assert "data" not in output
    return np.frombuffer(tail, np.float32).reshape(output["shape"])


def classes(answer: Any) -> list[str]:
    """The indices of an answer's classes."""
    (output,) = answer.get_json()["outputs"]
    assert output["datatype"] == "BYTES"
    return [text.split(":")[1] for text in output["data"]]


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_server(client: FlaskClient, path: str) -> None:
    """The server says its name, its version and what it can."""
    answer = client.get(path).get_json()

    assert answer.keys() == {"name", "version", "extensions"}
    assert {"binary_tensor_data", "classification", "statistics", "model_repository"} <= set(
        answer["extensions"]
    )


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/1"])
def test_model(client: FlaskClient, path: str) -> None:
    """A model's metadata has all that strict clients ask for; the variable axis is -1."""
    answer = client.get(path).get_json()

    assert (answer["name"], answer["platform"], answer["versions"]) == ("default", "onnx_onnxv1", ["1"])
    assert answer["inputs"] == [{"name": answer["inputs"][0]["name"], "datatype": "BYTES", "shape": [-1]}]
    assert (answer["outputs"][0]["datatype"], answer["outputs"][0]["shape"]) == ("FP32", [-1, 1000])
    assert all(isinstance(value, str) for value in answer["properties"].values())


def test_health(client: FlaskClient) -> None:
    """The bodies are those that KServe's client reads."""
    assert client.get("/v2/health/live").get_json() == {"live": True}
    assert client.get("/v2/health/ready").get_json() == {"live": True, "ready": True}
    for path in (MODEL, f"{MODEL}/versions/1"):
        assert client.get(f"{path}/ready").get_json() == {"name": "default", "ready": True}
    assert client.get("/v2/models").get_json() == {"models": ["default"]}


def test_not_ready(make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a model, live stays 200 and everything else is 503 with the protocol's error."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    client = make_app(device="cuda").test_client()

    assert client.get("/v2/health/live").status_code == 200
    for answer in (
        client.get("/v2/health/ready"),
        client.get(f"{MODEL}/ready"),
        client.post(f"{MODEL}/infer", data="{}"),
    ):
        assert (answer.status_code, answer.get_json().keys()) == (503, {"error"})


def test_config(client: FlaskClient, metadata: dict[str, Any]) -> None:
    """The configuration has the fields that perf_analyzer reads, of the types that it wants."""
    for path in (f"{MODEL}/config", f"{MODEL}/versions/1/config"):
        config = client.get(path).get_json()
        (image,), (scores,) = config["input"], config["output"]

        assert (config["name"], config["platform"]) == ("default", "onnx_onnxv1")
        assert (type(config["max_batch_size"]), config["max_batch_size"]) == (int, 32)
        # It is there, so requests are batched; of models with sequences or parts there are none.
        assert config["dynamic_batching"] == {}
        assert not {"sequence_batching", "ensemble_scheduling"} & config.keys()
        assert config["model_transaction_policy"] == {"decoupled": False}
        assert config["response_cache"] == {"enable": True}
        assert image == {
            "name": metadata["inputs"][0]["name"], "data_type": "TYPE_STRING", "dims": [], "optional": False
        }  # fmt: skip
        assert scores == {
            "name": metadata["outputs"][0]["name"], "data_type": "TYPE_FP32", "dims": [1000]
        }  # fmt: skip


def test_config_without_a_cache(make_app: Callable[..., Flask]) -> None:
    """Where the service keeps no answers, the configuration says so."""
    client = make_app(cache="off").test_client()

    assert client.get(f"{MODEL}/config").get_json()["response_cache"] == {"enable": False}


def test_types_of_statistics(make_app: Callable[..., Flask], encoded: str) -> None:
    """Before and after a request, each figure that perf_analyzer reads is an unsigned whole number."""
    client = make_app().test_client()
    metadata = client.get(MODEL).get_json()
    assert {"statistics", "model_configuration"} <= set(client.get("/v2").get_json()["extensions"])

    for _ in range(2):
        for path in (f"{MODEL}/stats", f"{MODEL}/versions/1/stats", "/v2/models/stats"):
            (found,) = client.get(path).get_json()["model_stats"]
            parts = [found["inference_stats"][name] for name in READ]
            numbers = [found["inference_count"], found["execution_count"]]
            numbers += [one[unit] for one in parts for unit in ("count", "ns")]

            assert (found["name"], found["version"]) == ("default", "1")
            assert all(type(number) is int and number >= 0 for number in numbers)
            # It takes one of these counts for all of them.
            assert len({found["inference_stats"][name]["count"] for name in READ if "compute" in name}) == 1
        assert Asking(client, metadata).json(Asking(client, metadata).images(encoded)).status_code == 200


def test_images_in_json(ask: Asking, encoded: str, cat: Path) -> None:
    """Images in base64 and as data: URLs get the scores whose best class is that of `/predict`."""
    answer = ask.json(ask.images(encoded, f"data:image/jpeg;base64,{encoded}"), id="é-1")
    body = answer.get_json()

    found = scores(answer)
    assert (body["id"], body["model_name"], body["model_version"]) == ("é-1", "default", "1")
    assert found.shape == (2, 1000)
    assert found.argmax(1).tolist() == [282, 282]
    assert found[0].tobytes() == found[1].tobytes()


def test_json_and_binary_are_equal(ask: Asking, encoded: str, cat: Path) -> None:
    """An image gives the same bits, whichever way it comes and its scores go."""
    data = cat.read_bytes()
    described = ask.images(encoded)
    del described["data"]
    tail = len(data).to_bytes(4, "little") + data
    sized = described | {"parameters": {"binary_data_size": len(tail)}}
    asked = {"binary_data_output": True}

    answers = [
        ask.json(ask.images(encoded)),
        ask.json(ask.images(encoded), parameters=asked),
        ask.json(ask.images(encoded), outputs=[{"name": ask.output, "parameters": {"binary_data": True}}]),
        ask.binary({"inputs": [sized]}, tail),
        ask.binary({"inputs": [described], "parameters": asked}, tail),
        ask.client.post(f"{MODEL}/infer", data=data, headers={LENGTH: "0"}),
        ask.client.post(f"{MODEL}/versions/1/infer", data=tail, headers={LENGTH: "0"}),
    ]

    assert {scores(answer).tobytes() for answer in answers} == {scores(answers[0]).tobytes()}
    assert [LENGTH in answer.headers for answer in answers] == [False, True, True, False, True, True, True]
    assert {answer.mimetype for answer in answers} == {"application/json", "application/octet-stream"}


def test_override(ask: Asking, encoded: str) -> None:
    """What an output says of itself counts more than what the request says of all."""
    answer = ask.json(
        ask.images(encoded),
        parameters={"binary_data_output": True},
        outputs=[{"name": ask.output, "parameters": {"binary_data": False}}],
    )

    assert LENGTH not in answer.headers
    assert scores(answer).shape == (1, 1000)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_tensors(ask: Asking, count: int) -> None:
    """The model's own tensor gives the bits that ONNX Runtime gives, by JSON, nested JSON and bytes."""
    array = ask.noise(count)
    session = onnxruntime.InferenceSession(str(BUNDLED_MODEL), providers=["CPUExecutionProvider"])
    (expected,) = session.run([ask.output], {ask.input: array})
    described = ask.tensor(array)
    del described["data"]

    answers = [
        ask.json(ask.tensor(array)),
        ask.json(ask.tensor(array, data=array.tolist())),
        ask.binary({"inputs": [described], "parameters": {"binary_data_output": True}}, array.tobytes()),
    ]
    if count == 1:
        answers.append(ask.client.post(f"{MODEL}/infer", data=array.tobytes(), headers={LENGTH: "0"}))

    for answer in answers:
        assert scores(answer).tobytes() == expected.tobytes()


def test_classification(ask: Asking, encoded: str) -> None:
    """Classes come as `score:index:label`, the best first, and never more than there are."""
    raw = scores(ask.json(ask.images(encoded)))[0]
    wanted = [{"name": ask.output, "parameters": {"classification": 3}}]
    (output,) = ask.json(ask.images(encoded, encoded), outputs=wanted).get_json()["outputs"]
    order = np.argsort(-raw, kind="stable")[:3]

    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 3])
    assert output["data"][0] == f"{raw[282]:f}:282:tiger cat"
    assert [int(text.split(":")[1]) for text in output["data"]] == [*order, *order]

    wanted[0]["parameters"] = {"classification": 5_000}
    assert len(classes(ask.json(ask.images(encoded), outputs=wanted))) == 1000


def test_top_k(ask: Asking, encoded: str) -> None:
    """`top_k` is the classification of outputs that name none."""
    found = ask.json(ask.images(encoded), parameters={"top_k": 2})
    assert len(classes(found)) == 2

    wanted = [{"name": ask.output, "parameters": {"classification": 4}}]
    assert len(classes(ask.json(ask.images(encoded), parameters={"top_k": 2}, outputs=wanted))) == 4


def test_classes_in_binary(ask: Asking, encoded: str) -> None:
    """Texts in binary have their lengths before them."""
    answer = ask.json(ask.images(encoded), parameters={"top_k": 2, "binary_data_output": True})
    tail = answer.data[int(answer.headers[LENGTH]) :]

    length = int.from_bytes(tail[:4], "little")
    assert tail[4 : 4 + length].endswith(b":282:tiger cat")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compression(ask: Asking, encoded: str, coding: str) -> None:
    """Both ways; the header counts the JSON as it is when nothing is compressed."""
    compress = gzip.compress if coding == "gzip" else zlib.compress
    unpack = gzip.decompress if coding == "gzip" else zlib.decompress
    plain = ask.json(ask.images(encoded), parameters={"binary_data_output": True})
    text = json.dumps({"inputs": [ask.images(encoded)], "parameters": {"binary_data_output": True}}).encode()

    answer = ask.client.post(
        f"{MODEL}/infer",
        data=compress(text),
        headers={LENGTH: str(len(text)), "Content-Encoding": coding, "Accept-Encoding": coding},
    )

    assert answer.status_code == 200
    assert answer.headers["Content-Encoding"] == coding
    assert unpack(answer.data) == plain.data
    assert answer.headers[LENGTH] == plain.headers[LENGTH]


LARGE = b"x" * 101_000_000
"""More than a body may have."""


@pytest.mark.parametrize(
    ("data", "coding", "status"),
    [
        (lambda: gzip.compress(LARGE), "gzip", 413),
        (lambda: zlib.compress(LARGE), "deflate", 413),
        (lambda: gzip.compress(b"{}", mtime=0)[:-4], "gzip", 400),
        (lambda: gzip.compress(b"{}", mtime=0) + b"more", "gzip", 400),
        (lambda: b"plain", "gzip", 400),
        (lambda: b"", "deflate", 400),
        (lambda: b"{}", "br", 400),
        (lambda: b"{}", "gzip, gzip", 400),
    ],
)
def test_bad_compression(client: FlaskClient, data: Callable[[], bytes], coding: str, status: int) -> None:
    """What unpacks to more than allowed, is damaged or is packed in another way is refused."""
    answer = client.post(f"{MODEL}/infer", data=data(), headers={"Content-Encoding": coding})

    assert (answer.status_code, answer.get_json().keys()) == (status, {"error"})


def test_deflate_without_header(ask: Asking) -> None:
    """Deflate may come without zlib's header, as .NET's DeflateStream makes it."""
    array = ask.noise()
    text = json.dumps({"inputs": [ask.tensor(array)]}).encode()
    sent = [zlib.compress(text, level, wbits=-15) for level in (0, 1, 9)]
    answers = [
        ask.client.post(f"{MODEL}/infer", data=data, headers={"Content-Encoding": "deflate"}) for data in sent
    ]

    assert len({scores(answer).tobytes() for answer in answers}) == 1


@pytest.mark.parametrize("coding", ["identity", "", "utf-8", "aws-chunked", "none", "aws-chunked, gzip"])
def test_no_compression(ask: Asking, encoded: str, coding: str) -> None:
    """A name that stands for no compression changes nothing, as for `/predict`."""
    text = json.dumps({"inputs": [ask.images(encoded)]}).encode()
    data = gzip.compress(text) if "gzip" in coding else text
    answer = ask.client.post(f"{MODEL}/infer", data=data, headers={"Content-Encoding": coding})

    assert scores(answer).shape == (1, 1000)


INPUT: dict[str, Any] = {"shape": [1], "datatype": "BYTES", "data": ["aGk="]}


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"shape": [2]},
        {"shape": []},
        {"shape": [0]},
        {"shape": [-1]},
        {"shape": [1, 2]},
        {"shape": [2**64, 2**64]},
        {"shape": [True]},
        {"shape": ["1"]},
        {"shape": [33], "data": ["aGk="] * 33},
        {"datatype": "FP64"},
        {"datatype": "FP32"},
        {"datatype": "FP32", "shape": [1, 2**40, 2**40, 2**40]},
        {"datatype": 7},
        {"data": None},
        {"data": [1]},
        {"data": ["no base64!"]},
        {"data": ["aGk="]},
        {"data": [["aGk="], ["aGk="]]},
        {"data": "aGk="},
        {"parameters": {"binary_data_size": 4}},
        {"parameters": {"binary_data_size": -1}, "data": None},
        {"parameters": {"binary_data_size": 2**70}, "data": None},
        {"parameters": {"binary_data_size": True}, "data": None},
        {"parameters": {"nested": {}}},
        {"parameters": {"shared_memory_region": "mine"}, "data": None},
    ],
)
def test_bad_input(ask: Asking, changed: dict[str, Any]) -> None:
    """An input that is wrong in any way is 400 with the protocol's error."""
    answer = ask.json({"name": ask.input, **INPUT, **changed})

    assert (answer.status_code, answer.get_json().keys()) == (400, {"error"})
    assert answer.mimetype == "application/json"


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        (
            {"datatype": "FP64", "shape": [1, 2]},
            "has the datatype FP64 and the shape [1,2]; it must be BYTES",
        ),
        ({"datatype": "<b>"}, "datatype one whose name cannot be shown and the shape [1]"),
        ({"datatype": "FP64", "shape": [1] * 99}, "has the datatype FP64 and the shape of 99 axes;"),
        ({"name": "other"}, "The name of the input is other; it must be "),
    ],
)
def test_what_is_wrong(ask: Asking, changed: dict[str, Any], wrong: str) -> None:
    """The error names the part of the input that is wrong, and what was sent."""
    answer = ask.json({"name": ask.input, **INPUT, **changed})

    assert wrong in answer.get_json()["error"]


@pytest.mark.parametrize("text", ["https://a/b.jpg", "cat.jpg", "data:image/png,a", "no base64!"])
def test_no_base64(ask: Asking, text: str) -> None:
    """What is no image in JSON is told what the protocol's field must hold."""
    answer = ask.json(ask.images(text))

    assert answer.status_code == 400
    assert answer.get_json()["error"] == (
        "data must hold each image in base64, or as a data: URL in base64; URLs are not downloaded, and "
        "names of files are not read."
    )


@pytest.mark.parametrize("field", ["inputs", "outputs", "shape"])
def test_too_many(ask: Asking, encoded: str, field: str) -> None:
    """More entries than anybody needs are refused before each is looked at."""
    image = ask.images(encoded)
    changed = {
        "inputs": {"inputs": [image] * 101},
        "outputs": {"inputs": [image], "outputs": [{"name": ask.output}] * 101},
        "shape": {"inputs": [image | {"shape": [1] * 101}]},
    }
    answer = ask.client.post(f"{MODEL}/infer", json=changed[field])

    assert answer.status_code == 400
    assert answer.get_json()["error"].endswith(f"{field} must have at most 100 entries.")


@pytest.mark.parametrize("top_k", [-1, 0])
def test_least_top_k(ask: Asking, encoded: str, top_k: int) -> None:
    """Each number that is too small is told the same bounds."""
    answer = ask.json(ask.images(encoded), parameters={"top_k": top_k})

    assert answer.get_json()["error"] == "top_k must be a whole number from 1 to 1000000."


@pytest.mark.parametrize("value", [[], {}, [1], {"a": 1}])
def test_nested_parameters(ask: Asking, encoded: str, value: Any) -> None:
    """A parameter that is no single value is named."""
    image = ask.images(encoded)
    answers = [
        ask.json(image, parameters={"priority": 1, "timeout": value}),
        ask.json(image | {"parameters": {"timeout": value}}),
        ask.json(image, outputs=[{"name": ask.output, "parameters": {"timeout": value}}]),
    ]

    assert [(answer.status_code, answer.get_json()["error"]) for answer in answers] == [
        (400, f"{path}parameters.timeout must be a string, number or boolean.")
        for path in ("", "inputs.0.", "outputs.0.")
    ]


@pytest.mark.parametrize(
    "nothing", [None, dict.fromkeys(["top_k", "timeout", "binary_data_output", "other"])]
)
def test_null_parameters(ask: Asking, encoded: str, nothing: Any) -> None:
    """Null means that a parameter is not given, or that none is."""
    output = {"name": ask.output, "parameters": nothing and {"classification": None, "binary_data": None}}
    image = ask.images(encoded) | {"parameters": nothing and {"binary_data_size": None}}
    answer = ask.json(image, parameters=nothing, outputs=[output])

    assert scores(answer).shape == (1, 1000)


def test_most_numbers_of_json(ask: Asking) -> None:
    """As many images as a request may hold fit into its JSON as well, each number in a list of its own."""
    shape = [32, *ask.shape[1:]]
    data = np.full((*shape, 1), 7).tolist()
    answer = ask.json({"name": ask.input, "shape": shape, "datatype": ask.datatype, "data": data})

    assert scores(answer).shape == (32, 1000)


@pytest.mark.parametrize("part", ["datatype", "shape"])
def test_only_what_is_wrong(ask: Asking, part: str) -> None:
    """A tensor of the right datatype is blamed for its shape alone, and the reverse."""
    right = {"name": ask.input, "shape": ask.shape, "datatype": ask.datatype, "data": []}
    answer = ask.json(right | {part: "FP64" if part == "datatype" else [1, 5, 5, 3]})

    said = answer.get_json()["error"].partition(";")[0]
    assert {one for one in ("datatype", "shape") if one in said} == {part}


@pytest.mark.parametrize(
    "changed",
    [
        {"id": 7},
        {"id": "\ud800"},
        {"inputs": []},
        {"inputs": {}},
        {"inputs": None},
        {"parameters": []},
        {"parameters": {"top_k": 0}},
        {"parameters": {"top_k": "3"}},
        {"parameters": {"top_k": True}},
        {"parameters": {"timeout": -1}},
        {"parameters": {"timeout": 1.5}},
        {"parameters": {"binary_data_output": 1}},
        {"outputs": [{"name": "other"}]},
        {"outputs": {}},
        {"outputs": [{"name": "", "parameters": {"classification": 1}}]},
    ],
)
def test_bad_request(ask: Asking, encoded: str, changed: dict[str, Any]) -> None:
    """So is a request whose other fields are."""
    body = {"inputs": [ask.images(encoded)]} | changed
    answer = ask.client.post(f"{MODEL}/infer", data=json.dumps(body))

    assert (answer.status_code, answer.get_json().keys()) == (400, {"error"})


@pytest.mark.parametrize(
    "parameters",
    [
        {"classification": -1},
        {"classification": 1.5},
        {"classification": 1_000_001},
        {"binary_data": "1"},
        {"shared_memory_region": "mine", "shared_memory_byte_size": 4},
    ],
)
def test_bad_output(ask: Asking, encoded: str, parameters: dict[str, Any]) -> None:
    """And one whose output is wanted in a form that there is not, or twice."""
    output = {"name": ask.output, "parameters": parameters}

    assert ask.json(ask.images(encoded), outputs=[output]).status_code == 400
    assert ask.json(ask.images(encoded), outputs=[{"name": ask.output}] * 2).status_code == 400
    assert ask.json(ask.images(encoded), ask.images(encoded)).status_code == 400


@pytest.mark.parametrize("length", ["-1", "x", "", "1e3", "99", str(2**31), str(2**64), "9" * 400, "²"])
def test_bad_length(client: FlaskClient, length: str) -> None:
    """The header says a number of bytes that are there."""
    answer = client.post(f"{MODEL}/infer", data=b'{"inputs": []}', headers={LENGTH: length})

    assert (answer.status_code, answer.get_json().keys()) == (400, {"error"})


@pytest.mark.parametrize("change", [1, -1, -4, 4])
def test_last_byte(ask: Asking, change: int) -> None:
    """A byte too many or too few behind the JSON is refused."""
    array = ask.noise()
    described = ask.tensor(array)
    del described["data"]
    tail = array.tobytes() + b"\0\0\0\0"
    tail = tail[: len(tail) - 4 + change]

    assert ask.binary({"inputs": [described]}, tail).status_code == 400
    sized = described | {"parameters": {"binary_data_size": array.nbytes}}
    assert ask.binary({"inputs": [sized]}, tail).status_code == 400


@pytest.mark.parametrize("depth", [90, 150, 5_000, 200_000])
@pytest.mark.parametrize("path", [f"{MODEL}/infer", "/v2/repository/index"])
def test_nesting(client: FlaskClient, path: str, depth: int) -> None:
    """JSON as deep as anybody likes is refused."""
    nested = "[" * depth + "]" * depth
    for body in (nested, f'{{"inputs": {nested}}}', f'{{"ready": {nested}}}', f'{{"parameters": {nested}}}'):
        answer = client.post(path, data=body)
        if path.endswith("infer") or "ready" in body or body == nested:
            assert answer.status_code == 400


def test_one_bad_image(ask: Asking, encoded: str) -> None:
    """A bad image fails its request, and the error says which it was."""
    answer = ask.json(ask.images(encoded, base64.b64encode(b"GIF89a").decode()))

    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith("Image 2 of 2: ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/v2/models/cats", 404),
        ("get", "/v2/models/my%20model/ready", 404),
        ("get", f"{MODEL}/versions/2", 404),
        ("get", f"{MODEL}/versions/x/ready", 404),
        ("get", f"{MODEL}/versions/-1/config", 404),
        ("get", f"{MODEL}/versions/99999999999999999999/stats", 404),
        ("post", "/v2/models/cats/infer", 404),
        ("post", f"{MODEL}/versions/7/infer", 404),
        ("post", f"{MODEL}/versions/1x/infer", 404),
        ("get", f"{MODEL}/infer", 405),
        ("post", f"{MODEL}/ready", 405),
        ("post", "/v2/health/live", 405),
        ("get", "/v2/trace/setting", 404),
        ("get", f"{MODEL}/trace/setting", 404),
        ("post", "/v2/logging", 404),
        ("get", "/v2/systemsharedmemory/status", 404),
        ("post", "/v2/systemsharedmemory/region/mine/register", 404),
        ("post", "/v2/cudasharedmemory/unregister", 404),
        ("post", f"{MODEL}/generate", 404),
        ("post", f"{MODEL}/generate_stream", 404),
        ("post", f"{MODEL}/infer_stream", 404),
        ("get", "/v2/docs", 404),
    ],
)
def test_not_served(client: FlaskClient, method: str, path: str, status: int) -> None:
    """What is not there is an error of the protocol, never a page or a problem document."""
    for accept in ("*/*", "text/html"):
        answer = client.open(path, method=method, headers={"Accept": accept})

        assert (answer.status_code, answer.get_json().keys()) == (status, {"error"})
        assert answer.mimetype == "application/json"


def test_deadline(ask: Asking, encoded: str) -> None:
    """A deadline in microseconds that cannot be held is 503 with Retry-After; 0 is none."""
    hurried = ask.json(ask.images(encoded), parameters={"timeout": 1, "priority": 3, "sequence_id": "a"})

    assert (hurried.status_code, hurried.get_json().keys()) == (503, {"error"})
    assert int(hurried.headers["Retry-After"]) >= 1
    assert ask.json(ask.images(encoded), parameters={"timeout": 0}).status_code == 200


def test_too_large(make_app: Callable[..., Flask], cat: Path) -> None:
    """A body over the limit is 413, and so is an image."""
    client = make_app(max_image_mb=0.01).test_client()

    for data in (cat.read_bytes(), bytes(60_000)):
        answer = client.post(f"{MODEL}/infer", data=data, headers={LENGTH: "0"})
        assert (answer.status_code, answer.get_json().keys()) == (413, {"error"})


def stats(client: FlaskClient, path: str = f"{MODEL}/stats") -> dict[str, Any]:
    """The statistics of the bundled model."""
    (found,) = client.get(path).get_json()["model_stats"]
    return dict(found)


def test_statistics(make_app: Callable[..., Flask], cat: Path, encoded: str) -> None:
    """Requests, images and runs add up, over every way in."""
    client = make_app().test_client()
    assert stats(client)["inference_stats"]["success"] == {"count": 0, "ns": 0}
    ask = Asking(client, client.get(MODEL).get_json())

    ask.json(ask.images(encoded))
    ask.json(ask.images(encoded))
    ask.json(ask.tensor(ask.noise(3)))
    client.post("/predict", data=cat.read_bytes())
    ask.json(ask.images("aGk="))
    found = stats(client)
    counts = {name: one["count"] for name, one in found["inference_stats"].items()}

    assert (found["name"], found["version"]) == ("default", "1")
    assert found["inference_count"] == 5
    assert 3 <= found["execution_count"] <= 5
    assert counts == {
        "success": 4, "fail": 1, "queue": 3, "compute_input": 3, "compute_infer": 3, "compute_output": 3,
        "cache_hit": 1, "cache_miss": 3,
    }  # fmt: skip
    assert sum(one["batch_size"] * one["compute_infer"]["count"] for one in found["batch_stats"]) == 5
    assert all(one["ns"] > 0 for one in found["inference_stats"].values())
    assert stats(client, "/v2/models/stats") == stats(client, f"{MODEL}/versions/1/stats") == found


def test_cache(make_app: Callable[..., Flask], encoded: str) -> None:
    """Scores come from the cache as they came from the model, and never mix with other answers."""
    client = make_app().test_client()
    ask = Asking(client, client.get(MODEL).get_json())

    first, again = ask.json(ask.images(encoded)), ask.json(ask.images(encoded))
    other = client.post("/predict?top_k=1", data=base64.b64decode(encoded)).get_json()

    assert first.data == again.data
    assert other["cached"] is False
    assert "infer" in first.headers["Server-Timing"]
    assert "Server-Timing" not in again.headers


def repository(client: FlaskClient, action: str, **sent: Any) -> Any:
    """Load or unload the bundled model."""
    return client.post(f"/v2/repository/models/default/{action}", **sent)


def test_repository(make_app: Callable[..., Flask], cat: Path, encoded: str) -> None:
    """An unloaded model answers nothing until it is loaded again; the process stays alive."""
    client = make_app(workers=1).test_client()
    ask = Asking(client, client.get(MODEL).get_json())
    assert client.post("/v2/repository/index").get_json() == [
        {"name": "default", "version": "1", "state": "READY", "reason": ""}
    ]

    gone = repository(client, "unload", json={"parameters": {"unload_dependents": False}})
    assert (gone.status_code, gone.data) == (200, b"")
    (entry,) = client.post("/v2/repository/index", json={"ready": False}).get_json()
    assert (entry["version"], entry["state"], entry["reason"]) == ("1", "UNAVAILABLE", "unloaded")
    assert client.post("/v2/repository/index", json={"ready": True}).get_json() == []
    assert client.get(f"{MODEL}/ready").status_code == 503
    assert client.get("/readyz").get_json()["code"] == "not_ready"
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/models").get_json()["models"][0]["live"] is None
    for path in (
        "/predict",
        "/predict?version=1",
        f"{MODEL}/infer",
        f"{MODEL}/versions/1/infer",
        "/hf/default",
    ):
        assert client.post(path, data=cat.read_bytes(), headers={LENGTH: "0"}).status_code == 404, path
    assert client.get(MODEL).status_code == 404
    assert client.get("/").status_code == client.get("/upload").status_code == 200

    assert repository(client, "load", data=b"{}").status_code == 200
    assert ask.json(ask.images(encoded)).status_code == 200
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("index", b'{"ready": "yes"}', 400),
        ("index", b"[]", 400),
        ("index", b"{", 400),
        ("index", b" " * 2_000_000, 413),
        ("models/cats/load", b"", 404),
        ("models/cats/unload", b"", 404),
        ("models/default/load", b'{"parameters": {"file:1/model.onnx": "aGk="}}', 400),
        ("models/default/load", b'{"parameters": {"config": "{}"}}', 400),
        ("models/default/load", b'{"parameters": {"file:%s": "", "config": ""}}' % (b"x" * 5_000), 400),
        ("models/default/load", b'{"parameters": []}', 400),
        ("mine/index", b"{}", 404),
    ],
)
def test_bad_change(client: FlaskClient, path: str, body: bytes, status: int) -> None:
    """A change or question of another form changes nothing."""
    answer = client.post(f"/v2/repository/{path}", data=body)

    assert (answer.status_code, answer.get_json().keys()) == (status, {"error"})
    assert client.get(f"{MODEL}/ready").status_code == 200


def test_guarded(make_app: Callable[..., Flask], encoded: str) -> None:
    """Inference needs a token, load and unload that for changes; looking needs none."""
    predict, admin = "a-token-for-predictions", "a-token-for-changes-of-models"
    client = make_app(predict_token=predict, admin_token=admin, workers=1).test_client()

    def status(path: str, token: str | None) -> int:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return client.post(path, data=b"{}", headers=headers).status_code

    for path, right in (
        (f"{MODEL}/infer", {predict, admin}),
        ("/v2/repository/models/default/load", {admin}),
    ):
        wrong = {predict, admin, None} - right
        assert {status(path, one) for one in wrong} == {401}
        assert {status(path, one) for one in right} <= {200, 400}
    assert status("/v2/repository/index", None) == 200
    assert client.get(f"{MODEL}/ready").status_code == 200


def test_model_named_stats(make_app: Callable[..., Flask]) -> None:
    """A model of that name has its metadata, and the statistics of all models stay where they are."""
    app = make_app(workers=1)
    worker: Worker = app.extensions["predictor"]
    client = app.test_client()
    uploaded = client.post("/upload", data={"model": BUNDLED_MODEL.open("rb"), "name": "stats"})
    assert uploaded.status_code == 200
    assert "stats" in worker.registry.read().live()

    both = client.get("/v2/models/stats").get_json()

    assert (both["name"], both["platform"]) == ("stats", "onnx_onnxv1")
    assert [one["name"] for one in both["model_stats"]] == ["default", "stats"]
    assert client.get("/v2/models/stats/versions/1").get_json()["name"] == "stats"
    assert client.get("/v2/models/stats/stats").get_json()["model_stats"][0]["name"] == "stats"
