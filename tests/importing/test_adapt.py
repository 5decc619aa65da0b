"""A model is changed only where it has to be."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from predictor.importing.adapt import NEWEST_IR, adapt, drop_unread_inputs, give_batch_axis
from predictor.importing.inputs import Wanted
from tests.importing.graphs import CLASSES, SIDE, copied, image, layers, model, pixels, run, scores

ONE = (1, 3, SIDE, SIDE)
FREE = ("N", 3, SIDE, SIDE)


def test_nothing_to_do() -> None:
    """What can be served as it is stays as it is."""
    made = model(layers(), [image()], [scores()])
    before = made.SerializeToString()

    assert adapt(made, Wanted()) == ()
    assert made.SerializeToString() == before


def test_no_input() -> None:
    """A graph without an input is left to the check."""
    made = model([helper.make_node("Identity", ["weights_3"], ["end"])], [], [scores("end", (3, CLASSES))])

    assert adapt(made, Wanted()) == ()


def test_newer_format() -> None:
    """A version of the format that is only a number too high is lowered."""
    expected = run(model(layers(), [image()], [scores()]), pixels())
    made = model(layers(), [image()], [scores()], ir_version=NEWEST_IR + 1)

    (sentence,) = adapt(made, Wanted())

    assert str(NEWEST_IR) in sentence
    assert np.array_equal(run(made, pixels()), expected)


def test_newest_format() -> None:
    """The runtime reads the version that is called its newest, and none after it."""
    run(model(layers(), [image()], [scores()], ir_version=NEWEST_IR), pixels())

    with pytest.raises(Exception, match=f"max supported IR version: {NEWEST_IR}"):
        run(model(layers(), [image()], [scores()], ir_version=NEWEST_IR + 1), pixels())


def test_all_together() -> None:
    """One model may need everything at once; adapted once, it needs nothing more."""
    best = helper.make_node("ArgMax", ["probabilities"], ["best"], axis=1)
    nodes = [
        helper.make_node("Unsqueeze", ["image", "zero"], ["batch"]),
        helper.make_node("Cast", ["batch"], ["pixels"], to=TensorProto.FLOAT),
        *layers("pixels"),
        best,
    ]
    zero = [helper.make_tensor("zero", TensorProto.INT64, [1], [0])]
    outputs = [helper.make_tensor_value_info("best", TensorProto.INT64, (1, 1))]
    made = model(nodes, [image(TensorProto.INT32, (3, 8, 8))], outputs, constants=zero, ir_version=99)

    assert len(adapt(made, Wanted())) == 4

    (found,) = run(made, pixels(1).astype(np.uint8))
    assert found.shape == (1, 5)
    assert adapt(made, Wanted()) == ()


def test_one_image() -> None:
    """Scores of one image without a batch axis get one."""
    squeeze = helper.make_node("Squeeze", ["probabilities"], ["row"])
    shape = (1, 3, 8, 8)
    made = model([*layers(), squeeze], [image(shape=shape)], [scores("row", (CLASSES,))])
    (expected,) = run(made, pixels(1))

    assert len(adapt(made, Wanted())) == 1

    (found,) = run(made, pixels(1))
    assert found.shape == (1, CLASSES)
    assert np.array_equal(found[0], expected)
    assert adapt(made, Wanted()) == ()


def other(name: str, kind: int = TensorProto.FLOAT) -> Any:
    """One more input."""
    return helper.make_tensor_value_info(name, kind, ())


def test_unread() -> None:
    """An input that nothing reads goes; the answers stay."""
    (expected,) = run(model(layers(), [image()], [scores()]), pixels())
    made = model(layers(), [image(), other("keep_prob"), other("Label", TensorProto.STRING)], [scores()])

    (sentence,) = drop_unread_inputs(made)

    assert "keep_prob, Label" in sentence
    assert np.array_equal(run(made, pixels())[0], expected)
    assert drop_unread_inputs(made) == ()


def test_read() -> None:
    """What an operator, a graph inside one or an output reads stays; so do constants among the inputs."""
    inside = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "then", [], [scores("y", ())])
    fork = helper.make_node("If", ["yes"], ["answer"], then_branch=inside, else_branch=inside)
    constant = helper.make_tensor_value_info("weights_1", TensorProto.FLOAT, (1, 5))
    inputs = [image(), other("yes", TensorProto.BOOL), other("x"), other("through"), constant]
    made = model([*layers(), fork], inputs, [scores(), scores("answer", ()), scores("through", ())])

    assert drop_unread_inputs(made) == ()
    assert len(made.graph.input) == 5


def test_nothing_read() -> None:
    """A graph that reads none of its inputs keeps them, so that the refusal can name them."""
    made = model([helper.make_node("Identity", ["weights_3"], ["end"])], [image()], [scores("end", (3, 5))])

    assert drop_unread_inputs(made) == ()
    assert len(made.graph.input) == 1


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

    (sentence,) = give_batch_axis(made)

    assert "Squeeze" in sentence
    (found,) = run(made, pixels(1))
    assert found.shape == (1, CLASSES)
    assert np.array_equal(found, expected)
    assert give_batch_axis(made) == ()


@pytest.mark.parametrize(("shape", "declared"), [(ONE, ()), (ONE, None), (FREE, ("N",)), (FREE, None)])
@pytest.mark.parametrize("after", [None, "Sigmoid"])
def test_one_score_squeezed(shape: Any, declared: Any, after: str | None) -> None:
    """One score for each image stays one for each image."""
    count = 1 if shape == ONE else 3
    (expected,) = run(single(shape, None, after), pixels(count))
    made = single(shape, declared, after)

    assert len(give_batch_axis(made)) == 1

    (found,) = run(made, pixels(count))
    assert found.shape == (count, 1)
    assert np.array_equal(found.ravel(), expected.ravel())


@pytest.mark.parametrize("declared", [(CLASSES,), ("N", CLASSES), None])
@pytest.mark.parametrize("axis", [None, -1])
def test_features_squeezed(declared: Any, axis: int | None) -> None:
    """PyTorch's `squeeze()` between the pooling and the last layer leaves each image its row."""
    squeeze = helper.make_node("Squeeze", ["mean"], ["features"])
    last = [] if axis is None else [helper.make_node("Softmax", ["logits"], ["end"], axis=axis)]
    nodes = [layers()[0], squeeze, layers()[2], *last]
    made = model(nodes, [image()], [scores("logits" if axis is None else "end", declared)])
    expected = [
        run(wanted(None if axis is None else "Softmax", axis=1), pixels(count))[0] for count in (1, 3)
    ]

    assert len(give_batch_axis(made)) == 1

    assert all(np.array_equal(run(made, pixels(len(one)))[0], one) for one in expected)


@pytest.mark.parametrize(("declared", "shape"), [(("N", 3), (2, 3)), (None, (2, 3, 1, 1))])
def test_more_axes(declared: Any, shape: tuple[int, ...]) -> None:
    """Scores that are declared to have two axes have two, and otherwise all that they had."""
    nodes = [layers()[0], helper.make_node("Squeeze", ["mean"], ["row"])]
    made = model(nodes, [image()], [scores("row", declared or ())])
    if declared is None:
        made.graph.output[0].type.tensor_type.ClearField("shape")

    assert len(give_batch_axis(made)) == 1
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

    assert give_batch_axis(made) == ()
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

    assert give_batch_axis(made) == ()


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

    assert len(give_batch_axis(made)) == 1

    (found,) = run(made, pixels(1))
    assert found.shape == (1, classes)
    assert np.array_equal(found.ravel(), expected.ravel())
    assert made.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    assert [one.name for one in made.graph.output] == ["row"]
    assert give_batch_axis(made) == ()


def test_one_score_folded() -> None:
    """One score that is declared to be the only one makes the batch one image."""
    length = helper.make_tensor("length", TensorProto.INT64, [1], [-1])
    best = helper.make_node("ReduceMax", ["logits"], ["best"], axes=[1])
    nodes = [*layers()[:3], best, helper.make_node("Reshape", ["best", "length"], ["row"])]
    made = model(nodes, [image()], [scores("row", (1,))], constants=[length])

    assert len(give_batch_axis(made)) == 1
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

    give_batch_axis(made)

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

    assert [give_batch_axis(made) for made in models] == [()] * 3
