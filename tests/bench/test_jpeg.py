"""What the table of JPEGs says follows from its rows, and the bound in it is that of the service."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from bench.jpeg_table import DEFAULT_BOUND, DENOMINATORS, Row, chosen, document
from predictor.image.decode import Limits, decode
from predictor.image.preprocess import Preprocessing

ROW = Row("1.jpg", 12.0, "net 224", 2, 3000, 256, 0.002, False, 90.0)


@pytest.mark.parametrize(("width", "height"), [(4100, 2100), (2040, 3000), (500, 375), (1024, 9000)])
@pytest.mark.parametrize("target", [256, 73, 32])
def test_chosen(width: int, height: int, target: int) -> None:
    """An image is taken to be decoded at the scale at which the service decodes it."""
    out = io.BytesIO()
    Image.new("L", (width, height)).save(out, "JPEG")

    image = decode(out.getvalue(), Limits(), Preprocessing(resize_to=target).shortest)

    denominator = chosen(min(width, height), target, DEFAULT_BOUND)
    assert denominator in DENOMINATORS
    assert image.size == (-(-width // denominator), -(-height // denominator))


def test_document() -> None:
    """Each bound has the images that would be decoded at a fraction with it, and no others."""
    other = replace(ROW, denominator=4, difference=0.01, changed=True)
    large = replace(other, megapixels=24.0, short=4200)
    rows = [replace(ROW, denominator=1, difference=0.001), ROW, other, large]

    lines = document(rows).splitlines()

    assert "| 2 | 1 | 0.01000 | 0.0100 | 1 |" in lines
    assert "| 4 | 2 | 0.00600 | 0.0100 | 1 |" in lines
    assert "| 5 | 1 | 0.00200 | 0.0020 | 0 |" in lines
    assert "| net 224 | 256 | 1 | 0.00100 | 0.0010 | 0 | 1 | 0.00200 | 0.0020 | 0 |" in lines
    assert "| 5 to 6 | 1 | 0.00200 | 0.0020 | 0 |" in lines
