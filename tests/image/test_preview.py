"""The image that a model saw is had back from its input, pixel for pixel."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from predictor.image.preprocess import Preprocessing, to_tensor
from predictor.image.preview import png

IMAGENET: dict[str, Any] = {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize(
    "values",
    [
        {"dtype": "uint8"},
        {"dtype": "int8"},
        {"dtype": "float32", **IMAGENET},
        {"dtype": "float16", **IMAGENET},
        {"dtype": "float32", "mean": (103.939, 116.779, 123.68)},
    ],
)
def test_restored(layout: Any, channels: Any, values: dict[str, Any]) -> None:
    """Whatever was done with the values is undone, and red is red again."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    form = Preprocessing(6, 9, resize="stretch", layout=layout, channels=channels, **values)

    restored = Image.open(io.BytesIO(png(to_tensor(Image.fromarray(pixels), form), form)))

    assert restored.mode == "RGB"
    # Half precision holds 11 bits, so that a pixel may be one off.
    assert np.abs(np.asarray(restored).astype(int) - pixels).max() <= (values["dtype"] == "float16")


def test_grey() -> None:
    """A grey input is a grey image."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5), np.uint8)
    form = Preprocessing(
        5,
        5,
        resize="stretch",
        channels="L",
        layout="NCHW",
        dtype="float32",
        scale=1 / 255,
        mean=(0.1307,),
        std=(0.3081,),
    )

    restored = Image.open(io.BytesIO(png(to_tensor(Image.fromarray(pixels).convert("RGB"), form), form)))

    assert (restored.mode, np.array_equal(np.asarray(restored), pixels)) == ("L", True)
