"""torchvision's `Compose` means what its steps do to an image, printed or as it stands in a program."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.discovery.configs.roles import said
from predictor.discovery.discover import discover
from predictor.errors import InvalidModel
from predictor.image.preprocess import to_tensor
from predictor.model.spec import Graph, ModelSpec, Tensor

MEAN, STD = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
BICUBIC = Image.Resampling.BICUBIC
Pixels = npt.NDArray[Any]

# As torchvision 0.28 and timm 1.0.31 print them.
CROP = """Compose(
    Resize(size=256, interpolation=bilinear, max_size=None, antialias=True)
    CenterCrop(size=(224, 224))
    ToTensor()
    Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
)
"""
CROP_V2 = """Compose(
      Resize(size=[256], interpolation=bilinear, antialias=True)
      CenterCrop(size=(224, 224))
      ToImage()
      ToDtype(scale=True)
      Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], inplace=False)
)"""
TIMM = """Compose(
    Resize(size=235, interpolation=bicubic, max_size=None, antialias=True)
    CenterCrop(size=(224, 224))
    MaybeToTensor()
    Normalize(mean=tensor([0.4850, 0.4560, 0.4060]), std=tensor([0.2290, 0.2240, 0.2250]))
)"""
STRETCH = """Compose(
    Resize(size=(224, 224), interpolation=bilinear, max_size=None, antialias=True)
    ToTensor()
)"""
GREY = """Compose(
    Grayscale(num_output_channels=1)
    Resize(size=(28, 28), interpolation=bilinear, max_size=None, antialias=True)
    ToTensor()
    Normalize(mean=(0.1307,), std=(0.3081,))
)"""
PROGRAM = """transform = transforms.Compose([
    transforms.Resize(256),
    transforms.CenterCrop((224, 224)),
    transforms.ToTensor(),
    transforms.Normalize([0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
])"""
COMMENTED = """# validation (as in the paper
transform = transforms.Compose([
    transforms.Resize(256),  # short side
    # transforms.RandomCrop(224),
    transforms.CenterCrop((224, 224)),
    transforms.ToTensor(),
    transforms.Normalize([0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),  # ImageNet's
])"""
# As CLIP and open_clip print theirs.
CLIP = CROP.replace("    ToTensor", "    <function _convert_image_to_rgb at 0x7f0f0f0f0f0f>\n    ToTensor")
OPEN_CLIP = PROGRAM.replace(
    "    transforms.ToTensor(),\n", "    _convert_to_rgb,\n    transforms.ToTensor(),\n"
)


@pytest.fixture(scope="module")
def cat() -> Image.Image:
    """A photograph."""
    return Image.open(Path(__file__).parents[1] / "data" / "cat.jpg").convert("RGB")


def discovered(text: str, *shape: int | None) -> ModelSpec:
    """What transforms mean for a classifier of two classes, whose input has a shape."""
    image = Tensor("x", "float32", shape or (None, 3, 224, 224))
    return discover(Graph((image,), (Tensor("y", "float32", (None, 2)),)), preprocessing_text=text)


def tensor(image: Image.Image, text: str, *shape: int | None) -> Pixels:
    """What transforms make of an image."""
    return to_tensor(image, discovered(text, *shape).preprocessing, exact=True)


def cropped(image: Image.Image, short: int, resampling: Image.Resampling) -> Pixels:
    """The middle of an image, from 0 to 1, once its short side has so many pixels."""
    width, height = (short * side // min(image.size) for side in image.size)
    left, top = round((width - 224) / 2), round((height - 224) / 2)
    part = image.resize((width, height), resampling).crop((left, top, left + 224, top + 224))
    return np.asarray(part).transpose(2, 0, 1) / 255


@pytest.mark.parametrize(
    ("text", "short", "resampling"),
    [
        (CROP, 256, Image.Resampling.BILINEAR),
        (CROP_V2, 256, Image.Resampling.BILINEAR),
        *((text, 256, Image.Resampling.BILINEAR) for text in (PROGRAM, COMMENTED, CLIP, OPEN_CLIP)),
        (CROP.replace("bilinear", "InterpolationMode.BICUBIC"), 256, BICUBIC),
        (TIMM, 235, BICUBIC),
    ],
)
def test_crop(text: str, short: int, resampling: Image.Resampling, cat: Image.Image) -> None:
    """The middle is cut out of the resized image, scaled and normalised."""
    expected = (cropped(cat, short, resampling) - MEAN[:, None, None]) / STD[:, None, None]

    assert np.allclose(tensor(cat, text), expected, atol=1e-5)
    assert discovered(text).reasons["preprocessing"].startswith("Read from torchvision's Compose")


def test_stretch(cat: Image.Image) -> None:
    """With height and width the proportions are given up; without Normalize, pixels are from 0 to 1."""
    expected = np.asarray(cat.resize((224, 224), Image.Resampling.BILINEAR)).transpose(2, 0, 1) / 255

    assert np.allclose(tensor(cat, STRETCH), expected, atol=1e-6)


def test_grey(cat: Image.Image) -> None:
    """Grey images are resized and normalised by the numbers of one channel."""
    pixels = np.asarray(cat.convert("L").resize((28, 28), Image.Resampling.BILINEAR)) / 255

    assert np.allclose(tensor(cat, GREY, None, 1, 28, 28)[0], (pixels - 0.1307) / 0.3081, atol=1e-5)


def test_free_size() -> None:
    """Transforms say the size where the graph takes any."""
    used = discovered(GREY.replace("(28, 28)", "(30, 40)"), None, 1, None, None).preprocessing

    assert (used.height, used.width) == (30, 40)


def test_no_resize() -> None:
    """Images of the right size stay as they are where no step resizes, and a warning says so."""
    spec = discovered("Compose(\n    ToTensor()\n    Normalize(mean=0.5, std=0.5)\n)", None, 3, 32, 32)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))

    pixels = np.asarray(image).transpose(2, 0, 1) / 255
    assert np.allclose(to_tensor(image, spec.preprocessing), (pixels - 0.5) / 0.5, atol=1e-6)
    assert spec.warnings[0].startswith("Compose has no Resize")


def test_no_crop() -> None:
    """A short side alone is no size of a batch: the middle is cut out, and a warning says so."""
    spec = discovered("Compose([Resize(224), ToTensor()])")

    assert (spec.preprocessing.resize, spec.preprocessing.resize_to) == ("crop", 224)
    assert spec.warnings[0].startswith("Compose has no CenterCrop")


def test_unscaled() -> None:
    """Pixels stay from 0 to 255 where no step scales them."""
    text = "v2.Compose([v2.ToImage(), v2.Resize((224, 224)), v2.ToDtype(torch.float32)])"

    assert discovered(text).preprocessing.scale == 1
    assert discovered(text.replace("32)", "32, scale=True)")).preprocessing.scale == 1 / 255


def test_beside_the_model() -> None:
    """A file of transforms is recognised, whatever it is called."""
    assert said("val.txt", CROP) == {"preprocessing": True}
    assert said("val.txt", "Compose yourself\n") == {}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (CROP.replace("CenterCrop(", "RandomCrop("), "RandomCrop, which is for training"),
        (CROP.replace("ToTensor()", "Lambda()"), "Lambda, which is not supported"),
        (CLIP.replace("_convert_image_to_rgb", "sharpen"), "the function sharpen, which is not supported"),
        (CLIP.replace("_convert_image_to_rgb", "rgb_to_lab"), "the function rgb_to_lab, which is not"),
        (CLIP.replace("_convert_image_to_rgb", "f.<locals>.<lambda>"), "the function lambda, which is not"),
        (
            CLIP.replace(
                "function _convert_image_to_rgb at 0x7f0f0f0f0f0f", "bound method A.b of <A object>"
            ),
            "the function b, which is not",
        ),
        (CLIP.replace("function _convert_image_to_rgb", "A object"), "Compose cannot be read"),
        (OPEN_CLIP.replace("_convert_to_rgb", "models.sharpen"), "the function sharpen, which is not"),
        (CROP.replace("max_size=None", "max_size=300"), "Resize.max_size is not supported"),
        (CROP.replace("antialias=True", "antialias=False"), "Resize.antialias must be True"),
        (CROP.replace("=bilinear", "=nearest-exact"), "Resize.interpolation must be one of"),
        (CROP.replace("size=256", "size=x"), "Resize.size must be"),
        (CROP.replace("size=256, ", ""), "Resize.size is missing"),
        (CROP.replace("size=256", "scale=256"), "Resize.scale is unknown"),
        (CROP.replace("(224, 224)", "(200, 224)"), "CenterCrop.size asks for 200 x 224"),
        (CROP.replace("0.485, ", ""), "Normalize.mean must have 3 numbers"),
        (CROP.replace("0.229", "0"), "Normalize.std must be above 0"),
        (CROP.replace(", std=[0.229, 0.224, 0.225]", ""), "Normalize.std is missing"),
        (CROP.replace("ToTensor()", "CenterCrop(9)"), "once, after Resize"),
        (CROP.replace("ToTensor()", "Resize(9)"), "resizes images twice"),
        (CROP.replace("ToTensor()", "Normalize(0, 1)"), "normalises images twice"),
        (GREY.replace("channels=1", "channels=3"), "must be 1. If all images are grey, leave this"),
        (CROP + "and more", "Compose cannot be read"),
        (
            "Compose([\n  Resize(p=1.0, height=224, width=224),\n], p=1.0)",
            "such as albumentations, need JSON",
        ),
        ("A.Compose([A.Resize(224, 224), A.Normalize(), ToTensorV2()])", "such as albumentations, need JSON"),
        ('{"__version__": "2.0.8", "transform": {}}', 'give the service\'s own in its place. {"size": 224'),
        (CROP.rstrip(")\n"), "Compose cannot be read"),
        ("Compose([Resize(256, size=256)])", "Compose cannot be read"),
        ("Compose(" + "(" * 20_000, "Compose cannot be read"),
        ("Compose(Normalize(mean=" + "[" * 4000 + "))", "Compose cannot be read"),
        ("Compose(Normalize(mean=" + "[" * 250 + "]" * 250 + ", std=1))", "Normalize.mean must be"),
    ],
)
def test_refused(text: str, named: str) -> None:
    """A step that is unknown, wrong or not supported is named."""
    with pytest.raises(InvalidModel) as error:
        discovered(text, *((None, 1, 28, 28) if text.startswith("Compose(\n    Gray") else ()))

    assert named in error.value.detail
