"""The shipped model file, against its documented form and against PyTorch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from predictor.config import BUNDLED_MODEL
from tools.make_reference import Pixels, crop_of, digest, synthetic_pictures

DATA = Path(__file__).parents[1] / "data"
CATS = range(281, 286)
TOLERANCE = 2e-3

Probabilities = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def session() -> Any:
    """The shipped file, loaded on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(BUNDLED_MODEL), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def metadata(session: Any) -> dict[str, str]:
    """The properties stored in the file."""
    return dict(session.get_modelmeta().custom_metadata_map)


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    """What PyTorch computed, and from which inputs."""
    return dict(json.loads((DATA / "lite0_reference.json").read_text()))


@pytest.fixture(scope="module", params=["synthetic", "photograph"])
def pictures(request: pytest.FixtureRequest) -> tuple[str, Pixels]:
    """A key of the reference and its input."""
    return request.param, synthetic_pictures() if request.param == "synthetic" else crop_of(DATA / "cat.jpg")


def run(session: Any, pixels: Pixels) -> Probabilities:
    """The probabilities, [batch, 1000]."""
    probabilities: Probabilities = session.run(["probabilities"], {"image": pixels})[0]
    return probabilities


def error(session: Any, pixels: Pixels, expected: list[list[float]]) -> float:
    """The largest difference from the expected probabilities."""
    return float(np.abs(run(session, pixels) - np.array(expected)).max())


def test_input(session: Any) -> None:
    """The input is `image`, pixels as uint8 in NHWC, with a free batch axis."""
    (given,) = session.get_inputs()

    assert (given.name, given.type, given.shape) == ("image", "tensor(uint8)", ["batch", 224, 224, 3])


def test_output(session: Any) -> None:
    """The output is `probabilities`, float32, one for each of 1000 classes."""
    (given,) = session.get_outputs()

    assert (given.name, given.type, given.shape) == ("probabilities", "tensor(float)", ["batch", 1000])


def test_size() -> None:
    """The file stays small enough for a repository: the large weights are stored as float16."""
    assert BUNDLED_MODEL.stat().st_size < 9_500_000


@pytest.mark.parametrize("batch", [1, 3])
def test_batch(session: Any, batch: int) -> None:
    """Any number of images runs together, and each row sums to one."""
    probabilities = run(session, synthetic_pictures()[:batch])

    assert probabilities.shape == (batch, 1000)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_batch_rows(session: Any) -> None:
    """An image's probabilities do not depend on the images beside it."""
    pixels = synthetic_pictures()

    np.testing.assert_allclose(run(session, pixels)[2:3], run(session, pixels[2:3]), atol=1e-5)


def test_probabilities(session: Any, reference: dict[str, Any], pictures: tuple[str, Pixels]) -> None:
    """The probabilities are those of PyTorch, within 2e-3."""
    name, pixels = pictures

    assert error(session, pixels, reference["probabilities"][name]) < TOLERANCE


def test_reference_inputs(reference: dict[str, Any]) -> None:
    """The synthetic images are made again exactly as they were for the reference."""
    assert digest(synthetic_pictures()) == reference["sha256"]["synthetic"]


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(lambda pixels: pixels[..., ::-1], id="blue first"),
        pytest.param(lambda pixels: pixels[:, :, ::-1], id="mirrored"),
        pytest.param(lambda pixels: pixels.transpose(0, 2, 1, 3), id="axes swapped"),
        pytest.param(lambda pixels: pixels // 2, id="half as bright"),
    ],
)
def test_reference_sensitivity(session: Any, reference: dict[str, Any], mistake: Any) -> None:
    """A mistake in the input moves the probabilities far past the tolerance, so the comparison can fail."""
    pixels = np.ascontiguousarray(mistake(synthetic_pictures()))

    assert error(session, pixels, reference["probabilities"]["synthetic"]) > 20 * TOLERANCE


def test_cat(session: Any) -> None:
    """The photograph of a cat is classified as one of ImageNet's five domestic cats."""
    assert run(session, crop_of(DATA / "cat.jpg")).argmax() in CATS


def test_labels(metadata: dict[str, str]) -> None:
    """There are 1000 labels with name and synset id, and no synset id twice."""
    labels = json.loads(metadata["predictor.labels"])

    assert len({label["id"] for label in labels}) == len(labels) == 1000
    assert all(label["name"] and label["id"] == f"n{label['id'][1:]:0>8}" for label in labels)
    assert [label["id"] for label in labels] == sorted(label["id"] for label in labels)


@pytest.mark.parametrize(
    ("index", "label"),
    [
        (281, {"name": "tabby", "id": "n02123045", "synonyms": ["tabby cat"]}),
        (6, {"name": "stingray", "id": "n01498041"}),
        (999, {"name": "toilet tissue", "id": "n15075141", "synonyms": ["toilet paper", "bathroom tissue"]}),
    ],
)
def test_label(metadata: dict[str, str], index: int, label: dict[str, Any]) -> None:
    """The first synonym is the name; the others are kept, and left out where there are none."""
    assert json.loads(metadata["predictor.labels"])[index] == label


def test_labels_text(metadata: dict[str, str]) -> None:
    """The labels are compact ASCII JSON."""
    text = metadata["predictor.labels"]

    assert text.isascii()
    assert text == json.dumps(json.loads(text), separators=(",", ":"))


def test_preprocessing(metadata: dict[str, str]) -> None:
    """Pixels go in as they are after resizing and cropping; normalisation is in the graph."""
    assert json.loads(metadata["predictor.preprocessing"]) == {
        "size": [224, 224],
        "resize": "crop",
        "resize_to": 256,
        "interpolation": "bicubic",
        "channels": "RGB",
        "layout": "NHWC",
        "dtype": "uint8",
        "scale": 1.0,
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
    }


def test_activation(metadata: dict[str, str]) -> None:
    """Nothing is left to apply: softmax is in the graph."""
    assert metadata["predictor.activation"] == "none"


@pytest.mark.parametrize("key", ["predictor.name", "predictor.license", "predictor.source"])
def test_provenance(metadata: dict[str, str], key: str) -> None:
    """The file says what it is, under which licence, and where it comes from."""
    assert metadata[key]


def test_notice() -> None:
    """The notices that the licences of the weights and of the labels ask for are beside the file."""
    notice = (BUNDLED_MODEL.parent / "NOTICE").read_text()
    licence = (BUNDLED_MODEL.parent / "LICENSE").read_text()

    assert "Copyright (c) 2020, ML Illustrated" in notice
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in notice
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
