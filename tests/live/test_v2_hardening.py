"""Whatever is sent to `/v2`, the answer is 400 or 413 in the protocol's form, and the service lives on."""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.live.raw import exchange
from tests.live.service import Service

pytestmark = pytest.mark.live
INFER = "/v2/models/default/infer"
LENGTH = "Inference-Header-Content-Length"
MEGA = 1_000_000
TENSOR = [1, 224, 224, 3]
DEEP = "[" * 100_000 + "]" * 100_000


class Model(NamedTuple):
    """The names of the bundled model's input and output."""

    input: str
    output: str


@pytest.fixture(scope="module")
def model(service: Service) -> Model:
    """The bundled model."""
    found = service.get("/v2/models/default").json()
    assert found["properties"]["tensor_datatype"] == "UINT8"
    assert json.loads(found["properties"]["tensor_shape"])[1:] == TENSOR[1:]
    return Model(found["inputs"][0]["name"], found["outputs"][0]["name"])


def one(model: Model, **changed: Any) -> bytes:
    """A request whose only input is wrong."""
    tensor = {"name": model.input, "shape": [1], "datatype": "BYTES", "data": ["aGk="]} | changed
    return json.dumps({"inputs": [tensor]}).encode()


def twice(model: Model) -> bytes:
    """A request that names the output twice."""
    wanted = json.dumps([{"name": model.output}] * 2).encode()
    return one(model)[:-1] + b', "outputs": ' + wanted + b"}"


Body = bytes | Callable[[Model], bytes]
GZIP, DEFLATE = {"Content-Encoding": "gzip"}, {"Content-Encoding": "deflate"}
NO_LENGTH = "must be a whole number, at most the length of the body"
OWN = "or UINT8 of shape [N,224,224,3]"
CASES: dict[str, tuple[Body, dict[str, str], int, str]] = {
    "shape product over 2^64": (lambda m: one(m, datatype="UINT8", shape=[1, 2**33, 2**33]), {}, 400, OWN),
    "shape product 0 mod 2^64": (
        lambda m: one(m, datatype="UINT8", shape=[1, 2**32, 2**32], data=[]), {}, 400, OWN
    ),
    # The only axis that may have any length is that of the images, whose number is bounded before anything.
    "byte size over 2^64": (
        lambda m: one(m, datatype="UINT8", shape=[2**62, *TENSOR[1:]]), {}, 400, "must hold 1 to 32 images"
    ),
    "binary size over 2^64": (
        lambda m: one(m, data=None, parameters={"binary_data_size": 2**64 + 4}), {}, 400,
        "binary_data_size must be the number of bytes behind the JSON, 0",
    ),
    "too many images": (lambda m: one(m, shape=[2**32]), {}, 400, "must hold 1 to 32 images"),
    "negative size": (lambda m: one(m, shape=[-1]), {}, 400, "shape.0 must be at least 0"),
    "huge negative size": (lambda m: one(m, shape=[-(2**63)]), {}, 400, "shape.0 must be at least 0"),
    "thousands of axes": (
        lambda m: one(m, shape=[1] * 100_000), {}, 400, "inputs.0.shape must have at most 100 entries"
    ),
    "a size of 5000 digits": (
        b'{"inputs": [{"shape": [' + b"9" * 5_000 + b"]}]}", {}, 400, "a number with too many digits"
    ),
    "no size but a float": (lambda m: one(m, shape=[1.5]), {}, 400, "shape.0 must be a whole number"),
    "deep JSON": (DEEP.encode(), {}, 400, "nested too deeply"),
    "deep data": (f'{{"inputs": [{{"data": {DEEP}}}]}}'.encode(), {}, 400, "nested too deeply"),
    "data of depth 150": (
        lambda m: one(m, data=json.loads("[" * 150 + "]" * 150)), {}, 400, "0 values, but shape wants 1"
    ),
    "wrong number of data": (
        lambda m: one(m, data=["aGk="] * 2), {}, 400, "data has 2 values, but shape wants 1"
    ),
    "wrong number of numbers": (
        lambda m: one(m, datatype="UINT8", shape=TENSOR, data=[1] * 11), {}, 400, "but shape wants 150528"
    ),
    "long strings among numbers": (
        lambda m: one(m, datatype="UINT8", shape=TENSOR, data=["x" * MEGA] + [1] * 150_527), {}, 400,
        "data must hold values of the datatype UINT8",
    ),
    "a number out of range": (
        lambda m: one(m, datatype="UINT8", shape=TENSOR, data=[1] * 150_527 + [2**64]), {}, 400,
        "a value that is out of the range of UINT8",
    ),
    "duplicate outputs": (twice, {}, 400, ", once"),
    "duplicate inputs": (lambda m: one(m)[:-2] + b"," + one(m)[12:], {}, 400, "exactly one input"),
    "no JSON": (b"\xff\xfe\x00", {}, 400, "not valid JSON"),
    "nothing": (b"", {}, 400, "body is empty"),
    "null": (b"null", {}, 400, "must be a JSON object"),
    "length over the body": (b"{}", {LENGTH: "3"}, 400, NO_LENGTH),
    "length over 2^31": (b"{}", {LENGTH: str(2**31)}, 400, NO_LENGTH),
    "length over 2^64": (b"{}", {LENGTH: str(2**64 + 2)}, 400, NO_LENGTH),
    "negative length": (b"{}", {LENGTH: "-2"}, 400, NO_LENGTH),
    "length of letters": (b"{}", {LENGTH: "two"}, 400, NO_LENGTH),
    "empty raw body": (b"", {LENGTH: "0"}, 400, "image"),
    "raw body that is no image": (b"hello", {LENGTH: "0"}, 400, "image"),
    "larger than allowed": (b" " * 101 * MEGA, {}, 413, "larger than allowed"),
    "gzip that grows": (lambda _: gzip.compress(bytes(300 * MEGA)), GZIP, 413, "larger than allowed"),
    "deflate that grows": (lambda _: zlib.compress(bytes(300 * MEGA)), DEFLATE, 413, "larger than allowed"),
    "half a gzip": (gzip.compress(b"{}" * 99)[:20], GZIP, 400, "incomplete, or something follows it"),
    "many gzips": (gzip.compress(b"") * 100_000, GZIP, 400, "incomplete, or something follows it"),
    "unknown coding": (b"{}", {"Content-Encoding": "zstd"}, 400, "must be gzip or deflate"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_infer(service: Service, model: Model, case: str) -> None:
    """A request that is wrong in this way is refused for this reason, and the next one is answered."""
    body, headers, expected, words = CASES[case]
    data = body if isinstance(body, bytes) else body(model)

    refused(service, service.post(INFER, data=data, headers=headers), expected, words)


TAILS = {
    "element longer than the body": (b"\xff\xff\xff\xff" + b"x" * 9, "longer than the bytes that follow"),
    "element of 0 bytes": (bytes(4), "image"),
    "bytes left over": (b"\2\0\0\0hi" + b"more", "exactly 1 elements"),
    "half a length": (b"\2\0", "longer than the bytes that follow"),
    "no image": (b"\2\0\0\0hi", "image"),
}


@pytest.mark.parametrize("case", TAILS)
@pytest.mark.parametrize("data", [None, ["aGk="]])
def test_bytes(service: Service, model: Model, case: str, data: list[str] | None) -> None:
    """So are bytes behind the JSON that are not the elements of the tensor, or are one tensor too many."""
    head, (tail, words) = one(model, data=data), TAILS[case]

    answer = service.post(INFER, data=head + tail, headers={LENGTH: str(len(head))})

    refused(service, answer, 400, words if data is None else "Give either data, or binary_data_size")


def refused(service: Service, answer: Any, expected: int, words: str = "") -> None:
    """Check the form of an error and its reason, and that the service answers."""
    assert (answer.status_code, answer.json().keys()) == (expected, {"error"}), answer.text
    assert words in answer.json()["error"]
    assert not re.search(r"\w/\w|Traceback|numpy|pydantic", answer.json()["error"])
    assert answer.headers["Content-Type"] == "application/json"
    assert service.get("/v2/health/live").json() == {"live": True}


def pieces(data: bytes) -> Iterator[bytes]:
    """A body whose length is not said before."""
    yield data[:1000]
    yield data[1000:]


def test_chunked(service: Service, cat: Path) -> None:
    """A chunked body is read like any other."""
    taken = service.post(INFER, data=pieces(cat.read_bytes()), headers={LENGTH: "0"})

    assert taken.status_code == 200
    assert service.get("/v2/health/live").json() == {"live": True}


@pytest.mark.parametrize(
    ("data", "expected", "words"),
    [(b"{" * 3000, 400, "not valid JSON"), (bytes(101 * MEGA), 413, "larger than allowed")],
    ids=["no JSON", "too long"],
)
def test_bad_chunked(service: Service, data: bytes, expected: int, words: str) -> None:
    """So it is refused like any other."""
    refused(service, service.post(INFER, data=pieces(data)), expected, words)


@pytest.mark.parametrize(
    "chunks", [b"zz\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"2\r\n{}{}\r\n0\r\n\r\n"]
)
def test_broken_chunks(service: Service, chunks: bytes) -> None:
    """Chunks that are none are an error of the protocol, too."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n".encode()

    said, _, body = exchange(service.port, head + chunks).partition(b"\r\n\r\n")

    assert b" 400 " in said.split(b"\r\n")[0]
    assert json.loads(body).keys() == {"error"}
    assert service.get("/v2/health/live").json() == {"live": True}


@pytest.mark.parametrize("path", ["index", "models/default/load"])
@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        f'{{"ready": {DEEP}, "parameters": {DEEP}}}',
        "[]",
        "1",
        '{"ready": 1, "parameters": 1}',
        '{"ready": "true", "parameters": {"file:%s": "aGk="}}' % ("x" * 100_000),
    ],
)
def test_repository(service: Service, path: str, body: str) -> None:
    """So is a request about the repository."""
    refused(service, service.post(f"/v2/repository/{path}", data=body), 400)
