"""Classifiers as other tools export them answer as those tools do, with no setting but what the tools ship.

`tools/make_exports.py` made the files and the references, which never saw ONNX.
"""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.evaluation.predictors import LocalModel, opened
from predictor.image.decode import decode
from predictor.image.preprocess import to_tensor
from predictor.model.scores import rank
from tools.make_exports import labels, views

DATA = Path(__file__).parents[1] / "data"
MODELS = (DATA.parents[1] / "docs" / "models.md").read_text()
EXPORTS: dict[str, dict[str, Any]] = {
    name: one
    for path in sorted((DATA / "exports").glob("*.json"))
    for name, one in json.loads(path.read_text()).items()
}
TOLERANCE = 1e-3
# torchvision's preset is what is assumed where nothing is said.
CONFIGURED = [
    name
    for name, one in EXPORTS.items()
    if "preprocessing" in one["companions"] and name != "torchvision_preset"
]


def model(name: str, folder: Path) -> LocalModel:
    """The model as an upload of its files would be served."""
    paths: dict[str, Path] = {}
    for kind, text in EXPORTS[name]["companions"].items():
        paths[kind] = folder / kind
        paths[kind].write_text(text)
    return opened(DATA / "exports" / f"{name}.onnx", paths.get("labels"), paths.get("preprocessing"))


def confidences(served: LocalModel, image: Image.Image) -> npt.NDArray[np.float64]:
    """What the model answers to an image's file, by index."""
    out = io.BytesIO()
    image.save(out, "PNG")
    picture = decode(out.getvalue(), served.limits, served.spec.preprocessing.shortest)
    scores = served.run(to_tensor(picture, served.spec.preprocessing))
    ranked = rank(scores, served.spec.activation, len(served.spec.labels))
    return np.array([confidence for _, confidence in sorted(ranked)])


def confidences_of_pixels(served: LocalModel, image: Image.Image) -> npt.NDArray[np.float64]:
    """What the model answers if all of an image is resized and then cut, as the tools do, by index."""
    form = served.spec.preprocessing
    image = image.convert("L") if form.channels == "L" else image
    (width, height), short = image.size, form.resize_to
    size = form.width, form.height
    if form.resize == "crop":
        assert isinstance(short, int)
        size = (short * width // height, short) if width > height else (short, short * height // width)
    whole = image.resize(size, Image.Resampling[form.interpolation.upper()])
    left, top = round((size[0] - form.width) / 2), round((size[1] - form.height) / 2)
    pixels = np.atleast_3d(np.asarray(whole, np.float64)[top : top + form.height, left : left + form.width])
    pixels = pixels[:, :, ::-1] if form.channels == "BGR" else pixels
    values = ((pixels * form.scale - form.mean) / form.std).astype(form.dtype)
    scores = served.run(values.transpose(2, 0, 1) if form.layout == "NCHW" else values)
    ranked = rank(scores, served.spec.activation, len(served.spec.labels))
    return np.array([confidence for _, confidence in sorted(ranked)])


@pytest.mark.parametrize("name", EXPORTS)
def test_reference(name: str, tmp_path: Path, cat: Path) -> None:
    """The five best classes are the tool's own, in its order, and all confidences are within a thousandth."""
    served = model(name, tmp_path)

    assert [label.name for label in served.classes([]).labels] == labels()
    assert served.spec.multi_label == (
        "multi-label" in EXPORTS[name]["form"] or "sigmoid" in EXPORTS[name]["form"]
    )
    for view, image in views(cat).items():
        expected = np.array(EXPORTS[name]["confidences"][view])
        found = confidences(served, image)
        assert np.argsort(-found)[:5].tolist() == np.argsort(-expected)[:5].tolist(), view
        assert np.abs(found - expected).max() < TOLERANCE, view


@pytest.mark.parametrize("name", CONFIGURED)
def test_preprocessing_matters(name: str, tmp_path: Path, cat: Path) -> None:
    """Without what the tool ships the answers differ, so that the references can tell right from wrong."""
    bare = opened(DATA / "exports" / f"{name}.onnx", None, None)

    apart = [
        np.abs(confidences(bare, image) - EXPORTS[name]["confidences"][view]).max()
        for view, image in views(cat).items()
    ]

    assert max(apart) > 5 * TOLERANCE
    assert bare.spec.warnings


@pytest.mark.parametrize("name", EXPORTS)
def test_photograph(name: str, tmp_path: Path, photograph: bytes) -> None:
    """A JPEG of 12 megapixels that is decoded whole is answered within a thousandth as well."""
    served = replace(model(name, tmp_path), exact=True)

    answered = served.predictions(photograph, len(served.spec.labels))

    found = np.array([one["confidence"] for one in sorted(answered, key=lambda one: int(one["index"]))])
    expected = confidences_of_pixels(served, Image.open(io.BytesIO(photograph)))
    assert np.argsort(-found)[:5].tolist() == np.argsort(-expected)[:5].tolist()
    assert np.abs(found - expected).max() < TOLERANCE


def test_every_kind() -> None:
    """The exports have all layouts, types and endings that are told apart, and docs/models.md lists each."""
    forms = " ".join(one["form"] for one in EXPORTS.values())

    assert len(EXPORTS) >= 8
    for word in (
        *("NCHW", "NHWC", "uint8", "grey", "free height", "fixed batch", "logits", "softmax", "sigmoid"),
        *("timm", "preprocessor_config.json", "normalisation in the graph", "multi-label"),
    ):
        assert word in forms
    listed = re.findall(r"^\| (N(?:CHW|HWC), [^|]+) \| ([^|]+) \|", MODELS, re.MULTILINE)
    assert listed == [(one["form"], one["reference"]) for one in EXPORTS.values()]
