"""Whatever is sent to `/v2`, the answer is 400 or 413 in the protocol's form, and the service lives on."""

import gzip
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.live.raw import exchange
from tests.live.service import Service

pytestmark = pytest.mark.live
INFER = "/v2/models/default/infer"
LENGTH = "Inference-Header-Content-Length"
MEGA = 1_000_000
DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture(scope="module")
def name(service: Service) -> str:
    """The name of the bundled model's input."""
    found: str = service.get("/v2/models/default").json()["inputs"][0]["name"]
    return found


def one(name: str, **changed: Any) -> bytes:
    """A request whose only input is wrong."""
    tensor = {"name": name, "shape": [1], "datatype": "BYTES", "data": ["aGk="]} | changed
    return json.dumps({"inputs": [tensor]}).encode()


Body = bytes | Callable[[str], bytes]
CASES: dict[str, tuple[Body, dict[str, str], set[int]]] = {
    "shape product over 2^64": (lambda name: one(name, datatype="FP32", shape=[2**33, 2**33]), {}, {400}),
    "shape product 0 mod 2^64": (lambda name: one(name, shape=[2**32, 2**32]), {}, {400}),
    "byte size over 2^64": (lambda name: one(name, datatype="FP64", shape=[1, 2**62]), {}, {400}),
    "negative size": (lambda name: one(name, shape=[-1]), {}, {400}),
    "huge negative size": (lambda name: one(name, shape=[-(2**63)]), {}, {400}),
    "thousands of axes": (lambda name: one(name, shape=[1] * 100_000), {}, {400}),
    "a size of 5000 digits": (b'{"inputs": [{"name": "x", "shape": [' + b"9" * 5_000 + b"]}]}", {}, {400}),
    "no size but a float": (lambda name: one(name, shape=[1.5]), {}, {400}),
    "deep JSON": (DEEP.encode(), {}, {400}),
    "deep data": (f'{{"inputs": [{{"data": {DEEP}}}]}}'.encode(), {}, {400}),
    "data of depth 150": (lambda name: one(name, data=json.loads("[" * 150 + "]" * 150)), {}, {400}),
    "wrong number of data": (lambda name: one(name, data=["aGk="] * 2), {}, {400}),
    "long strings among numbers": (
        lambda name: one(name, datatype="FP32", shape=[1, 3, 2, 2], data=["x" * MEGA] + [1] * 11), {}, {400}
    ),
    "duplicate outputs": (
        lambda name: one(name)[:-1] + b', "outputs": [{"name": "a"}, {"name": "a"}]}', {}, {400}
    ),
    "duplicate inputs": (lambda name: one(name)[:-2] + b"," + one(name)[12:], {}, {400}),
    "no JSON": (b"\xff\xfe\x00", {}, {400}),
    "nothing": (b"", {}, {400}),
    "null": (b"null", {}, {400}),
    "length over the body": (b"{}", {LENGTH: "3"}, {400}),
    "length over 2^31": (b"{}", {LENGTH: str(2**31)}, {400}),
    "length over 2^64": (b"{}", {LENGTH: str(2**64 + 2)}, {400}),
    "negative length": (b"{}", {LENGTH: "-2"}, {400}),
    "length of letters": (b"{}", {LENGTH: "two"}, {400}),
    "empty raw body": (b"", {LENGTH: "0"}, {400}),
    "raw body that is no image": (b"hello", {LENGTH: "0"}, {400}),
    "larger than allowed": (b" " * 101 * MEGA, {}, {413}),
    "gzip that grows": (gzip.compress(bytes(300 * MEGA), 9), {"Content-Encoding": "gzip"}, {413}),
    "deflate that grows": (zlib.compress(bytes(300 * MEGA), 9), {"Content-Encoding": "deflate"}, {413}),
    "half a gzip": (gzip.compress(b"{}" * 99)[:20], {"Content-Encoding": "gzip"}, {400}),
    "many gzips": (gzip.compress(b"") * 100_000, {"Content-Encoding": "gzip"}, {400}),
    "unknown coding": (b"{}", {"Content-Encoding": "zstd"}, {400}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_infer(service: Service, name: str, case: str) -> None:
    """A request that is wrong in this way is refused, and the next one is answered."""
    body, headers, expected = CASES[case]
    data = body if isinstance(body, bytes) else body(name)

    refused(service, service.post(INFER, data=data, headers=headers), expected)


TAILS = {
    "element longer than the body": b"\xff\xff\xff\xff" + b"x" * 9,
    "element of 0 bytes": bytes(4),
    "bytes left over": b"\2\0\0\0hi" + b"more",
    "half a length": b"\2\0",
    "no image": b"\2\0\0\0hi",
}


@pytest.mark.parametrize("case", TAILS)
@pytest.mark.parametrize("data", [None, ["aGk="]])
def test_bytes(service: Service, name: str, case: str, data: list[str] | None) -> None:
    """So are bytes behind the JSON that are not the elements of the tensor, or are one tensor too many."""
    head = one(name, data=data)

    answer = service.post(INFER, data=head + TAILS[case], headers={LENGTH: str(len(head))})

    refused(service, answer, {400})


def refused(service: Service, answer: Any, expected: set[int]) -> None:
    """Check the form of an error, and that the service answers."""
    assert (answer.status_code in expected, answer.json().keys()) == (True, {"error"}), answer.text
    assert not re.search(r"\w/\w|Traceback|numpy|pydantic", answer.json()["error"])
    assert answer.headers["Content-Type"] == "application/json"
    assert service.get("/v2/health/live").json() == {"live": True}


def test_chunked(service: Service, cat: Path) -> None:
    """A chunked body is read like any other; one that is damaged or too long is refused."""

    def pieces(data: bytes) -> Any:
        yield data[:1000]
        yield data[1000:]

    taken = service.post(INFER, data=pieces(cat.read_bytes()), headers={LENGTH: "0"})
    assert taken.status_code == 200
    assert service.post(INFER, data=pieces(b"{" * 3000)).status_code == 400
    assert service.post(INFER, data=pieces(bytes(101 * MEGA))).status_code == 413

    head = f"POST {INFER} HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert b" 400 " in exchange(service.port, head + b"zz\r\n{}\r\n0\r\n\r\n").split(b"\r\n")[0]
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
    refused(service, service.post(f"/v2/repository/{path}", data=body), {400})
