"""The names of the classes are read from the nodes that hold them."""

import json
from typing import Any

import pytest
from onnx import TensorProto, helper

from predictor.discovery.nodes import nodes_of
from predictor.importing.class_names import keep, names
from predictor.model import labels
from tests.importing.graphs import image, layers, model, scores

NAMES = ("cat", "dog", "eel")
TEXTS = [name.encode() for name in NAMES]


def tensor(kind: int, values: list[Any]) -> Any:
    """A constant."""
    return helper.make_tensor("values", kind, [len(values)], values)


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("ZipMap", {"classlabels_strings": NAMES}),
        ("LabelEncoder", {"classes_strings": NAMES, "default_string": "_Unused"}),
        ("LabelEncoder", {"keys_int64s": [2, 0, 1], "values_strings": ["eel", "cat", "dog"]}),
        (
            "LabelEncoder",
            {
                "keys_tensor": tensor(TensorProto.INT64, [1, 0, 2]),
                "values_tensor": tensor(TensorProto.STRING, [b"dog", b"cat", b"eel"]),
            },
        ),
        ("LinearClassifier", {"classlabels_strings": NAMES}),
    ],
)
def test_attributes(operator: str, attributes: dict[str, Any]) -> None:
    """Each version of these operators has its own attributes for the names, in its own order."""
    node = helper.make_node(operator, ["x"], ["y"], domain="ai.onnx.ml", **attributes)

    assert names(nodes_of(model([], [], []).graph), node) == NAMES


@pytest.mark.parametrize("keys", [[0, 1], [5, 6, 7], [0, 0, 1]])
def test_other_numbers(keys: list[int]) -> None:
    """An encoder of other numbers than those of classes names none."""
    node = helper.make_node(
        "LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", keys_int64s=keys, values_strings=NAMES
    )

    assert names(nodes_of(model([], [], []).graph), node) == ()


@pytest.mark.parametrize("operator", ["Gather", "ArrayFeatureExtractor"])
def test_constant(operator: str) -> None:
    """Names that a node looks up are those of its constant."""
    constant = helper.make_tensor("names", TensorProto.STRING, [1, 3], TEXTS)
    made = model([], [], [], constants=[constant])

    assert names(nodes_of(made.graph), helper.make_node(operator, ["names", "best"], ["name"])) == NAMES


def test_kept() -> None:
    """Names are kept as metadata, which count as those of another tool."""
    made = model(layers(), [image()], [scores()])

    assert keep(made, NAMES, used=True) == [
        "The graph has names for its classes, which are the labels if they fit."
    ]
    assert keep(made, NAMES, used=False) == []

    (one, _) = made.metadata_props
    found = labels.find(None, {one.key: one.value}, 3)
    assert [label.name for label in found.labels] == list(NAMES)
    assert found.reason == labels.IN_GRAPH


@pytest.mark.parametrize("classes", [2, 5])
def test_other_count(classes: int) -> None:
    """Names of another number than the scores are passed over with a warning."""
    found = labels.find(None, {labels.GRAPH: json.dumps(NAMES)}, classes)

    assert [label.name for label in found.labels] == [f"class {index}" for index in range(classes)]
    assert f"The graph has 3 labels, but the model has {classes} classes" in found.warnings[0]


def test_unreadable() -> None:
    """Names that are none are passed over as well."""
    found = labels.find(None, {labels.GRAPH: json.dumps(["cat", "a\a"]), "names": '["dog", "eel"]'}, 2)

    assert [label.name for label in found.labels] == ["dog", "eel"]
    assert found.warnings[0].startswith("The names in the graph are passed over.")
