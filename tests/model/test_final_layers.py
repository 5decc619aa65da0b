"""A model gets more outputs without being taken apart."""

import onnx
import pytest

from predictor.model.final_layers import FinalLayers, with_outputs
from tests.explaining.networks import network


@pytest.mark.parametrize("name", ["features", "f" * 200])
def test_outputs(name: str) -> None:
    """The names follow the outputs that are there, and nothing else changes."""
    before = network()
    after = onnx.load_from_string(with_outputs(before, [name, "weight"]))

    assert [one.name for one in after.graph.output] == ["scores", name, "weight"]
    del after.graph.output[1:]
    assert after == onnx.load_from_string(before)


def test_json() -> None:
    """The JSON form is read back."""
    layers = FinalLayers("features", last=True, logits="scores", weights="w").beside({"scores"})

    assert layers.missing == ("features", "w")
    assert FinalLayers.from_json(layers.to_json()) == layers
