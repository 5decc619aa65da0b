"""The end of a graph is recognised where it is an average over all places and a linear layer."""

import onnx
import pytest

from predictor.config import BUNDLED_MODEL
from predictor.discovery.pooling import final_layers
from predictor.explaining.feature_maps import BUNDLED
from predictor.model.final_layers import FinalLayers
from tests.explaining.networks import LINEAR, OTHER, POOLED, network


def found(tail: str, activation: str = "Softmax<axis = 1>") -> FinalLayers | None:
    """What is found of a small network."""
    return final_layers(onnx.load_from_string(network(tail, activation)), "scores")


@pytest.mark.parametrize("pooled", POOLED.values(), ids=POOLED)
def test_averages(pooled: str) -> None:
    """Each way to write an average over all places is one."""
    assert found(f"{pooled} {LINEAR['Gemm']}") == FinalLayers(
        "features", last=False, logits="logits", weights="weight", missing=("logits", "features", "weight")
    )


@pytest.mark.parametrize("linear", LINEAR, ids=LINEAR)
def test_linear_layers(linear: str) -> None:
    """Each way to write a linear layer names its weights, and which of their axes is that of the channels."""
    layers = found(f"{POOLED['global']} {LINEAR[linear]}")

    assert layers is not None
    assert layers.by_channel == (linear in {"Gemm by channel", "MatMul"})
    assert layers.weights in {"weight", "weight_t", "weight_4"}


@pytest.mark.parametrize("activation", ["Softmax<axis = 1>", "Sigmoid", "Identity"])
def test_activations(activation: str) -> None:
    """What follows the linear layer makes no difference."""
    layers = found(f"{POOLED['global']} {LINEAR['Gemm']}", activation)

    assert layers is not None
    assert layers.features == "features"


def test_convolution_before_the_average() -> None:
    """Where the classes are channels already, there are no weights."""
    layers = found(
        "map = Conv(features, weight_4, bias) mean = GlobalAveragePool(map) logits = Flatten(mean)"
    )

    assert layers is not None
    assert (layers.features, layers.weights) == ("map", None)


def test_channels_last() -> None:
    """An average over the second and third axis has its channels last."""
    layers = found(
        "turned = Transpose<perm = [0, 2, 3, 1]>(features) "
        "pooled = ReduceMean<axes = [1, 2], keepdims = 0>(turned) logits = Gemm(pooled, weight_t, bias)"
    )

    assert layers is not None
    assert (layers.features, layers.last) == ("turned", True)


@pytest.mark.parametrize("tail", [OTHER["layer between"], OTHER["two layers"]])
def test_others(tail: str) -> None:
    """Whatever else lies between makes it another network."""
    assert found(f"{POOLED['global']} {tail}") is None


def test_largest() -> None:
    """A maximum is no average."""
    assert found(OTHER["largest"]) is None


def test_bundled() -> None:
    """How the network ends that ships with the service is known without a look at it."""
    model = onnx.load(BUNDLED_MODEL, load_external_data=False)

    assert final_layers(model, "probabilities") == BUNDLED
