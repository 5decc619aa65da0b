"""The cut from a resized image, against resizing all of it."""

from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from predictor.image.resize import Interpolation, Scaled, crop, cut, middle, stretch

Pixels = npt.NDArray[np.uint8]
FILTERS = [name for name in get_args(Interpolation) if name not in ("nearest", "box", "linear")]
SIZES = [
    (500, 375),
    (375, 500),
    (333, 500),
    (257, 300),
    (300, 257),
    (256, 256),
    (100, 80),
    (640, 64),
    (1999, 1301),
]


def _noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))


def _resized(width: int, height: int, shortest: int) -> tuple[int, int]:
    """Size by torchvision's `_compute_resized_output_size`: the long side is `int(size * long / short)`."""
    short, long = sorted((width, height))
    other = int(shortest * long / short)
    return (shortest, other) if width <= height else (other, shortest)


def _centre(picture: Pixels, width: int, height: int) -> Pixels:
    """Cut by torchvision's `center_crop`: zeros around what is too small, then `int(round(margin / 2.0))`."""
    rows, columns = max(0, height - picture.shape[0]), max(0, width - picture.shape[1])
    padded = np.pad(picture, ((rows // 2, (rows + 1) // 2), (columns // 2, (columns + 1) // 2), (0, 0)))
    top = int(round((padded.shape[0] - height) / 2.0))  # noqa: RUF046 - as torchvision writes it
    left = int(round((padded.shape[1] - width) / 2.0))  # noqa: RUF046 - as torchvision writes it
    return padded[top : top + height, left : left + width]


def _difference(first: Image.Image, second: Pixels) -> int:
    return int(np.abs(np.asarray(first).astype(int) - second).max())


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", SIZES)
def test_crop_equals_two_steps(size: tuple[int, int], interpolation: Interpolation) -> None:
    """The cut is, within one level at every pixel of noise, what Pillow gives for the whole image."""
    image = _noise(*size)
    whole = image.resize(_resized(*size, 256), Image.Resampling[interpolation.upper()])

    assert _difference(crop(image, 256, (224, 224), interpolation), _centre(np.asarray(whole), 224, 224)) <= 1


@pytest.mark.parametrize("size", SIZES)
def test_crop_box(size: tuple[int, int]) -> None:
    """The box filter, which jumps at its edge, differs from the whole image only at ties."""
    image = _noise(*size)
    whole = image.resize(_resized(*size, 256), Image.Resampling.BOX)
    apart = np.abs(
        np.asarray(crop(image, 256, (224, 224), "box")) - _centre(np.asarray(whole), 224, 224).astype(int)
    )

    assert (apart > 1).any(axis=-1).mean() <= 0.02


@pytest.mark.parametrize("size", [(60, 500), (256, 1500), (300, 2000)])
def test_crop_tall(size: tuple[int, int]) -> None:
    """A tall image is resized across, then down, whatever order the library would take."""
    image = _noise(*size)
    width, height = _resized(*size, 256)
    kind = Image.Resampling.BICUBIC
    whole = image.resize((width, size[1]), kind).resize((width, height), kind)

    assert _difference(crop(image, 256, (224, 224), "bicubic"), _centre(np.asarray(whole), 224, 224)) <= 1


@pytest.mark.parametrize("size", [(500, 375), (333, 500), (100, 80)])
def test_crop_nearest(size: tuple[int, int]) -> None:
    """Nearest takes the source pixel under the centre of each pixel, or its equal neighbour at a tie."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    image = Image.fromarray(np.stack([x % 256, y % 256, x // 256 * 2 + y // 256], -1).astype(np.uint8))
    width = _resized(*size, 256)[0]
    got = np.asarray(crop(image, 256, (224, 224), "nearest")).astype(int)
    column = got[..., 0] + 256 * (got[..., 2] // 2)

    centre = (round((width - 224) / 2) + np.arange(224) + 0.5) * size[0] / width
    assert np.abs(column - (centre - 0.5)).max() <= 0.5 + 1e-6
    assert (got[0, :, 1] == got[0, 0, 1]).all()


@pytest.mark.parametrize(
    ("shortest", "size"), [(100, (224, 224)), (101, (224, 90)), (90, (33, 224)), (64, (65, 65))]
)
def test_crop_adds_black(shortest: int, size: tuple[int, int]) -> None:
    """Where the image is smaller than the cut, black is added around it as torchvision adds it."""
    image = _noise(150, 140)
    whole = image.resize(_resized(150, 140, shortest), Image.Resampling.BILINEAR)

    got = crop(image, shortest, size, "bilinear")

    assert got.size == size
    assert _difference(got, _centre(np.asarray(whole), *size)) <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (65_535, 1), (2, 3)])
@pytest.mark.parametrize("interpolation", ["nearest", "lanczos"])
def test_crop_extreme_proportions(size: tuple[int, int], interpolation: Interpolation) -> None:
    """A line of pixels costs no more than its cut."""
    colour = (10, 200, 30)

    got = np.asarray(crop(Image.new("RGB", size, colour), 256, (224, 224), interpolation))

    assert (got == colour).all()


@pytest.mark.parametrize("interpolation", [name for name in get_args(Interpolation) if name != "linear"])
def test_stretch(interpolation: Interpolation) -> None:
    """Stretching is Pillow's resize to the size, and every filter has its own result."""
    image = _noise(90, 70)
    results = {
        name: stretch(Scaled.whole(image), (64, 48), name).tobytes() for name in get_args(Interpolation)
    }

    assert results[interpolation] == image.resize((64, 48), Image.Resampling[interpolation.upper()]).tobytes()
    assert len(set(results.values())) == len(results)


@pytest.mark.parametrize("size", [*SIZES, (3, 2), (1, 1)])
def test_linear(size: tuple[int, int]) -> None:
    """`linear` weighs the four nearest pixels, as an affine transform by Pillow does, also in grey."""
    image = _noise(*size)
    scales = size[0] / 256, size[1] / 224
    whole = image.transform(
        (256, 224),
        Image.Transform.AFFINE,
        (scales[0], 0, 0, 0, scales[1], 0),
        Image.Resampling.BILINEAR,
    )

    stretched = stretch(Scaled.whole(image), (256, 224), "linear")

    assert _difference(stretched, np.asarray(whole)) <= 1
    grey = stretch(Scaled.whole(image.convert("L")), (256, 224), "linear")
    assert (grey.mode, grey.size) == ("L", (256, 224))


@pytest.mark.parametrize("size", SIZES)
def test_linear_crop(size: tuple[int, int]) -> None:
    """The cut of `linear` is that of the whole image, to the last bit."""
    image = _noise(*size)
    whole = stretch(Scaled.whole(image), _resized(*size, 256), "linear")

    assert _difference(crop(image, 256, (224, 224), "linear"), _centre(np.asarray(whole), 224, 224)) == 0


def test_linear_by_hand() -> None:
    """A row that is halved has means of two neighbours; reduced to a third, it has every third pixel."""
    row = Image.fromarray(np.array([[0, 100, 200, 50, 60, 70]], np.uint8))

    assert np.asarray(stretch(Scaled.whole(row), (3, 1), "linear")).tolist() == [[50, 125, 65]]
    assert np.asarray(stretch(Scaled.whole(row), (2, 1), "linear")).tolist() == [[100, 60]]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", FILTERS)
def test_middle(size: tuple[int, int], interpolation: Interpolation) -> None:
    """Without a rounding, the middle is what Pillow's ImageOps.fit gives."""
    image = _noise(*size)
    fitted = ImageOps.fit(image, (224, 200), Image.Resampling[interpolation.upper()])

    assert (
        _difference(middle(Scaled.whole(image), (224, 200), (224, 200), interpolation), np.asarray(fitted))
        <= 1
    )
    assert middle(Scaled.whole(image), (256, 256), (224, 224), "linear").size == (224, 224)
    assert middle(Scaled.whole(image), (100, 100), (224, 224), interpolation).size == (224, 224)


@pytest.mark.parametrize("interpolation", [*get_args(Interpolation)])
@pytest.mark.parametrize("size", [(500, 375), (375, 501), (90, 120)])
def test_exact(size: tuple[int, int], interpolation: Interpolation) -> None:
    """An exact cut is, bit by bit, the middle of the whole image that was resized."""
    image = Image.fromarray(np.random.default_rng(4).integers(0, 256, (size[1], size[0], 3), np.uint8))
    resized = (341, 256) if size[0] > size[1] else (256, 341)
    whole = stretch(Scaled.whole(image), resized, interpolation)
    left, top = round((resized[0] - 224) / 2), round((resized[1] - 224) / 2)

    part = cut(Scaled.whole(image), resized, (224, 224), interpolation, exact=True)

    assert part.tobytes() == whole.crop((left, top, left + 224, top + 224)).tobytes()


@pytest.mark.parametrize("size", [(500, 375), (374, 501), (90, 120)])
def test_cut_out_first(size: tuple[int, int]) -> None:
    """The middle may be cut out before it is resized, as Lobe and fastai do: nothing around it is seen."""
    image = Image.fromarray(np.random.default_rng(5).integers(0, 256, (size[1], size[0], 3), np.uint8))
    side = min(size)
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    expected = image.crop((left, top, left + side, top + side)).resize((64, 64), Image.Resampling.BILINEAR)

    found = middle(Scaled.whole(image), (64, 64), (64, 64), "bilinear", "first")

    assert found.tobytes() == expected.tobytes()
