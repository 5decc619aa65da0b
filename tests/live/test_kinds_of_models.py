"""Models of the kinds that people export, uploaded to the real service and asked about a photograph."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.live.models import JPEG
from tests.live.service import Service
from tools import quantised_models
from tools.make_reference import crop_of

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of two workers, to which models are uploaded under other names than the default one's."""
    with Service(tmp_path_factory.mktemp("kinds") / "data", cache="off") as service:
        yield service


def uploaded(service: Service, name: str, **files: Any) -> dict[str, Any]:
    """The report of an upload that serves."""
    answer = service.post(
        "/upload", files={field: (field, content) for field, content in files.items()}, data={"name": name}
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["report"])


def test_quantised(running: Service, quantised: bytes, cat: Path) -> None:
    """A network of integer operators answers as the runtime itself, from whichever worker."""
    session = onnxruntime.InferenceSession(quantised, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"image": quantised_models.values(crop_of(cat))})

    uploaded(
        running, "quantised", model=quantised, preprocessing=json.dumps(quantised_models.preprocessing())
    )
    answers = [
        running.post("/predict?model=quantised", data=cat.read_bytes(), headers=JPEG) for _ in range(8)
    ]

    for answer in answers:
        found = [one["confidence"] for one in answer.json()["predictions"]]
        assert found == pytest.approx(np.sort(expected[0])[:-6:-1], abs=1 / 256)
        assert answer.json()["predictions"][0]["index"] in range(281, 286)
