"""What a model saw is had back from its input, pixel for pixel, and is found in the frame of the image."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from predictor.image.preprocess import Preprocessing, to_tensor
from predictor.image.preview import png, seen_box
from predictor.image.resize import Size

IMAGENET: dict[str, Any] = {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

FORMS = {
    "crop": Preprocessing(96, 96, "crop", 110, "bilinear"),
    "crop, wide": Preprocessing(64, 128, "crop", 140, "bilinear"),
    "crop of an area": Preprocessing(96, 96, "crop", (110, 120), "bilinear"),
    "crop, larger than the image": Preprocessing(96, 96, "crop", 80, "bilinear"),
    "middle": Preprocessing(96, 96, "crop", 110, "bilinear", rounding="none"),
    "cut first": Preprocessing(96, 96, "crop", 110, "bilinear", rounding="first"),
    "stretch": Preprocessing(96, 64, "stretch", 100, "bilinear"),
    "stretch and cut": Preprocessing(96, 96, "stretch", (110, 130), "bilinear"),
    "fit": Preprocessing(96, 96, "fit", 96, "bilinear"),
    "fit with an edge": Preprocessing(96, 96, "fit", 64, "bilinear", rounding="down"),
}
SIZES = [(300, 200), (200, 301), (240, 240)]


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


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_box(form: Preprocessing, size: Size) -> None:
    """Each pixel of the input shows the place of the image that the box gives it, within a pixel or two."""
    width, height = size
    rows, columns = np.indices((height, width)) + 0.5
    pixels = np.stack([255 * columns / width, 255 * rows / height, np.full((height, width), 255)], axis=2)
    seen = to_tensor(Image.fromarray(pixels.astype(np.uint8)), form).astype(float)

    left, top, right, bottom = seen_box(size, form)

    x = left + (np.arange(form.width) + 0.5) / form.width * (right - left)
    y = top + (np.arange(form.height) + 0.5) / form.height * (bottom - top)
    # The blue of an edge that was added is mixed where the image begins.
    inside = seen[:, :, 2] == 255
    assert inside.mean() > 0.2
    assert np.abs(seen[:, :, 0] * width / 255 - x)[inside].max() < 3
    assert np.abs(seen[:, :, 1] * height / 255 - y[:, np.newaxis])[inside].max() < 3
    # Nothing of the image is said to be outside.
    within = ((x > 2) & (x < width - 2)) & ((y > 2) & (y < height - 2))[:, np.newaxis]
    assert inside[within].all()


def test_extreme() -> None:
    """A line of pixels has a box, too."""
    left, top, right, bottom = seen_box((60_000, 1), Preprocessing(96, 96, "fit", 96, "bilinear"))

    assert (left, right) == (0, 60_000)
    assert (top, bottom) == (-47, 49)
