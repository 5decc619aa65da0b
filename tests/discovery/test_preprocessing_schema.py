"""The JSON Schema of our own preprocessing says what the service takes."""

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest

from predictor.discovery.configs.native import FIELDS
from predictor.discovery.discover import discover
from predictor.errors import InvalidModel
from predictor.image import preprocess, resize
from predictor.image.preprocess import Preprocessing
from predictor.model.spec import ACTIVATIONS, Graph, Tensor

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "preprocessing.schema.json").read_text())
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
GRAPH = Graph((Tensor("x", "float32", (None, 3, 224, 224)),), (Tensor("y", "float32", (None, 2)),))


def taken(value: dict[str, Any]) -> bool:
    """Whether the service takes a preprocessing for a common input."""
    try:
        discover(GRAPH, preprocessing_text=json.dumps(value))
    except InvalidModel:
        return False
    return True


def test_fields() -> None:
    """The schema has the fields that are read, and their choices."""
    properties = SCHEMA["properties"]
    choices = {
        "resize": preprocess.Resize,
        "interpolation": resize.Interpolation,
        "channels": preprocess.Channels,
        "layout": preprocess.Layout,
        "dtype": preprocess.DType,
        "rounding": resize.Rounding,
    }

    assert properties.keys() == set(FIELDS)
    assert {name: set(properties[name]["enum"]) for name in choices} == {
        name: set(get_args(choice)) for name, choice in choices.items()
    }
    assert set(properties["activation"]["enum"]) == set(ACTIVATIONS)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"size": 224},
        {"size": [224, 224], "resize": "stretch"},
        {"resize_to": [256, 300]},
        {"crop_pct": 0.9, "interpolation": "bicubic"},
        {"scale": 0.00392156862745098, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        {"mean": 127.5, "std": 127.5},
        {"fill": 128},
        {"fill": [1, 2, 3], "rounding": "down"},
        {"channels": "BGR", "layout": "NCHW", "dtype": "float32"},
        {"output": "y", "activation": "sigmoid"},
        Preprocessing(layout="NCHW", dtype="float32").to_json(),
    ],
)
def test_valid(value: dict[str, Any]) -> None:
    """What the schema allows, the service takes."""
    assert VALIDATOR.is_valid(value)
    assert taken(value)


@pytest.mark.parametrize(
    "value",
    [
        {"sizes": 224},
        {"size": 0},
        {"size": 5000},
        {"size": [224]},
        {"size": "224"},
        {"resize": "sideways"},
        {"resize_to": 256, "crop_pct": 0.9},
        {"resize_to": [1, 2, 3]},
        {"crop_pct": 0},
        {"crop_pct": 1.1},
        {"interpolation": "BICUBIC"},
        {"channels": "rgb"},
        {"layout": "CHW"},
        {"dtype": "float64"},
        {"rounding": "up"},
        {"scale": "1/255"},
        {"mean": []},
        {"mean": [0.5] * 5},
        {"std": 0},
        {"std": [-1, 1, 1]},
        {"fill": 256},
        {"fill": [0, 0]},
        {"output": 1},
        {"activation": "relu"},
    ],
)
def test_invalid(value: dict[str, Any]) -> None:
    """What the schema forbids, the service refuses."""
    assert not VALIDATOR.is_valid(value)
    assert not taken(value)
