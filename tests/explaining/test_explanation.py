"""The overlay lies in the frame of the image, and its colours say what they should."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from predictor.explaining import explanation
from predictor.image.resize import Box

WHOLE = (0.0, 0.0, 1.0, 1.0)


def drawn(
    grid: list[list[float]], box: Box = WHOLE, size: tuple[int, int] = (140, 70)
) -> npt.NDArray[np.int64]:
    """The pixels of an overlay over a grey image."""
    data = explanation.overlay(Image.new("L", size, 128), np.array(grid, float), box, "a text ü")
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["Description"] == "a text ü"
        return np.asarray(image.convert("RGB")).astype(int)


def test_colours() -> None:
    """What speaks for the class is orange, what speaks against it blue, and nothing in between grey."""
    pixels = drawn([[1.0, 0.0, -0.5]])

    red, _, blue = pixels[35, 5]
    assert red > blue + 90
    assert np.ptp(pixels[35, 70]) < 6
    red, _, blue = pixels[35, 135]
    assert blue > red + 30


def test_nothing() -> None:
    """A map of zeros leaves the image grey."""
    assert np.ptp(drawn([[0.0] * 7] * 7), axis=2).max() == 0


def test_unseen() -> None:
    """What the model did not see is dark and has no colour."""
    pixels = drawn([[1.0]], (0.25, 0.0, 0.75, 1.0))

    unseen = np.concatenate([pixels[:, :35], pixels[:, 105:]], axis=1)
    assert np.ptp(unseen, axis=2).max() == 0
    assert unseen.max() < 100
    assert (np.ptp(pixels[:, 35:105], axis=2) > 90).all()


def test_edge_that_was_added() -> None:
    """Where the box reaches beyond the image, only the part inside is drawn."""
    pixels = drawn([[1.0], [1.0], [-1.0], [-1.0]], (0.0, -0.5, 1.0, 1.5))

    assert pixels[5, 70, 0] > pixels[5, 70, 2]
    assert pixels[65, 70, 2] > pixels[65, 70, 0]


def test_size() -> None:
    """A large image is drawn small, a line of pixels stays a line."""
    for size, expected in (((4096, 2048), (1024, 512)), ((60_000, 1), (1024, 1)), ((30, 20), (30, 20))):
        image = Image.new("RGB", size)

        assert explanation.grey_base(image, (0.0, 0.0, float(size[0]), float(size[1])), size).size == expected
