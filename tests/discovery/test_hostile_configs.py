"""Whatever comes as a preprocessing: a tensor of the model's form, or a refusal in one sentence."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import numpy as np
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from predictor.discovery.configs import frameworks, huggingface, metadata, native, presets, roles
from predictor.discovery.discover import discover
from predictor.errors import InvalidModel
from predictor.image.preprocess import to_tensor
from predictor.model.spec import Graph, ModelSpec, Tensor

ROOT = Path(__file__).parents[2]
SCHEMA = jsonschema_rs.Draft202012Validator(
    json.loads((ROOT / "docs" / "preprocessing.schema.json").read_text())
)
FILES = [path.read_text() for path in sorted((ROOT / "tests" / "data" / "configs").glob("*_*.*"))]
CONFIGS = [value for text in FILES if text.startswith("{") and isinstance(value := json.loads(text), dict)]
PRINTED = [text for text in FILES if not text.startswith("{")]
METADATA = [
    {str(name): str(entry) for name, entry in value.items()} for value in CONFIGS if "names" in value
] + [{"model_info model_type": "Classification", "model_info labels": "a b"}]
FIELDS = sorted(
    {
        *native.FIELDS,
        *huggingface._USED,
        *frameworks._OF_KERAS,
        *frameworks._OF_TIMM,
        *presets._OF_PRESET,
        "pretrained_cfg",
        "image_processor",
        "height",
        "width",
        "shortest_edge",
        "PreProcess",
        "transform_ops",
        "pipeline",
        "tasks",
        "transforms",
        "inputs",
        "Image",
        "shape",
        "imageSize",
        "Image.BitmapPixelFormat",
        "task",
        "imgsz",
        "flavors",
    }
)
KEYS = [f"model_info {name}" for name in sorted(metadata._PREPROCESSING)] + [
    "task",
    "imgsz",
    "channels",
    "preprocessing",
    "predictor.preprocessing",
    "predictor.activation",
    "preprocessor_config.json",
    "Image.BitmapPixelFormat",
    "Image.NominalPixelRange",
]
WORDS = ["crop", "fit", "stretch", "bilinear", "RGB", "BGR", "L", "NCHW", "float32", "uint8", "tf", "caffe"]
WORDS += ["center", "border", "ViTImageProcessor", "ConvNextImageProcessor", "classify", "[32, 32]", "1 2 3"]
EXTREMES = [
    0,
    1,
    -1,
    32,
    256,
    4096,
    4097,
    2**31,
    2**64,
    10**99,
    10**400,
    0.5,
    1e-320,
    1e-9,
    1e38,
    1e39,
    1e308,
]
TEXTS = some.sampled_from(WORDS) | some.text(some.characters(codec=None), max_size=12)
SCALARS = (
    some.none() | some.booleans() | some.sampled_from(EXTREMES) | some.floats() | some.integers() | TEXTS
)
VALUES: some.SearchStrategy[Any] = some.recursive(
    SCALARS,
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.dictionaries(some.sampled_from(FIELDS) | TEXTS, inner, max_size=4)
    ),
    max_leaves=8,
)
TRIPLES = some.lists(some.floats(0.1, 2.0), min_size=3, max_size=3)
CHANGES = some.dictionaries(some.sampled_from(FIELDS), VALUES | TRIPLES, max_size=3)
SHAPES = some.sampled_from(
    [(None, 3, None, None), (1, 3, 32, 32), (None, 32, 48, 1), (None, None, None, None)]
)
TYPES = some.sampled_from(["float32", "float16", "uint8", "int8"])
PICTURE = Image.fromarray(np.arange(40 * 30 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 30, 3))
MODELS = some.builds(lambda shape, dtype: Tensor("x", dtype, shape), SHAPES, TYPES)
USUAL = Tensor("x", "float32", (None, 3, None, None))


def assert_one_sentence(said: str) -> None:
    """No more than a caller can read."""
    assert said.isprintable()
    assert len(said) < 500


def found(tensor: Tensor, text: str | None, metadata: dict[str, str] | None = None) -> ModelSpec | None:
    """What a preprocessing means for a model, if it can be used; the sentence of a refusal is checked."""
    graph = Graph((tensor,), (Tensor("y", "float32", (None, 2)),), metadata or {})
    try:
        return discover(graph, preprocessing_text=text)
    except InvalidModel as error:
        assert_one_sentence(error.detail)
        return None


def check(tensor: Tensor, text: str | None, metadata: dict[str, str] | None = None) -> None:
    """Use a preprocessing, if it can be; anything but a tensor of its form fails."""
    spec = found(tensor, text, metadata)
    if spec is None:
        return
    value = spec.preprocessing
    sides = value.resize_to if isinstance(value.resize_to, tuple) else (value.resize_to,)
    if max(value.height, value.width, *sides) <= 300:
        with np.errstate(all="ignore"):
            made = to_tensor(PICTURE, value)
        assert made.shape == value.shape
        assert made.dtype == value.dtype


def check_file(text: str) -> None:
    """Judge a file of an upload, whatever it is called: each use is possible or refused in a sentence."""
    for name in ("x.json", "config.json", "labels.txt", "inference.yml"):
        assert {*roles.said(name, text)} <= {"labels", "preprocessing"}
        assert roles.may_list_names(name, text) in (True, False)
        whys = [roles.unreadable(name, text), *(roles.judge(what, text, sure=False) for what in roles.USES)]
        for why in filter(None, whys):
            assert_one_sentence(why)
    assert native.scaled(text) is None or json.loads(native.scaled(text) or "")["scale"] == 1 / 255


@given(tensor=MODELS, text=some.text(max_size=200) | TEXTS | VALUES.map(json.dumps))
def test_text(tensor: Tensor, text: str) -> None:
    """Any text and any JSON."""
    check(tensor, text)
    check_file(text)


@given(
    tensor=MODELS, config=some.sampled_from([{}, {}, {}, *CONFIGS]), changes=CHANGES, inside=some.booleans()
)
def test_changed_files(tensor: Tensor, config: dict[str, Any], changes: dict[str, Any], inside: bool) -> None:
    """The files of other tools, and nothing at all, with fields set to anything."""
    inner = config.get("pretrained_cfg")
    changed = (
        {**config, "pretrained_cfg": {**inner, **changes}} if inside and inner else {**config, **changes}
    )
    check(tensor, json.dumps(changed))
    check_file(json.dumps(changed))


def put(value: Any, at: list[int], new: Any) -> Any:
    """A value with another one in the place to which these turnings lead."""
    if not at or not isinstance(value, dict | list) or not value:
        return new
    if isinstance(value, list):
        place = at[0] % len(value)
        return [put(one, at[1:], new) if index == place else one for index, one in enumerate(value)]
    name = sorted(value)[at[0] % len(value)]
    return {**value, name: put(value[name], at[1:], new)}


@given(
    tensor=MODELS,
    config=some.sampled_from(CONFIGS),
    at=some.lists(some.integers(0, 9), max_size=7),
    new=VALUES,
)
def test_changed_places(tensor: Tensor, config: dict[str, Any], at: list[int], new: Any) -> None:
    """The same files with anything in any place, however deep."""
    text = json.dumps(put(config, at, new))
    check(tensor, text)
    check_file(text)


@given(
    text=some.sampled_from([*PRINTED, *(json.dumps(config) for config in CONFIGS)]),
    at=some.integers(0, 3000),
    out=some.integers(0, 12),
    into=TEXTS
    | some.sampled_from(["[", "]", "{", "}", '"', ",", ":", "(", ")", "=", "1" * 200, "NaN", "\n"]),
)
def test_changed_text(text: str, at: int, out: int, into: str) -> None:
    """The same files with a piece of their text taken out and another put in."""
    place = at % len(text)
    check(USUAL, text[:place] + into + text[place + out :])


@given(
    tensor=MODELS,
    start=some.sampled_from([{}, *METADATA]),
    changes=some.dictionaries(some.sampled_from(KEYS), TEXTS | VALUES.map(json.dumps), max_size=4),
)
def test_metadata(tensor: Tensor, start: dict[str, str], changes: dict[str, str]) -> None:
    """A model's metadata, set to anything."""
    check(tensor, None, {**start, **changes})


@given(value=some.dictionaries(some.sampled_from(native.FIELDS), VALUES.filter(lambda one: one is not None)))
def test_schema(value: dict[str, Any]) -> None:
    """What the JSON Schema of this service's own form forbids, the service refuses."""
    try:
        allowed = SCHEMA.is_valid(value)
    except ValueError:
        # Numbers that JSON does not have, and halves of characters.
        allowed = False

    assert allowed or found(USUAL, json.dumps(value)) is None
