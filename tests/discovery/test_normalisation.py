"""Pixels are scaled and shifted once: by the service, or by the graph."""

import pytest

from predictor.discovery.configs.declared import EMPTY
from predictor.discovery.configs.read import from_text
from predictor.discovery.resolve import Resolved, resolve
from predictor.discovery.signature import input_layout
from predictor.model.spec import NOTHING_SEEN, Structure, Tensor

FORM = input_layout(Tensor("x", "float32", (1, 3, 64, 64)), NOTHING_SEEN)
CAFFE = (-103.939, -116.779, -123.68)
FLIPPED = (
    '{"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}, '
    '"do_flip_channel_order": true, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.25, 0.2]}'
)
PIXELS, UNIT = "for pixels from 0 to 255", "for pixels from 0 to 1"


def prepared(structure: Structure, text: str | None = None) -> Resolved:
    """The preprocessing of a model whose nodes show this, and beside which this may have come."""
    declared = EMPTY if text is None else from_text(text, (64, 64))
    return resolve(declared, FORM, structure)


@pytest.mark.parametrize(
    ("factor", "offset", "scale", "what"),
    [
        ((1 / 255,), (0.0,), 1, PIXELS),
        ((1 / 127.5,), (-1.0,), 1, PIXELS),
        ((4.37, 4.46, 4.44), (-2.12, -2.04, -1.8), 1 / 255, UNIT),
        ((1.0,), (-0.5,), 1 / 255, UNIT),
        ((1.0,), CAFFE, 1, PIXELS),
        ((255.0,), CAFFE, 1 / 255, UNIT),
    ],
)
def test_graph(factor: tuple[float, ...], offset: tuple[float, ...], scale: float, what: str) -> None:
    """A graph gets the pixels that its own normalisation is for."""
    found = prepared(Structure(factor=factor, offset=offset))

    assert found.preprocessing.scale == pytest.approx(scale)
    assert found.preprocessing.mean == (0.0,) * 3
    assert found.reasons["normalisation"].endswith(f"{what}.")


@pytest.mark.parametrize(("factor", "offset"), [((0.98, 1.02, 1.0), (0.1, 0.05, -0.08)), ((1.4,), (0.2,))])
def test_correction(factor: tuple[float, ...], offset: tuple[float, ...]) -> None:
    """A first layer that only corrects normalised images, as a batch normalisation may, normalises none."""
    found = prepared(Structure(factor=factor, offset=offset))

    assert found.preprocessing.mean == (0.485, 0.456, 0.406)
    assert any("is not declared" in warning for warning in found.warnings)


def test_reversed_twice() -> None:
    """Channels that the graph reverses, and a file of the tool that made it as well, are reversed once."""
    numbers = Structure(factor=(0.2, 0.25, 0.5), offset=(0.0, 0.0, 0.0), backwards=True)

    found = prepared(Structure(backwards=True), FLIPPED).preprocessing

    assert found.channels == "RGB"
    assert (found.mean, found.std) == ((0.3, 0.2, 0.1), (0.2, 0.25, 0.5))
    assert prepared(NOTHING_SEEN, FLIPPED).preprocessing.channels == "BGR"
    assert prepared(numbers, FLIPPED).preprocessing.channels == "RGB"


def test_reversed_and_normalised() -> None:
    """A graph that reverses and normalises gets plain pixels, red first, whatever the file beside it says."""
    factor = tuple(1 / 255 / std for std in (0.2, 0.25, 0.5))
    offset = tuple(-mean / std for mean, std in zip((0.3, 0.2, 0.1), (0.2, 0.25, 0.5), strict=True))

    found = prepared(Structure(factor=factor, offset=offset, backwards=True), FLIPPED)

    assert (found.preprocessing.channels, found.preprocessing.scale) == ("RGB", 1)
    assert "itself, on pixels from 0 to 255" in found.reasons["normalisation"]


def test_reversed_as_said() -> None:
    """Our own form of a preprocessing is followed to the letter."""
    exact = '{"channels": "BGR", "scale": 1, "mean": [0, 0, 0], "std": [1, 1, 1], "resize": "stretch"}'

    assert prepared(Structure(backwards=True), exact).preprocessing.channels == "BGR"
