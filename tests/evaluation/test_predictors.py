"""A model from a file is understood as an upload would be, and classifies."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from predictor.config import BUNDLED_MODEL
from predictor.errors import InvalidModel, InvalidRequest
from predictor.evaluation.predictors import opened
from tools.bad_models import TEXT
from tools.sample_models import classifier


def test_bundled(cat: Path) -> None:
    """The bundled model says of the cat what the service says."""
    model = opened(BUNDLED_MODEL, None, None)

    answer = model.classify(cat.read_bytes())

    assert model.classes([]).labels[answer.ranked[0][0]].name == "tiger cat"
    assert len(answer.ranked) == 5
    assert answer.seconds > 0


def test_weights_beside(tmp_path: Path, cat: Path) -> None:
    """The file of a model's weights is found beside it, under the name that exporters give it."""
    whole, path = opened(BUNDLED_MODEL, None, None), tmp_path / "my.onnx"
    made = onnx.load(BUNDLED_MODEL)
    onnx.save(made, path, save_as_external_data=True, location="my.onnx.data", size_threshold=0)

    model = opened(path, None, None)

    assert path.stat().st_size < 1_000_000
    assert model.classify(cat.read_bytes()).ranked == whole.classify(cat.read_bytes()).ranked


def test_companions(tmp_path: Path, cat: Path) -> None:
    """Labels and preprocessing beside the file count, and a fixed batch is filled up."""
    path, labels, form = tmp_path / "m.onnx", tmp_path / "l.txt", tmp_path / "p.json"
    path.write_bytes(classifier(["a", "b"], batch=3, winner=1, metadata=False))
    labels.write_text("one\ntwo\n")
    form.write_text(json.dumps({"scale": 1 / 255}))

    model = opened(path, labels, form)

    assert model.classes([]).labels[model.classify(cat.read_bytes()).ranked[0][0]].name == "two"
    assert model.run(np.zeros(model.spec.preprocessing.shape, np.float32)).shape == (2,)
    assert model.spec.preprocessing.mean == (0, 0, 0)


def test_bad(tmp_path: Path) -> None:
    """What the service would refuse is refused here, and what cannot be read has its sentence."""
    (tmp_path / "bad.onnx").write_bytes(TEXT)

    with pytest.raises(InvalidModel):
        opened(tmp_path / "bad.onnx", None, None)
    with pytest.raises(InvalidRequest):
        opened(tmp_path / "gone.onnx", None, None)


def test_large_jpeg(photograph: bytes) -> None:
    """A large JPEG is judged whole by `classify`, and by `predictions` only if that was chosen."""
    fast, exact = opened(BUNDLED_MODEL, None, None), opened(BUNDLED_MODEL, None, None, exact=True)
    said = fast.classify(photograph).ranked

    listed = [
        [(one["index"], one["confidence"]) for one in model.predictions(photograph, 5)]
        for model in (exact, fast)
    ]

    assert exact.classify(photograph).ranked == said
    assert (listed[0] == said, listed[1] == said) == (True, False)
