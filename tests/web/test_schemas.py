"""A field that is wrong is named, in words of our own."""

from typing import Any

import pytest

from predictor.errors import InvalidRequest
from predictor.web import schemas


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"image": 5}, "image must be a string."),
        ({"images": "a"}, "images must be a list."),
        ({"images": []}, "images must have at least 1 entry."),
        ({"images": ["a", 5]}, "images.1 must be a string."),
        ({"top_k": 0}, "top_k must be at least 1."),
        ({"top_k": 10**9}, "top_k must be at most 1000000."),
        ({"top_k": "5"}, "top_k must be a whole number."),
        ({"top_k": 1.5}, "top_k must be a whole number."),
        ({"topk": 5}, "topk is not a field that is known here."),
        (
            {"model": "a/b"},
            (
                "model must be 1 to 64 letters, digits, dots, hyphens or underscores, "
                "the first a letter or digit."
            ),
        ),
        ([], "The body is not in the documented form."),
        ({"<!doctype html>": 5}, "A name in the request is not a field that is known here."),
    ],
)
def test_sentences(values: Any, sentence: str) -> None:
    """Each mistake has its sentence."""
    with pytest.raises(InvalidRequest) as caught:
        schemas.check(schemas.PredictRequest, values, strict=True)

    assert caught.value.detail == sentence


@pytest.mark.parametrize("text", ["five", "1.5", "9" * 5000])
def test_numbers_of_a_query(text: str) -> None:
    """A number of a query that is none is named."""
    with pytest.raises(InvalidRequest, match=r"^top_k "):
        schemas.check(schemas.Options, {"top_k": text}, strict=False)
