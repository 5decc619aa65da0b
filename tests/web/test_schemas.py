"""A field that is wrong is named, in words of our own."""

import math
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from predictor.errors import InvalidRequest
from predictor.web import inference_schemas, schemas


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
        ({"threshold": -1}, "threshold must be at least 0."),
        ({"threshold": 1.1}, "threshold must be at most 1."),
        ({"threshold": "0.5"}, "threshold must be a number."),
        ({"threshold": True}, "threshold must be a number."),
        ({"threshold": float("nan")}, "threshold must be a number."),
        (
            {"min_confidence": 0.5},
            "min_confidence is not a field that is known here; did you mean threshold?",
        ),
        ({"topk": 5}, "topk is not a field that is known here; did you mean top_k?"),
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


@pytest.mark.parametrize("number", [b"3.0", b"3", b"30e-1", b"0.3e1"])
def test_whole_numbers(number: bytes) -> None:
    """A number of JSON without a fraction is whole, however it is written."""
    body = schemas.parse(
        b'{"image": "aGk=", "top_k": %s, "version": %s}' % (number, number), schemas.PredictRequest
    )

    assert (body.top_k, body.version) == (3, 3)


@pytest.mark.parametrize("number", [b"3.5", b"1e400", b"-1e400", b"NaN", b"1e300", b'"3"', b"true"])
def test_other_numbers(number: bytes) -> None:
    """Anything else is refused by its field."""
    with pytest.raises(InvalidRequest, match=r"^top_k must "):
        schemas.parse(b'{"image": "aGk=", "top_k": %s}' % number, schemas.PredictRequest)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"[", "line 1, column 2"),
        (b"{\n\"image\": 'secret'}", "line 2, column 10"),
        (b"{secret}", "line 1, column 2"),
    ],
)
def test_no_json(body: bytes, place: str) -> None:
    """What is no JSON is told where the fault is, without the text there."""
    with pytest.raises(InvalidRequest) as caught:
        schemas.parse(body, schemas.PredictRequest)

    assert caught.value.detail == f"The body is not valid JSON: the fault is at {place}."


@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_empty_body(body: bytes) -> None:
    """A body without anything is called empty."""
    with pytest.raises(InvalidRequest, match="The body is empty"):
        schemas.parse(body, schemas.PredictRequest)


def test_latin_1() -> None:
    """Another encoding is told so."""
    with pytest.raises(InvalidRequest, match="UTF-8"):
        schemas.parse('{"image_url": "http://a/ä"}'.encode("latin-1"), schemas.PredictRequest)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (b"[" * 200_000, "The JSON is nested too deeply."),
        (b"9" * 5_000, "The JSON has a number with too many digits."),
    ],
)
def test_limits_of_json(value: bytes, sentence: str) -> None:
    """JSON beyond the limits of its reader is not called wrong."""
    with pytest.raises(InvalidRequest) as caught:
        schemas.parse(b'{"image": %s}' % value, schemas.PredictRequest)

    assert caught.value.detail == sentence


def test_too_many_fields() -> None:
    """A flood of fields is refused before each of them is looked at."""
    body = b"{%s}" % b",".join(b'"a%d":1' % number for number in range(101))
    with pytest.raises(InvalidRequest, match="more than 100 fields"):
        schemas.parse(body, schemas.PredictRequest)


def test_tensor_of_another_protocol() -> None:
    """Many values of a field that another service has are answered with the field that is meant."""
    body = b'{"instances": [%s5]}' % (b"5," * 100_001)
    with pytest.raises(InvalidRequest, match="images"):
        schemas.parse(body, schemas.PredictRequest)


def test_sign_of_zero() -> None:
    """A zero with a sign keeps it; one without is whole."""
    tensor = b'{"inputs": [{"name": "a", "datatype": "FP32", "shape": [1.0, 3], "data": [-0.0, -0e5, 0.0]}]}'
    body = schemas.parse(tensor, inference_schemas.InferRequest)

    assert [math.copysign(1, number) for number in body.inputs[0].data] == [-1, -1, 1]
    assert body.inputs[0].shape == [1, 3]


WRONG = {"name": "image", "datatype": "FP32", "shape": [-1, -1]}


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        (schemas.PredictRequest, {"images": [5, 5]}),
        (schemas.PredictRequest, {"image_urls": [5, 5]}),
        (inference_schemas.InferRequest, {"inputs": [5, 5]}),
        (inference_schemas.InferRequest, {"inputs": [WRONG]}),
        (inference_schemas.InferRequest, {"inputs": [], "outputs": [5, 5]}),
        (inference_schemas.InferRequest, {"inputs": [], "parameters": {str(n): [] for n in range(101)}}),
    ],
)
def test_first_error(schema: type[BaseModel], values: Any) -> None:
    """Of many entries that are wrong the first is an error: all of them together could fill the memory."""
    with pytest.raises(ValidationError) as caught:
        schema.model_validate(values, strict=True)

    assert caught.value.error_count() == 1


@pytest.mark.parametrize("text", ["five", "1.5", "9" * 5000])
def test_numbers_of_a_query(text: str) -> None:
    """A number of a query that is none is named."""
    with pytest.raises(InvalidRequest, match=r"^top_k "):
        schemas.check(schemas.Options, {"top_k": text}, strict=False)
