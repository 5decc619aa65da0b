"""Triton's own client, synchronous and asynchronous, finds here what it finds in Triton, and images."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tritonclient.utils import InferenceServerException

from predictor.config import BUNDLED_MODEL
from tests.live.service import Service
from tests.live.triton import Triton

pytestmark = pytest.mark.live
VERSIONS = ["", "1"]


@pytest.fixture(scope="module", params=["sync", "aio"])
def triton(service: Service, request: pytest.FixtureRequest) -> Iterator[Triton]:
    """A client of the running service."""
    client = Triton(service, request.param)
    yield client
    client.close()


@pytest.fixture(scope="module")
def picture() -> bytes:
    """The cat's file."""
    return (Path(__file__).parent.parent / "data" / "cat.jpg").read_bytes()


def test_health(triton: Triton) -> None:
    """Server and model are live and ready; a model that is not there is not."""
    assert triton.call("is_server_live")
    assert triton.call("is_server_ready")
    assert triton.call("is_model_ready", "default")
    assert triton.call("is_model_ready", "default", "1")
    assert not triton.call("is_model_ready", "cats")
    assert not triton.call("is_model_ready", "default", "9")


def test_server_metadata(triton: Triton) -> None:
    """The extensions are those that perf_analyzer looks for."""
    found = triton.call("get_server_metadata")

    assert {"statistics", "binary_tensor_data", "model_configuration"} <= set(found["extensions"])


@pytest.mark.parametrize("version", VERSIONS)
def test_model_metadata(triton: Triton, version: str) -> None:
    """Input and output have names, types and shapes."""
    found = triton.call("get_model_metadata", "default", version)

    assert (found["name"], found["versions"]) == ("default", ["1"])
    assert (found["inputs"][0]["datatype"], found["inputs"][0]["shape"]) == ("BYTES", [-1])
    assert found["outputs"][0]["shape"] == [-1, 1000]


@pytest.mark.parametrize("version", VERSIONS)
def test_config(triton: Triton, version: str) -> None:
    """The configuration names the tensors of the metadata."""
    found = triton.call("get_model_config", "default", version)

    assert found["max_batch_size"] == 32
    assert [one["name"] for one in found["input"]] == [triton.input]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("count", [1, 3])
def test_images(triton: Triton, picture: bytes, version: str, count: int) -> None:
    """Images go as they are, one or many."""
    answer = triton.infer(triton.images(*[picture] * count), model_version=version, request_id="mine")

    assert triton.scores(answer).shape == (count, 1000)
    assert triton.scores(answer).argmax(1).tolist() == [282] * count
    assert answer.get_response()["id"] == "mine"
    assert answer.get_response()["model_version"] == "1"


def test_images_in_json(triton: Triton, picture: bytes) -> None:
    """In JSON an image is base64, and the scores have the same bits."""
    text = base64.b64encode(picture)

    in_json = triton.infer(triton.images(text, binary=False), outputs=triton.wanted(binary_data=False))
    in_binary = triton.infer(triton.images(picture), outputs=triton.wanted(binary_data=True))

    assert triton.scores(in_json).tobytes() == triton.scores(in_binary).tobytes()


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_tensors(triton: Triton, count: int, binary: bool) -> None:
    """The model's own tensor gives the bits that ONNX Runtime gives for it."""
    array = triton.noise(count)
    session = onnxruntime.InferenceSession(str(BUNDLED_MODEL), providers=["CPUExecutionProvider"])
    (expected,) = session.run([triton.output], {triton.input: array})

    answer = triton.infer(triton.tensor(array, binary=binary), outputs=triton.wanted(binary_data=binary))

    assert triton.scores(answer).tobytes() == expected.tobytes()


@pytest.mark.parametrize("classes", [1, 5, 2_000])
def test_classification(triton: Triton, picture: bytes, classes: int) -> None:
    """Classes come as texts, the best first, and never more than there are."""
    answer = triton.infer(triton.images(picture, picture), outputs=triton.wanted(class_count=classes))

    found = triton.scores(answer)
    assert found.shape == (2, min(classes, 1000))
    assert found[0][0].decode().endswith(":282:tiger cat")


def test_parameters(triton: Triton, picture: bytes) -> None:
    """`top_k` chooses how many classes; parameters that mean nothing here do no harm."""
    answer = triton.infer(
        triton.images(picture), parameters={"top_k": 3, "mine": "free"}, priority=1, sequence_id=4
    )

    assert triton.scores(answer).shape == (1, 3)


@pytest.mark.parametrize("request_coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_coding", ["gzip", "deflate"])
def test_compression(
    triton: Triton, picture: bytes, request_coding: str | None, response_coding: str
) -> None:
    """Requests and answers may be compressed, in each way."""
    plain = triton.infer(triton.images(picture))
    packed = triton.infer(
        triton.images(picture),
        request_compression_algorithm=request_coding,
        response_compression_algorithm=response_coding,
    )

    assert triton.scores(packed).tobytes() == triton.scores(plain).tobytes()


def test_timeout(triton: Triton, picture: bytes) -> None:
    """A deadline of a microsecond cannot be held."""
    with pytest.raises(InferenceServerException, match="deadline"):
        triton.infer(triton.images(picture + b"\0"), timeout=1)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("get_trace_settings", ()),
        ("update_trace_settings", ("default", {"trace_level": ["OFF"]})),
        ("get_log_settings", ()),
        ("update_log_settings", ({"log_info": True},)),
        ("get_system_shared_memory_status", ()),
        ("register_system_shared_memory", ("mine", "/mine", 8)),
        ("unregister_system_shared_memory", ()),
        ("get_cuda_shared_memory_status", ()),
        ("get_model_metadata", ("cats",)),
        ("get_model_config", ("default", "9")),
        ("get_inference_statistics", ("cats",)),
        ("load_model", ("cats",)),
        ("unload_model", ("cats",)),
    ],
)
def test_not_there(triton: Triton, call: str, arguments: tuple[Any, ...]) -> None:
    """What is not there is an error that the client can read."""
    with pytest.raises(InferenceServerException, match="404"):
        triton.call(call, *arguments)


def test_errors_are_read(triton: Triton, picture: bytes) -> None:
    """What is wrong with a request or an image comes as a sentence."""
    for given, words in (
        (triton.images(b"no image"), "image"),
        (triton.images(picture, name="other"), triton.input),
        (triton.images(*[picture] * 33), "1 to 32"),
        (triton.tensor(np.zeros([1, 7], np.float32)), "BYTES of shape"),
    ):
        with pytest.raises(InferenceServerException, match=words):
            triton.infer(given)


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_statistics(fresh: Service, picture: bytes, kind: str) -> None:
    """The totals of both workers add up, whichever worker is asked."""
    triton = Triton(fresh, kind)
    for _ in range(12):
        triton.infer(triton.images(picture, picture))
    for query, version in (("default", ""), ("default", "1"), ("", "")):
        (found,) = triton.call("get_inference_statistics", query, version)["model_stats"]
        parts = found["inference_stats"]

        assert (found["name"], found["version"]) == ("default", "1")
        assert (found["inference_count"], parts["success"]["count"], parts["fail"]["count"]) == (24, 12, 0)
        assert 12 <= found["execution_count"] <= 24
        assert {parts[name]["count"] for name in parts if "compute" in name or name == "queue"} == {12}
        assert parts["cache_hit"] == parts["cache_miss"] == {"count": 0, "ns": 0}
        assert parts["success"]["ns"] > parts["compute_output"]["ns"] > 0
        assert abs(time.time() - found["last_inference"] / 1000) < 300
    triton.close()
