"""Models that pass their check and bring workers down later do so twice at most."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import requests
from PIL import Image

from tests.live.models import eventually, label, labels, upload
from tests.live.service import Service
from tools import bad_models

pytestmark = pytest.mark.live
PNG = {"Content-Type": "image/png"}
NORMAL = 200


def hot() -> bytes:
    """An image that sets a time bomb off."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), bad_models.HOT, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def brought_down(service: Service, cat: Path) -> list[str]:
    """Set a time bomb off while two callers ask on; what they got, or the names of what went wrong."""

    def ask(_: int) -> str:
        try:
            return label(service, cat)
        except requests.RequestException:
            return "lost"

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(ask, number) for number in range(NORMAL)]
        with pytest.raises(requests.ConnectionError):
            service.post("/predict", data=hot(), headers=PNG)
        return [answer.result() for answer in answers]


@pytest.mark.promise("M7", "G1")
@pytest.mark.parametrize("trouble", ["crash", "kernel"])
def test_time_bomb(tmp_path: Path, cat: Path, trouble: Literal["crash", "kernel"]) -> None:
    """At the second death the version is quarantined for good, and the one before it serves."""
    with Service(tmp_path / "data", cache="off", run_seconds=1) as running:
        bomb = bad_models.time_bomb(trouble)
        assert upload(running, bomb).status_code == 200
        assert label(running, cat) in bad_models.COLOURS
        master = running.master

        answers = brought_down(running, cat)
        assert set(answers) <= {*bad_models.COLOURS, "lost"}
        assert answers.count("lost") <= len(running.workers())
        eventually(lambda: len(running.workers()) == 2)
        assert running.get("/models/default").json()["live"] == 2
        with pytest.raises(requests.ConnectionError):
            running.post("/predict", data=hot(), headers=PNG)

        eventually(lambda: running.get("/models/default").json()["live"] == 1)
        eventually(lambda: labels(running, cat) == {"tiger cat"})
        shown = running.get("/models/default").json()["versions"][0]
        assert "crashed workers" in shown["quarantined"]
        for again in (
            running.post("/models/default/activate", json={"version": shown["version"]}),
            upload(running, bomb, name="another.onnx"),
        ):
            assert (again.status_code, again.json()["code"]) == (409, "model_conflict")
        assert running.master == master
        assert running.alive


@pytest.mark.promise("M4", "M7", "G1")
def test_endless_loop(tmp_path: Path, cat: Path) -> None:
    """A run that never ends but heeds the request to stop costs its own request, and no worker."""
    with Service(tmp_path / "data", cache="off", run_seconds=1, allow_loops="on") as running:
        assert upload(running, bad_models.time_bomb("loop")).status_code == 200
        workers = running.workers()

        answer = running.post("/predict", data=hot(), headers=PNG)

        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert running.workers() == workers
        assert label(running, cat) in bad_models.COLOURS
