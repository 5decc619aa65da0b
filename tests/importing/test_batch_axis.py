"""Scores get an axis for the images of a batch, and stay the same, bit by bit."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from predictor.importing.batch_axis import give
from tests.importing.graphs import CLASSES, SIDE, copied, image, layers, model, pixels, run, scores

ONE = (1, 3, SIDE, SIDE)
FREE = ("N", 3, SIDE, SIDE)


def squeezed(shape: Any, declared: Any, after: str | None = None, **options: Any) -> Any:
    """A model whose logits lose all axes of length 1, perhaps with an operator after that."""
    squeeze = helper.make_node("Squeeze", ["logits"], ["row"])
    last = helper.make_node(after, ["row"], ["end"], **options) if after else None
    nodes = [*layers()[:3], squeeze, *([last] if last else [])]
    return model(nodes, [image(shape=shape)], [scores("end" if after else "row", declared)])


def single(shape: Any, declared: Any, after: str | None = None) -> Any:
    """The same with one score for each image."""
    made = squeezed(shape, declared, after)
    made.graph.node[2].output[0] = "all"
    made.graph.node.insert(3, helper.make_node("ReduceMax", ["all"], ["logits"], axes=[1]))
    return made


def wanted(after: str | None, **options: Any) -> Any:
    """The scores with the batch axis, of a model that keeps it."""
    nodes = [*layers()[:3], *([helper.make_node(after, ["logits"], ["end"], **options)] if after else [])]
    return model(nodes, [image()], [scores("end" if after else "logits")])


@pytest.mark.parametrize("shape", [ONE, FREE])
@pytest.mark.parametrize(
    ("declared", "after", "axis"),
    [
        ((CLASSES,), None, None),
        (("N", CLASSES), None, None),
        (None, None, None),
        (None, "Sigmoid", None),
        ((CLASSES,), "Softmax", 0),
        ((CLASSES,), "Softmax", -1),
        (("N", CLASSES), "LogSoftmax", 1),
    ],
)
def test_squeezed(shape: Any, declared: Any, after: str | None, axis: int | None) -> None:
    """A Squeeze without axes leaves the batch of one image its axis, whatever is computed after it."""
    options = {} if axis is None else {"axis": axis}
    last = {} if axis is None else {"axis": 1}
    (expected,) = run(wanted(after, **last), pixels(1))
    made = squeezed(shape, declared, after, **options)

    (sentence,) = give(made)

    assert "Squeeze" in sentence
    (found,) = run(made, pixels(1))
    assert found.shape == (1, CLASSES)
    assert np.array_equal(found, expected)
    assert give(made) == ()


@pytest.mark.parametrize(("shape", "declared"), [(ONE, ()), (ONE, None), (FREE, ("N",)), (FREE, None)])
@pytest.mark.parametrize("after", [None, "Sigmoid"])
def test_one_score_squeezed(shape: Any, declared: Any, after: str | None) -> None:
    """One score for each image stays one for each image."""
    count = 1 if shape == ONE else 3
    (expected,) = run(single(shape, None, after), pixels(count))
    made = single(shape, declared, after)

    assert len(give(made)) == 1

    (found,) = run(made, pixels(count))
    assert found.shape == (count, 1)
    assert np.array_equal(found.ravel(), expected.ravel())


@pytest.mark.parametrize(("declared", "shape"), [(("N", 3), (2, 3)), (None, (2, 3, 1, 1))])
def test_more_axes(declared: Any, shape: tuple[int, ...]) -> None:
    """Scores that are declared to have two axes have two, and otherwise all that they had."""
    nodes = [layers()[0], helper.make_node("Squeeze", ["mean"], ["row"])]
    made = model(nodes, [image()], [scores("row", declared or ())])
    if declared is None:
        made.graph.output[0].type.tensor_type.ClearField("shape")

    assert len(give(made)) == 1
    assert run(made, pixels(2))[0].shape == shape


@pytest.mark.parametrize(
    "make",
    [
        lambda: squeezed(FREE, ("N", 4, 4)),
        lambda: squeezed(FREE, None, "Softmax", axis=1),
        lambda: squeezed(FREE, ("N", CLASSES), "Transpose"),
    ],
    ids=["map", "softmax of unknown axes", "turned"],
)
def test_squeezed_otherwise(make: Any) -> None:
    """A Squeeze of something that need not be scores stays."""
    made = make()
    before = made.SerializeToString()

    assert give(made) == ()
    assert made.SerializeToString() == before


def test_read_in_a_branch() -> None:
    """What a graph inside a node reads keeps its axes."""
    inside = helper.make_graph(
        [helper.make_node("Identity", ["row"], ["in"])], "then", [], [scores("in", ())]
    )
    fork = helper.make_node("If", ["yes"], ["answer"], then_branch=inside, else_branch=inside)
    made = squeezed(FREE, ("N", CLASSES))
    made.graph.node.append(fork)
    made.graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
    made.graph.output.append(scores("answer", ("N", CLASSES)))

    assert give(made) == ()


@pytest.mark.parametrize(
    ("shape", "declared", "classes"), [(ONE, (), 1), (FREE, (CLASSES,), CLASSES), (ONE, (CLASSES,), CLASSES)]
)
def test_folded(shape: Any, declared: Any, classes: int) -> None:
    """Scores that were folded into one axis, or none, are those of one image."""
    length = helper.make_tensor("length", TensorProto.INT64, [len(declared)], [-1][: len(declared)])
    best = helper.make_node("ReduceMax", ["logits"], ["best"], axes=[1])
    fold = helper.make_node("Reshape", ["best" if classes == 1 else "logits", "length"], ["row"])
    nodes = [*layers()[:3], best, fold]
    made = model(nodes, [image(shape=shape)], [scores("row", declared)], constants=[length])
    (expected,) = run(copied(made), pixels(1))

    assert len(give(made)) == 1

    (found,) = run(made, pixels(1))
    assert found.shape == (1, classes)
    assert np.array_equal(found.ravel(), expected.ravel())
    assert made.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    assert [one.name for one in made.graph.output] == ["row"]
    assert give(made) == ()


def test_one_score_folded() -> None:
    """One score that is declared to be the only one makes the batch one image."""
    length = helper.make_tensor("length", TensorProto.INT64, [1], [-1])
    best = helper.make_node("ReduceMax", ["logits"], ["best"], axes=[1])
    nodes = [*layers()[:3], best, helper.make_node("Reshape", ["best", "length"], ["row"])]
    made = model(nodes, [image()], [scores("row", (1,))], constants=[length])

    assert len(give(made)) == 1
    assert run(made, pixels(1))[0].shape == (1,)


def test_folded_and_read() -> None:
    """What reads folded scores reads them as before."""
    length = helper.make_tensor("length", TensorProto.INT64, [1], [-1])
    fold = helper.make_node("Reshape", ["logits", "length"], ["row"])
    shares = helper.make_node("Softmax", ["row"], ["shares"], axis=0)
    outputs = [scores("row", (CLASSES,)), scores("shares", (CLASSES,))]
    nodes = [*layers()[:3], fold, shares]
    made = model(nodes, [image(shape=ONE)], outputs, constants=[length])
    made.graph.value_info.append(scores("row", (CLASSES,)))
    expected = run(copied(made), pixels(1))

    give(made)

    found = run(made, pixels(1))
    assert [one.shape for one in found] == [(1, CLASSES)] * 2
    assert np.array_equal(np.concatenate(found), np.stack(expected))


def test_nothing_to_give() -> None:
    """Scores with a batch axis, one for each image, and graphs without an input stay as they are."""
    each = helper.make_node("ReduceMax", ["logits"], ["best"], axes=[1], keepdims=0)
    models = [
        model(layers(), [image()], [scores()]),
        model([*layers(), each], [image()], [scores("best", ("N",)), scores()]),
        model([helper.make_node("Identity", ["weights_3"], ["end"])], [], [scores("end", (3, CLASSES))]),
    ]

    assert [give(made) for made in models] == [()] * 3
