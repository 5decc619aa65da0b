"""Three images that are to a network like photographs: light, areas of colour, edges, fine structure."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

_SIZES = ((640, 480), (480, 640), (500, 375))
_OCTAVES = (2, 5, 11, 23, 60)
_NOISE = 3.0
_SHAPES = 9

Pixels = npt.NDArray[np.float64]


def write(folder: Path) -> list[Path]:
    """Write the same three JPEG files each time; those that are there are kept.

    Args:
        folder: where to.

    Returns:
        Their paths, in the order of their names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"photograph-{number}.jpg" for number in range(1, len(_SIZES) + 1)]
    for number, (path, size) in enumerate(zip(paths, _SIZES, strict=True)):
        if not path.exists():
            _photograph(number, size).save(path, quality=92)
    return paths


def _photograph(number: int, size: tuple[int, int]) -> Image.Image:
    chance = np.random.default_rng(100 + number)
    pixels = _light(chance, size) + _texture(chance, size)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    _things(chance, image)
    noisy = np.asarray(image) + chance.normal(0, _NOISE, (size[1], size[0], 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _light(chance: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """A colour that changes from top to bottom, [height, width, 3]."""
    above, below = chance.uniform(40, 220, (2, 3))
    share = np.linspace(0, 1, size[1])[:, None, None]
    return np.broadcast_to(above * (1 - share) + below * share, (size[1], size[0], 3))


def _texture(chance: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """Noise of several scales, the finer the weaker, most of it alike in all channels."""
    total = np.zeros((size[1], size[0], 3))
    for cells in _OCTAVES:
        grey, colours = chance.normal(size=(cells, cells)), chance.normal(size=(cells, cells, 3))
        for channel in range(3):
            grid = Image.fromarray((grey + 0.4 * colours[..., channel]).astype(np.float32))
            total[..., channel] += np.asarray(grid.resize(size, Image.Resampling.BICUBIC)) * 60 / cells**0.5
    return total


def _things(chance: np.random.Generator, image: Image.Image) -> None:
    """Draw things with sharp edges."""
    draw = ImageDraw.Draw(image)
    for index in range(_SHAPES):
        left, top = (int(chance.integers(0, side - 20)) for side in image.size)
        width, height = (int(chance.integers(20, side // 3)) for side in image.size)
        colour = tuple(int(value) for value in chance.integers(0, 255, 3))
        shape = draw.ellipse if index % 2 else draw.rectangle
        shape((left, top, left + width, top + height), fill=colour)
