"""The candidates are plausible, differ, and keep what the graph prescribes."""

import dataclasses
from typing import Any

import pytest

from predictor.evaluation.candidates import Candidate, geometries, values
from predictor.image.preprocess import Preprocessing

FLOAT = Preprocessing(
    layout="NCHW", dtype="float32", scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


def test_values() -> None:
    """Ranges, means and orders of channels are tried; the present one is among them once."""
    found = values(FLOAT)

    assert len(found) == 12
    assert [one.values for one in found if one.current] == ["ImageNet mean and std, RGB"]
    assert {(one.preprocessing.layout, one.preprocessing.dtype) for one in found} == {("NCHW", "float32")}
    assert len({one.preprocessing for one in found}) == 12


def test_blue_first() -> None:
    """Where blue comes first, so does its mean."""
    by_name = {one.values: one.preprocessing for one in values(FLOAT)}

    assert by_name["ImageNet mean and std, BGR"].mean == (0.406, 0.456, 0.485)
    # Keras's mode caffe: https://keras.io/api/applications/ (preprocess_input, mode="caffe").
    assert by_name["0 to 255 minus the ImageNet mean, BGR"].mean == (103.939, 116.779, 123.68)


def test_present_in_other_words() -> None:
    """A preprocessing is known again when its numbers are written otherwise."""
    same = dataclasses.replace(FLOAT, scale=1.0, mean=(127.5,) * 3, std=(127.5,) * 3)

    assert [one.values for one in values(same) if one.current] == ["-1 to 1, RGB"]


def test_present_of_its_own() -> None:
    """A present preprocessing that is no family's is tried as well."""
    odd = dataclasses.replace(FLOAT, mean=(0.1, 0.2, 0.3))

    found = values(odd)

    assert (len(found), found[0]) == (13, Candidate("current", odd, current=True))


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        (
            {"dtype": "uint8", "scale": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3},
            ["pixels, RGB", "pixels, BGR"],
        ),
        (
            {"channels": "L", "mean": (0.5,), "std": (0.5,)},
            [
                "0 to 255, grey",
                "0 to 1, grey",
                "-1 to 1, grey",
                "ImageNet mean and std, grey",
                "MNIST mean and std, grey",
            ],
        ),
    ],
)
def test_prescribed(changed: dict[str, Any], names: list[str]) -> None:
    """Whole numbers are pixels, and grey images have one mean and no order."""
    assert [one.values for one in values(dataclasses.replace(FLOAT, **changed))] == names


def test_geometries() -> None:
    """With the best values the ways to the size are tried, but not again the one that it has."""
    best = values(dataclasses.replace(FLOAT, interpolation="bilinear"))[0]

    found = geometries(best)

    assert [one.geometry for one in found] == [
        "resized to 256, centre 224 x 224 cropped, bicubic",
        "resized to 235, centre 224 x 224 cropped, bicubic",
        "resized to 224, centre 224 x 224 cropped, bicubic",
        "stretched to 224 x 224, bilinear",
        "stretched to 224 x 224, bicubic",
        "fitted into 224 x 224, bilinear",
    ]
    assert {one.values for one in found} == {best.values}


def test_oblong() -> None:
    """An oblong input is cut out of an oblong area."""
    best = Candidate("", dataclasses.replace(FLOAT, height=128, width=256))

    assert geometries(best)[0].preprocessing.resize_to == (146, 292)
