"""Inputs that nothing reads are no part of the served graph."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from predictor.importing.pruning import drop_unread_inputs
from tests.importing.graphs import image, layers, model, pixels, run, scores


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
