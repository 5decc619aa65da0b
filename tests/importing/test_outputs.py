"""What follows the class scores is cut off, and the scores stay as they were, bit by bit."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from predictor.importing.inputs import Wanted
from predictor.importing.outputs import cut
from tests.importing.graphs import CLASSES, copied, image, layers, model, pixels, run, scores

NOTHING = Wanted()
NAMES = ["cat", "dog", "eel", "fox", "gnu"]
STRINGS = TensorProto.STRING
INTEGERS = TensorProto.INT64


def zipmap(**labels: Any) -> Any:
    """The node that makes a map of scores by name for each image."""
    return helper.make_node("ZipMap", ["probabilities"], ["loss"], domain="ai.onnx.ml", **labels)


def maps(key: int = STRINGS) -> Any:
    """The output of that node."""
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    return helper.make_value_info(
        "loss", helper.make_sequence_type_proto(helper.make_map_type_proto(key, value))
    )


def best() -> Any:
    """The node that chooses the best class."""
    return helper.make_node("ArgMax", ["probabilities"], ["best"], axis=1, keepdims=0)


def named() -> list[Any]:
    """Nodes that give the name of the best class."""
    found = helper.make_node("ArrayFeatureExtractor", ["names", "best"], ["name"], domain="ai.onnx.ml")
    return [best(), found]


def words() -> Any:
    """The names of the classes as a constant."""
    return helper.make_tensor("names", STRINGS, [CLASSES], [name.encode() for name in NAMES])


def output(name: str, kind: int, *shape: Any) -> Any:
    """An output of whatever type."""
    return helper.make_tensor_value_info(name, kind, shape)


def custom_vision() -> Any:
    """Azure Custom Vision's usual form: the best name, and a map of scores by name."""
    nodes = [*layers(), *named(), zipmap(classlabels_strings=NAMES)]
    return model(nodes, [image()], [output("name", STRINGS, 1, "N"), maps()], constants=[words()])


def encoded() -> Any:
    """The best class by a node that turns its number into its name."""
    encoder = helper.make_node(
        "LabelEncoder",
        ["best"],
        ["name"],
        domain="ai.onnx.ml",
        keys_int64s=[2, 0, 1, 4, 3],
        values_strings=["eel", "cat", "dog", "gnu", "fox"],
    )
    return model([*layers(), best(), encoder], [image()], [output("name", STRINGS, "N")])


def topk() -> Any:
    """The best three scores and their classes."""
    few = helper.make_node("TopK", ["probabilities", "three"], ["values", "indices"], axis=1)
    three = numpy_helper.from_array(np.array([3], np.int64), "three")
    outputs = [output("values", TensorProto.FLOAT, "N", 3), output("indices", INTEGERS, "N", 3)]
    return model([*layers(), few], [image()], outputs, constants=[three])


def argmax() -> Any:
    """The number of the best class alone."""
    return model([*layers(), best()], [image()], [output("best", INTEGERS, "N")])


def quantised() -> Any:
    """Scores as bytes."""
    node = helper.make_node("QuantizeLinear", ["probabilities", "step", "zero"], ["bytes"])
    more = [
        numpy_helper.from_array(np.float32(1 / 255), "step"),
        numpy_helper.from_array(np.uint8(0), "zero"),
    ]
    return model(
        [*layers(), node], [image()], [output("bytes", TensorProto.UINT8, "N", CLASSES)], constants=more
    )


def beside(kind: int) -> Any:
    """Scores, and something else of another type."""
    node = helper.make_node("Cast", ["best"], ["other"], to=kind)
    outputs = [scores(), output("other", kind, "N")]
    return model([*layers(), best(), node], [image()], outputs)


def features_beside() -> Any:
    """What is not scores, and the best class."""
    outputs = [scores("features", ("N", 3)), output("best", INTEGERS, "N")]
    return model([*layers(), best()], [image()], outputs)


def one_hot() -> Any:
    """The best class as a row of zeros and a one."""
    node = helper.make_node("OneHot", ["best", "depth", "values"], ["row"])
    more = [
        numpy_helper.from_array(np.array([CLASSES], np.int64), "depth"),
        numpy_helper.from_array(np.array([0, 1], np.float32), "values"),
    ]
    return model([*layers(), best(), node], [image()], [scores("row")], constants=more)


def decided(operator: str, *after: Any, kind: int = TensorProto.BOOL) -> Any:
    """Which classes apply, by a threshold."""
    inputs = ["probabilities"] if operator == "Round" else ["probabilities", "half"]
    half = [numpy_helper.from_array(np.float32(0.5), "half")]
    node = helper.make_node(operator, inputs, ["applies"])
    end = output(after[-1].output[0] if after else "applies", kind, "N", CLASSES)
    return model([*layers(), node, *after], [image()], [end], constants=half)


def cast(kind: int, name: str = "applies") -> Any:
    """A node that changes the type."""
    return helper.make_node("Cast", [name], ["cast"], to=kind)


def percent(left: str, right: str) -> Any:
    """Scores from 0 to 100."""
    node = helper.make_node("Mul", [left, right], ["percent"])
    hundred = [numpy_helper.from_array(np.float32(100), "hundred")]
    return model([*layers(), node], [image()], [scores("percent")], constants=hundred)


def wrapped(operator: str) -> Any:
    """Scores alone in a sequence, or as a value that may be missing."""
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    made = (
        helper.make_sequence_type_proto
        if operator == "SequenceConstruct"
        else helper.make_optional_type_proto
    )
    node = helper.make_node(operator, ["probabilities"], ["list"])
    return model([*layers(), node], [image()], [helper.make_value_info("list", made(tensor))])


def half_precision() -> Any:
    """Scores as bfloat16."""
    end = output("cast", TensorProto.BFLOAT16, "N", CLASSES)
    return model([*layers(), cast(TensorProto.BFLOAT16, "probabilities")], [image()], [end])


def sequence() -> Any:
    """Scores inside a sequence."""
    node = helper.make_node("SequenceConstruct", ["probabilities"], ["list"])
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    outputs = [scores(), helper.make_value_info("list", kind)]
    return model([*layers(), node], [image()], outputs)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (custom_vision, NAMES),
        (encoded, NAMES),
        (topk, []),
        (argmax, []),
        (quantised, []),
        (lambda: beside(TensorProto.INT32), []),
        (lambda: beside(TensorProto.BOOL), []),
        (lambda: beside(INTEGERS), []),
        (lambda: beside(TensorProto.STRING), []),
        (features_beside, []),
        (sequence, []),
        (one_hot, []),
        (lambda: decided("Greater"), []),
        (lambda: decided("GreaterOrEqual", cast(INTEGERS), kind=INTEGERS), []),
        (lambda: decided("Greater", cast(TensorProto.FLOAT), kind=TensorProto.FLOAT), []),
        (lambda: decided("Round", kind=TensorProto.FLOAT), []),
        (lambda: percent("probabilities", "hundred"), []),
        (lambda: percent("hundred", "probabilities"), []),
        (lambda: wrapped("SequenceConstruct"), []),
        (lambda: wrapped("Optional"), []),
        (half_precision, []),
    ],
    ids=[
        *("custom_vision", "encoded", "topk", "argmax", "quantised", "int32", "bool", "int64", "string"),
        *("features", "sequence", "one_hot", "greater", "at_least", "as_float", "round", "percent", "of_100"),
        *("sequence_alone", "optional", "bfloat16"),
    ],
)
def test_cut(make: Callable[[], Any], names: list[str]) -> None:
    """The scores are the one output; the names that the graph knew are its metadata."""
    before = make()
    (expected,) = run(model(layers(), [image()], [scores()]), pixels())
    after = copied(before)

    sentences = cut(after, NOTHING)

    assert sentences
    assert [one.name for one in after.graph.output] == ["probabilities"]
    assert np.array_equal(run(after, pixels())[0], expected)
    metadata = {one.key: json.loads(one.value) for one in after.metadata_props}
    assert metadata == ({"predictor.graph_labels": names} if names else {})


def test_scores_by_number() -> None:
    """Scores in a map by number are served; the numbers are no names."""
    made = model([*layers(), zipmap(classlabels_int64s=[0, 1, 2, 3, 4])], [image()], [maps(INTEGERS)])

    cut(made, NOTHING)

    assert [one.name for one in made.graph.output] == ["probabilities"]
    assert not made.metadata_props


def test_years() -> None:
    """Numbers that classes do not have anyway are their names."""
    years = [1980, 1990, 2000, 2010, 2020]
    made = model([*layers(), zipmap(classlabels_int64s=years)], [image()], [maps(INTEGERS)])

    cut(made, NOTHING)

    assert made.metadata_props[0].value == '["1980", "1990", "2000", "2010", "2020"]'


def test_labels_beside() -> None:
    """Where labels came beside the model, it is not said that those of the graph are used."""
    made, other = custom_vision(), custom_vision()

    assert "names for its classes" in cut(made, NOTHING)[1]
    assert cut(other, Wanted(labels=True))[1:] == ()


def flagged(node: Any, *more: Any) -> Any:
    """Logits, and a decision about something else."""
    made = model([*layers(), node], [image()], [scores("logits"), *more])
    made.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "half"))
    return made


@pytest.mark.parametrize("operator", ["Greater", "GreaterOrEqual"])
def test_decision_about_something_else(operator: str) -> None:
    """Scores stay the output where a decision beside them is about something else."""
    decision = helper.make_node(operator, ["features", "half"], ["dark"])
    made = flagged(decision, output("dark", TensorProto.BOOL, "N", 3))

    cut(made, NOTHING)

    assert [one.name for one in made.graph.output] == ["logits"]


@pytest.mark.parametrize(
    ("operator", "inputs"),
    [("Mul", ["probabilities", "half"]), ("Mul", ["logits", "logits"]), ("Greater", ["logits", "weights"])],
)
def test_no_decision(operator: str, inputs: list[str]) -> None:
    """Other arithmetic is left alone."""
    node = helper.make_node(operator, inputs, ["end"])
    made = flagged(node)
    made.graph.output[0].CopyFrom(scores("end"))
    before = made.SerializeToString()

    assert cut(made, NOTHING) == ()
    assert made.SerializeToString() == before


def test_activation_after_rounding() -> None:
    """Confidences of rounded logits are the model's scores."""
    nodes = [
        *layers(),
        helper.make_node("Round", ["logits"], ["whole"]),
        helper.make_node("Softmax", ["whole"], ["end"], axis=1),
    ]

    assert cut(model(nodes, [image()], [scores("end")]), NOTHING) == ()


@pytest.mark.parametrize(("wanted", "kept"), [(None, "probabilities"), ("again", "again")])
def test_copies(wanted: str | None, kept: str) -> None:
    """Of outputs that are copies of each other one is served: the one that was declared, or the first."""
    again = helper.make_node("Identity", ["probabilities"], ["again"])
    made = model([*layers(), again], [image()], [scores(), scores("again"), scores("logits")])

    assert len(cut(made, Wanted(output=wanted))) == 1
    assert [one.name for one in made.graph.output] == [kept, "logits"]


@pytest.mark.parametrize(
    ("wanted", "kept"), [(None, ["probabilities"]), ("features", ["features", "probabilities"])]
)
def test_output_that_was_declared(wanted: str | None, kept: list[str]) -> None:
    """An output that was declared stays, although the best class was chosen from another one."""
    outputs = [scores("features", ("N", 3)), scores(), output("best", INTEGERS, "N")]
    made = model([*layers(), best()], [image()], outputs)

    cut(made, Wanted(output=wanted))

    assert [one.name for one in made.graph.output] == kept


def test_own_labels_stay() -> None:
    """Labels that a file has for this service are not replaced."""
    made = custom_vision()
    made.metadata_props.add(key="predictor.labels", value='["a", "b", "c", "d", "e"]')

    cut(made, NOTHING)

    assert [one.value for one in made.metadata_props] == ['["a", "b", "c", "d", "e"]']


def test_nothing_to_cut() -> None:
    """Where every output may hold scores, nothing changes."""
    made = model(layers(), [image()], [scores("logits"), scores()])
    before = made.SerializeToString()

    assert cut(made, NOTHING) == ()
    assert made.SerializeToString() == before


@pytest.mark.parametrize("operator", ["LinearClassifier", "Gather", "ArrayFeatureExtractor"])
def test_damaged(operator: str) -> None:
    """Operators without all of their inputs and outputs show nothing, and are left to the runtime."""
    node = helper.make_node(operator, ["names"], ["name"], classlabels_strings=NAMES)
    made = model([*layers(), node], [image()], [output("name", STRINGS, "N")], constants=[words()])

    assert cut(made, NOTHING) == ()


def test_no_scores() -> None:
    """Where nothing shows any scores, nothing changes."""
    node = helper.make_node("Cast", ["probabilities"], ["whole"], to=INTEGERS)
    made = model([*layers(), node], [image()], [output("whole", INTEGERS, "N", CLASSES)])
    before = made.SerializeToString()

    assert cut(made, NOTHING) == ()
    assert made.SerializeToString() == before


def test_what_is_not_needed_goes() -> None:
    """Nodes and constants that only the other outputs needed go; what a graph inside a node reads stays."""
    inside = helper.make_graph(
        [helper.make_node("Identity", ["probabilities"], ["same"])], "then", [], [scores("same", ())]
    )
    fork = helper.make_node("If", ["yes"], ["answer"], then_branch=inside, else_branch=inside)
    more = [words(), numpy_helper.from_array(np.array(True), "yes")]
    chosen = helper.make_node("ArgMax", ["answer"], ["best"], axis=1, keepdims=0)
    nodes = [*layers(), fork, chosen, named()[1]]
    made = model(nodes, [image()], [scores("answer"), output("name", STRINGS, 1, "N")], constants=more)
    (expected,) = run(made, pixels(), "answer")

    cut(made, NOTHING)

    assert [node.op_type for node in made.graph.node][-1] == "If"
    assert "names" not in {one.name for one in made.graph.initializer}
    assert np.array_equal(run(made, pixels())[0], expected)


def judge() -> Any:
    """A classifier of another tool: the name of the best class, then its scores."""
    weights = {"coefficients": [0.1] * (3 * CLASSES), "intercepts": [0.0] * CLASSES}
    names = {"domain": "ai.onnx.ml", "classlabels_strings": NAMES}
    return helper.make_node("LinearClassifier", ["features"], ["name", "judged"], **names, **weights)


def test_classifier() -> None:
    """The scores of a classifier of another tool have the shape that the runtime does not find itself."""
    made = model([*layers()[:2], judge()], [image()], [output("name", STRINGS, "N")])

    assert len(cut(made, NOTHING)) == 2

    (scores_,) = made.graph.output
    assert [dim.dim_value for dim in scores_.type.tensor_type.shape.dim] == [0, CLASSES]
    assert run(made, pixels())[0].shape == (2, CLASSES)
    assert json.loads(made.metadata_props[0].value) == NAMES


def test_map_of_a_copy() -> None:
    """LightGBM's converter makes the map of a copy of the scores: they are one output all the same."""
    copy = helper.make_node("Identity", ["judged"], ["probabilities"])
    nodes = [*layers()[:2], judge(), copy, zipmap(classlabels_strings=NAMES)]
    made = model(nodes, [image()], [output("name", STRINGS, "N"), maps()])

    cut(made, NOTHING)

    (scores_,) = made.graph.output
    assert [dim.dim_value for dim in scores_.type.tensor_type.shape.dim] == [0, CLASSES]
    assert json.loads(made.metadata_props[0].value) == NAMES


def test_shape_of_a_map() -> None:
    """The scores of a map have a column for each of its names, also where the runtime would not find that."""
    made = model([*layers(), zipmap(classlabels_strings=NAMES)], [image()], [maps()])

    cut(made, NOTHING)

    (scores_,) = made.graph.output
    assert [dim.dim_value for dim in scores_.type.tensor_type.shape.dim] == [0, CLASSES]


@pytest.mark.parametrize("kept", [maps(), scores()], ids=["map", "tensor"])
def test_scores_beside_the_name_of_a_classifier(kept: Any) -> None:
    """A score for each class is served, not what a classifier compares pairs of classes by, as SVC's does."""
    nodes = [*layers(), judge(), *([zipmap(classlabels_strings=NAMES)] if kept.name == "loss" else [])]
    made = model(nodes, [image()], [output("name", STRINGS, "N"), kept])

    cut(made, NOTHING)

    assert [one.name for one in made.graph.output] == ["probabilities"]
