"""Preprocessing: its values, its JSON form, and the tensors it makes."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import Preprocessing, to_tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET = Preprocessing(dtype="float32", scale=1 / 255, mean=MEAN, std=STD)
FORM: dict[str, Any] = {
    "size": [224, 224],
    "resize": "crop",
    "resize_to": 256,
    "interpolation": "bicubic",
    "channels": "RGB",
    "layout": "NHWC",
    "dtype": "uint8",
    "scale": 1.0,
    "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
}
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def image() -> Image.Image:
    """Random pixels, 300 wide and 260 high."""
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (260, 300, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def cut(image: Image.Image) -> Pixels:
    """The pixels of the default cut, by Pillow's resize of the whole image and a slice."""
    whole = image.resize((295, 256), Image.Resampling.BICUBIC)
    return np.asarray(whole)[16:240, 36:260]


def test_json_form() -> None:
    """The default value has the documented JSON form, in its order."""
    form = Preprocessing().to_json()

    assert form == FORM
    assert list(form) == list(FORM)


@pytest.mark.parametrize(
    "value",
    [
        Preprocessing(),
        dataclasses.replace(IMAGENET, layout="NCHW", channels="BGR", height=192, width=320),
        Preprocessing(channels="L", mean=(0.5,), std=(0.5,), dtype="float16", resize="stretch"),
    ],
)
def test_json_round_trip(value: Preprocessing) -> None:
    """What was written is read back equal."""
    assert Preprocessing.from_json(value.to_json()) == value


@pytest.mark.parametrize("field", FORM)
def test_json_missing(field: str) -> None:
    """A missing field is named."""
    form = {name: value for name, value in FORM.items() if name != field}

    with pytest.raises(ValueError, match=f"^{field} is missing"):
        Preprocessing.from_json(form)


def test_json_unknown() -> None:
    """An unknown field is named."""
    with pytest.raises(ValueError, match=r"^colour is unknown"):
        Preprocessing.from_json({**FORM, "colour": "RGB"})


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("size", [0, 224], "height"),
        ("size", [224, 4097], "width"),
        ("size", [224], "size"),
        ("size", "224", "size"),
        ("size", [224.0, 224], "height"),
        ("size", [224, True], "width"),
        ("resize", "squash", "resize"),
        ("resize", ["crop"], "resize"),
        ("resize_to", -1, "resize_to"),
        ("resize_to", None, "resize_to"),
        ("interpolation", "cubic", "interpolation"),
        ("channels", "CMYK", "channels"),
        ("channels", "L", "mean"),
        ("layout", "CHW", "layout"),
        ("dtype", "float64", "dtype"),
        ("scale", math.nan, "scale"),
        ("scale", "1", "scale"),
        ("scale", 10**400, "scale"),
        ("scale", 2, "dtype"),
        ("mean", [0, 0], "mean"),
        ("mean", 0, "mean"),
        ("mean", [0, 0, True], "mean"),
        ("mean", [0, 0, 1], "dtype"),
        ("std", [1, 1, 0], "std"),
        ("std", [1, 1, -1], "std"),
        ("std", [1, 1, math.inf], "std"),
        ("std", [1, 1, 2], "dtype"),
    ],
)
def test_json_wrong(field: str, value: object, named: str) -> None:
    """A value that cannot be used is refused by a sentence that begins with its name."""
    with pytest.raises(ValueError, match=f"^{named} "):
        Preprocessing.from_json({**FORM, field: value})


@pytest.mark.parametrize("value", [None, [], "crop", 3])
def test_json_not_an_object(value: object) -> None:
    """Only a JSON object is read."""
    with pytest.raises(ValueError, match="object"):
        Preprocessing.from_json(value)


def test_shortest() -> None:
    """A decoder must leave 512 pixels and five times what the resize needs, be it for a crop or a stretch."""
    assert Preprocessing().shortest == 5 * 256
    assert Preprocessing(32, 32, resize_to=36).shortest == 512
    assert Preprocessing(resize="stretch", height=100, width=300).shortest == 5 * 300


@pytest.mark.parametrize(
    ("change", "shape"),
    [
        ({}, (224, 224, 3)),
        ({"layout": "NCHW", "height": 100}, (3, 100, 224)),
        ({"channels": "L", "mean": (0.0,), "std": (1.0,), "width": 50}, (224, 50, 1)),
        ({"channels": "L", "mean": (0.0,), "std": (1.0,), "layout": "NCHW"}, (1, 224, 224)),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32", "float16"])
def test_shape_and_type(
    change: dict[str, Any], shape: tuple[int, ...], dtype: Any, image: Image.Image
) -> None:
    """A tensor is contiguous and has the shape and type that were asked for."""
    preprocessing = Preprocessing(dtype=dtype, **change)
    tensor = to_tensor(image, preprocessing)

    assert tensor.shape == preprocessing.shape == shape
    assert tensor.dtype == dtype
    assert tensor.flags.c_contiguous


def test_plain_pixels(image: Image.Image, cut: Pixels) -> None:
    """Without normalisation the tensor is the cut itself, in every type."""
    plain = to_tensor(image, Preprocessing()).astype(int)

    assert np.abs(plain - cut).max() <= 1
    for dtype, shift in (("float32", 0), ("float16", 0), ("int8", 128)):
        preprocessing = Preprocessing.from_json({**FORM, "dtype": dtype})
        assert np.array_equal(to_tensor(image, preprocessing).astype(int) + shift, plain)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 3e-3)])
def test_normalised(layout: Any, channels: Any, dtype: Any, tolerance: float, image: Image.Image) -> None:
    """Values are (pixel * scale - mean) / std computed in 64 bits, in either channel order and layout."""
    pixels = to_tensor(image, Preprocessing()).astype(np.float64)
    ordered = pixels[..., ::-1] if channels == "BGR" else pixels
    expected = (ordered / 255 - MEAN) / STD
    preprocessing = dataclasses.replace(IMAGENET, layout=layout, channels=channels, dtype=dtype)

    tensor = to_tensor(image, preprocessing).astype(np.float64)

    assert np.abs((tensor.transpose(1, 2, 0) if layout == "NCHW" else tensor) - expected).max() < tolerance


def test_grey(image: Image.Image) -> None:
    """One channel is the luma of ITU-R BT.601."""
    square = image.resize((224, 224))
    preprocessing = Preprocessing(
        resize="stretch", channels="L", dtype="float32", scale=1 / 255, mean=(0.5,), std=(0.25,)
    )

    tensor = to_tensor(square, preprocessing)

    luma = np.asarray(square) @ [0.299, 0.587, 0.114]
    assert np.abs(tensor[..., 0] - (luma / 255 - 0.5) / 0.25).max() < 1.01 / 255 / 0.25


def test_opacity() -> None:
    """The fourth channel is the opacity; an image without one is opaque."""
    glass = Image.new("RGBA", (8, 8), (200, 100, 50, 128))
    form = Preprocessing(8, 8, resize="stretch", channels="RGBA", mean=(0.0,) * 4, std=(1.0,) * 4)

    assert form.shape == (8, 8, 4)
    assert to_tensor(glass, form)[0, 0].tolist() == [200, 100, 50, 128]
    assert to_tensor(glass.convert("RGB"), form)[0, 0].tolist() == [200, 100, 50, 255]


def test_grey_before_resizing(image: Image.Image) -> None:
    """An image is made grey before it is resized, and what is added around it is grey as well."""
    form = Preprocessing(
        20,
        60,
        resize="fit",
        resize_to=(20, 60),
        interpolation="bilinear",
        channels="L",
        mean=(0.0,),
        std=(1.0,),
        fill=(255, 0, 0),
    )

    tensor = to_tensor(image.resize((50, 50)), form)[..., 0]

    grey = image.resize((50, 50)).convert("L").resize((20, 20), Image.Resampling.BILINEAR)
    assert np.abs(tensor[:, 20:40].astype(int) - np.asarray(grey)).max() <= 1
    # The luma of red.
    assert (tensor[:, :20] == 76).all()


def test_stretch(image: Image.Image) -> None:
    """Stretching takes the whole image."""
    tensor = to_tensor(image, Preprocessing(resize="stretch", height=64, width=80, interpolation="bilinear"))

    assert np.array_equal(tensor, np.asarray(image.resize((80, 64), Image.Resampling.BILINEAR)))


# With a whole number of halves, without one, and two whose half has other proportions than the whole.
@pytest.mark.parametrize("size", [(4000, 3000), (4001, 3001), (3873, 3098), (2846, 4217)])
@pytest.mark.parametrize("resize", ["crop", "stretch", "fit"])
def test_reduced_jpeg_keeps_quality(size: tuple[int, int], resize: Any, encode: Callable[..., bytes]) -> None:
    """A 12-megapixel JPEG decoded at reduced scale gives the tensor of a full decode but for its rounding."""
    x, y = np.meshgrid(*map(np.arange, size))
    wave = 128 + 90 * np.sin(x / 25) * np.cos(y / 20)
    noise = np.random.default_rng(5).normal(0, 12, x.shape)
    pixels = np.clip(np.stack([wave + noise, 255 - wave + noise, x / 18 + noise], -1), 0, 255)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(pixels.astype(np.uint8)), "JPEG", quality=90, exif=exif)
    preprocessing = Preprocessing(resize=resize)

    reduced, full = (decode_scaled(data, Limits(), short) for short in (preprocessing.shortest, 0))

    assert reduced.pixels.width < full.pixels.width
    differences = np.abs(to_tensor(reduced, preprocessing) - to_tensor(full, preprocessing).astype(int))
    assert differences.mean() < 0.3
    assert differences.max() <= 3
