"""In a container with next to nothing the service does all that it does elsewhere."""

import re
from pathlib import Path

import pytest

from predictor.config import BUNDLED_MODEL
from tests.live.service import Service
from tests.live.surroundings.images import images
from tools.sample_models import classifier

pytestmark = pytest.mark.live


def test_contained(contained: Service, cat: Path, photograph: bytes) -> None:
    """The service starts with one worker, predicts, uploads, evaluates and tunes, and nothing is wrong."""
    ready = contained.get("/readyz").json()
    small = contained.post("/predict", data=cat.read_bytes())
    form = contained.post("/predict", files={"image": photograph})
    uploaded = contained.post(
        "/upload", files={"model": classifier(["a", "b"], winner=1)}, data={"name": "small"}
    )
    large = contained.post("/upload", files={"model": BUNDLED_MODEL.read_bytes()}, data={"name": "large"})
    evaluated = contained.post("/evaluate", files=images(cat))
    tuned = contained.post("/tune", files=images(cat, "a", "b"), data={"model": "small"})
    metrics = contained.get("/metrics").text

    assert len(contained.workers()) == 1
    assert ready["degraded"] == {}
    answers = (small, form, uploaded, large, evaluated, tuned)
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    assert small.json()["predicted_label"] == "tiger cat"
    assert uploaded.json()["report"]["memory_bytes"] > 0
    assert evaluated.json()["pictures"] == 2
    assert (tuned.json()["pictures"], tuned.json()["labelled"]) == (2, True)
    assert [one["current"] for one in tuned.json()["candidates"]].count(True) == 1
    assert contained.get("/readyz").json()["degraded"] == {}
    swaps = re.findall(r'^predictor_model_swaps_total{outcome="(\w+)"} (\S+)', metrics, re.MULTILINE)
    assert {outcome: count for outcome, count in swaps if count != "0.0"} == {"ok": "2.0"}
    assert "Traceback" not in contained.log
    assert "do not share the weights" not in contained.log
