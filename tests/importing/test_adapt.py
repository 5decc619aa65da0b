"""A model is changed only where it has to be."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from predictor.importing.adapt import NEWEST_IR, adapt, drop_unread_inputs
from predictor.importing.inputs import Wanted
from tests.importing.graphs import CLASSES, image, layers, model, pixels, run, scores


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
