"""A model is loaded with its features when they are needed, and dropped when they are not any more."""

import gc
import io
import json
import sys
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from predictor.explaining.feature_maps import FeatureMaps
from predictor.inference.loader import LoadedModel
from tests.explaining.networks import network
from tests.live.models import eventually

Make = Callable[..., FeatureMaps]


@pytest.fixture(scope="module")
def small(app: Flask) -> LoadedModel:
    """A small network of the default application."""
    upload(app.test_client(), "small", network())
    model: LoadedModel = app.extensions["predictor"].engine.model("small")
    return model


def upload(client: FlaskClient, name: str, model: bytes) -> None:
    """Have a service serve a model."""
    files = {"model": (io.BytesIO(model), "m.onnx"), "name": name}
    answer = client.post("/upload", data=files)
    assert answer.status_code == 200, answer.get_json()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Build what loads models, with a folder of its own."""

    def made(**options: object) -> FeatureMaps:
        return FeatureMaps(lambda _: tmp_path, lambda *_: nullcontext(), **options)  # type: ignore[arg-type]

    return made


def test_kept(small: LoadedModel, make: Make) -> None:
    """What is loaded is used again."""
    maps = make()

    assert maps.of(small) is maps.of(small) is not None


def test_dropped(small: LoadedModel, make: Make) -> None:
    """What is not used any more does not stay in memory, and can be loaded again."""
    maps = make(kept=0.05)
    features = weakref.ref(maps.of(small))
    eventually(lambda: gc.collect() >= 0 and features() is None)

    assert maps.of(small) is not None


def test_one_at_a_time(app: Flask, small: LoadedModel, make: Make) -> None:
    """Another model takes the place of the one before."""
    maps = make()
    features = weakref.ref(maps.of(small))
    upload(app.test_client(), "other", network(seed=1))

    assert maps.of(app.extensions["predictor"].engine.model("other")) is not None
    gc.collect()
    assert features() is None


def test_file(small: LoadedModel, make: Make, tmp_path: Path) -> None:
    """How the network ends is found once for all workers, and again where the file is damaged."""
    assert make().of(small) is not None
    found = tmp_path / "final-layers.json"
    assert json.loads(found.read_text())["features"] == "features"
    no_process = [sys.executable, "-c", "raise SystemExit(1)"]

    assert make(command=no_process).of(small) is not None
    found.write_text("{}")
    assert make().of(small) is not None


@pytest.mark.parametrize("end", ["raise SystemExit(1)", "print('nothing')", "print('{}')", "print('null')"])
def test_failed_process(small: LoadedModel, make: Make, end: str) -> None:
    """A process that fails costs the map, and nothing else."""
    assert make(command=[sys.executable, "-c", end]).of(small) is None


def test_numbers_decide(small: LoadedModel, make: Make, tmp_path: Path) -> None:
    """What the graph seems to be is not believed if the numbers contradict it."""
    wrong = {
        "features": "features",
        "last": False,
        "logits": "logits",
        "weights": "weight",
        "by_channel": True,
    }
    (tmp_path / "final-layers.json").write_text(
        json.dumps(wrong | {"missing": ["features", "logits", "weight"]})
    )
    assert make().of(small) is None

    (tmp_path / "final-layers.json").write_text(json.dumps(wrong | {"missing": ["nowhere"]}))
    assert make().of(small) is None
