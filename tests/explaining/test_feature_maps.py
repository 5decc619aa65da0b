"""A model is loaded with its features when they are needed, and dropped when they are not any more."""

import gc
import io
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

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
def make() -> Make:
    """Build what loads models."""

    def made(**options: object) -> FeatureMaps:
        return FeatureMaps(lambda *_: nullcontext(), **options)  # type: ignore[arg-type]

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


def ending(model: LoadedModel, layers: dict[str, object] | None) -> LoadedModel:
    """The same model with another report on how its network ends."""
    manifest = model.version.manifest
    assert manifest is not None
    report = {**manifest.report, "final_layers": layers}
    return replace(model, version=replace(model.version, manifest=replace(manifest, report=report)))


def layers_of(model: LoadedModel) -> dict[str, object]:
    """How its network ends, as its check found."""
    assert model.version.manifest is not None
    return dict(model.version.manifest.report["final_layers"])


def test_no_map(small: LoadedModel, make: Make) -> None:
    """A network whose check found no such end has no map, nor has one that a check did not look at."""
    assert make().of(ending(small, None)) is None


def test_deadline(small: LoadedModel) -> None:
    """Nobody waits past the deadline for the load of another model."""
    loading, go_on = threading.Event(), threading.Event()

    @contextmanager
    def slow(*_: object) -> Iterator[None]:
        loading.set()
        go_on.wait(PATIENCE)
        yield

    maps = FeatureMaps(slow)
    first = threading.Thread(target=maps.of, args=(small,))
    first.start()
    assert loading.wait(PATIENCE)

    with pytest.raises(Overloaded, match="deadline"):
        maps.of(small, Deadline(0.1))

    go_on.set()
    first.join(PATIENCE)
    assert maps.of(small, Deadline(PATIENCE)) is not None


def test_methods(app: Flask, small: LoadedModel, make: Make) -> None:
    """Where a map cannot be had now, masks stand in for it, unless only the map was wanted."""
    explainer = Explainer(Settings(device="cpu"), app.extensions["predictor"].engine, make())
    image, foreign = EncodedImage(noise()), ending(small, layers_of(small) | {"missing": ["nowhere"]})

    assert explainer.explain(foreign, image, Wanted()).method == "masks"
    with pytest.raises(NotReady):
        explainer.explain(foreign, image, Wanted(method="cam"))


def noise() -> bytes:
    """An image of noise."""
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(out, "PNG")
    return out.getvalue()


def test_numbers_decide(small: LoadedModel, make: Make) -> None:
    """What the graph seems to be is not believed if the numbers contradict it."""
    maps, wrong = make(), ending(small, layers_of(small) | {"by_channel": True})

    assert maps.of(wrong) is maps.of(wrong) is None
