"""Models are loaded, unloaded and switched while `/v2` infers with them."""

import base64
import json
from pathlib import Path

import pytest

from tests.live.models import FIRST, SECOND, upload_as
from tests.live.service import Service
from tests.live.steady import steady
from tests.live.triton import Triton

pytestmark = pytest.mark.live
INFER = "/v2/models/dogs/infer"
RATE = 10


@pytest.fixture
def request_file(cat: Path, tmp_path: Path) -> Path:
    """A request for the best class of the cat's image."""
    image = base64.b64encode(cat.read_bytes()).decode()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [image]}
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"inputs": [tensor], "parameters": {"top_k": 1}}))
    return path


def inferred(service: Service, request_file: Path) -> set[str]:
    """The best classes that a caller gets who asks often enough for all workers to answer."""
    answers = [service.post(INFER, data=request_file.read_bytes()).json() for _ in range(8)]
    return {answer["outputs"][0]["data"][0].split(":")[2] for answer in answers}


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_load_and_unload(fresh: Service, request_file: Path, kind: str, cat: Path) -> None:
    """Unloaded, no worker serves a model; loaded, all do; meanwhile other models answer without a fault."""
    triton = Triton(fresh, kind)
    assert upload_as(fresh, FIRST, "dogs").status_code == 200

    def states() -> dict[str, str]:
        return {one["name"]: one["state"] for one in triton.call("get_model_repository_index")}

    with steady(fresh, cat, RATE) as others, steady(fresh, request_file, RATE, INFER) as sent:
        for _ in range(3):
            triton.call("unload_model", "dogs")
            ready = {triton.call("is_model_ready", "dogs") for _ in range(8)}
            assert (states(), ready) == ({"default": "READY", "dogs": "UNAVAILABLE"}, {False})
            for query in ("?model=dogs", "?model=dogs&version=1"):
                assert fresh.post(f"/predict{query}", data=cat.read_bytes()).status_code == 404
            assert fresh.post(INFER, data=request_file.read_bytes()).status_code == 404
            triton.call("load_model", "dogs")
            assert states() == {"default": "READY", "dogs": "READY"}
            assert inferred(fresh, request_file) == {"first"}
    assert {(one.status, one.label) for one in others} == {(200, "tiger cat")}
    assert {one.status for one in sent} <= {200, 404}
    assert {one.label for one in sent if one.status == 200} == {"first"}
    triton.close()


@pytest.mark.promise("M12")
@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_versions(fresh: Service, request_file: Path, kind: str) -> None:
    """No inference fails while versions of its model are uploaded, activated, rolled back and loaded."""
    triton = Triton(fresh, kind)
    assert upload_as(fresh, FIRST, "dogs").status_code == 200

    with steady(fresh, request_file, 2 * RATE, INFER) as sent:
        for model, name in ((SECOND, "second"), (FIRST, "first"), (SECOND, "second")):
            assert upload_as(fresh, model, "dogs").status_code == 200
            assert inferred(fresh, request_file) == {name}
        assert fresh.post("/models/dogs/activate", json={"version": 1}).status_code == 200
        assert inferred(fresh, request_file) == {"first"}
        assert fresh.post("/models/dogs/rollback").status_code == 200
        triton.call("load_model", "dogs")
        assert inferred(fresh, request_file) == {"second"}
    assert {one.status for one in sent} == {200}
    assert {one.label for one in sent} <= {"first", "second"}
    triton.close()


def test_unloaded_after_a_restart(tmp_path: Path, request_file: Path) -> None:
    """A service that starts again does not serve what was unloaded."""
    with Service(tmp_path / "data") as service:
        assert upload_as(service, FIRST, "dogs").ok
        assert service.post("/v2/repository/models/dogs/unload").status_code == 200
    with Service(tmp_path / "data") as service:
        assert service.get("/v2/models").json() == {"models": ["default"]}
        assert service.get("/v2/models/dogs/ready").status_code == 503
        assert service.post("/v2/repository/models/dogs/load").status_code == 200
        assert inferred(service, request_file) == {"first"}
