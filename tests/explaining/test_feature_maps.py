"""A model is loaded with its features when they are needed, and dropped when they are not any more."""

import gc
import io
import json
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from predictor.config import Settings
from predictor.errors import NotReady, Overloaded
from predictor.explaining.explainer import Explainer
from predictor.explaining.explanation import Wanted
from predictor.explaining.feature_maps import FeatureMaps
from predictor.inference.admission import Deadline
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import EncodedImage
from tests.explaining.networks import SIDE, network
from tests.live.models import eventually
from tests.patience import PATIENCE

Make = Callable[..., FeatureMaps]
LOOK = "import runpy\nrunpy.run_module('predictor.discovery.pooling', run_name='__main__')"
"""What looks at a graph."""


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


def test_no_thread(small: LoadedModel, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started to look at the graph nobody waits for it, and later it is looked at."""
    maps = make()

    def refused(_: threading.Thread) -> None:
        raise RuntimeError

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", refused)
        with pytest.raises(NotReady):
            maps.of(small)

    assert maps.of(small, Deadline(PATIENCE)) is not None


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


@pytest.mark.parametrize("end", ["exit(1)", "print('nothing')", "print('{}')", "import os; os.abort()"])
def test_failed_process(small: LoadedModel, make: Make, end: str) -> None:
    """A process that fails says nothing of the model; it is not started again for a while."""
    maps = make(command=[sys.executable, "-c", end])

    for _ in range(2):
        with pytest.raises(NotReady, match="Try again"):
            maps.of(small)


def test_no_map(small: LoadedModel, make: Make) -> None:
    """That a network has no map is an answer, and kept."""
    maps = make(command=[sys.executable, "-c", "print('null')"])

    assert maps.of(small) is maps.of(small) is None


def test_passing_failure(small: LoadedModel, make: Make, tmp_path: Path) -> None:
    """What failed is tried again after a while, without a new worker."""
    failed = tmp_path / "failed"
    begin = f"import pathlib\nmark = pathlib.Path({str(failed)!r})\n"
    once = f"{begin}if not mark.exists():\n    mark.touch()\n    exit(1)\n{LOOK}"
    maps = make(command=[sys.executable, "-c", once], pause=0.05)
    with pytest.raises(NotReady):
        maps.of(small)

    def found() -> bool:
        try:
            return maps.of(small) is not None
        except NotReady:
            return False

    eventually(found)
    assert failed.exists()


def test_deadline(small: LoadedModel, make: Make, tmp_path: Path) -> None:
    """Nobody waits for the process longer than the deadline; what it finds is there for who asks later."""
    go_on = tmp_path / "go on"
    slow = (
        "import pathlib, time\n"
        f"for _ in range(3000): pathlib.Path({str(go_on)!r}).exists() or time.sleep(0.02)\n{LOOK}"
    )
    maps = make(command=[sys.executable, "-c", slow])

    with pytest.raises(Overloaded, match="deadline"):
        maps.of(small, Deadline(0.2))

    go_on.touch()
    assert maps.of(small, Deadline(PATIENCE)) is not None


def test_methods(app: Flask, small: LoadedModel, make: Make) -> None:
    """Where a map cannot be had now, masks stand in for it, unless only the map was wanted."""
    maps = make(command=[sys.executable, "-c", "raise SystemExit(1)"])
    explainer = Explainer(Settings(device="cpu"), app.extensions["predictor"].engine, maps)
    image = EncodedImage(noise())

    assert explainer.explain(small, image, Wanted()).method == "masks"
    with pytest.raises(NotReady):
        explainer.explain(small, image, Wanted(method="cam"))


def noise() -> bytes:
    """An image of noise."""
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(out, "PNG")
    return out.getvalue()


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


def test_foreign_file(small: LoadedModel, make: Make, tmp_path: Path) -> None:
    """A file that is not about the graph is made anew."""
    foreign = {"features": "features", "last": False, "logits": "logits", "weights": "weight"}
    (tmp_path / "final-layers.json").write_text(
        json.dumps(foreign | {"by_channel": False, "missing": ["nowhere"]})
    )

    with pytest.raises(NotReady):
        make().of(small)

    assert make().of(small) is not None
