"""A wrong field is named, if its name may be; an unknown one with that of ours which was meant."""

import pytest

from predictor.errors import InvalidRequest
from predictor.web import field_faults, model_schemas, schemas


def refusal(name: str, schema: type[schemas.Options] = schemas.PredictRequest) -> str:
    """The sentence on a field that is not known."""
    with pytest.raises(InvalidRequest) as caught:
        schemas.check(schema, {name: "secret"}, strict=True)
    return caught.value.detail


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("topk", "top_k"), ("topK", "top_k"), ("top-k", "top_k"), ("tok_k", "top_k"), ("k", "top_k"),
        ("Model", "model"), ("modle", "model"), ("model_name", "model"), ("verison", "version"),
        ("model_version", "version"), ("debugg", "debug"), ("exakt", "exact"), ("imageUrl", "image_url"),
        ("image-url", "image_url"), ("img_url", "image_url"), ("imageUrls", "image_urls"),
        ("instances", "images or image_urls"), ("inputs", "image or image_url"),
        ("url", "image_url or image_urls"), ("file", "image or images"), ("image_base64", "image or images"),
        ("image[]", "image"), ("images[]", "images"),
    ],
)  # fmt: skip
def test_meant(name: str, meant: str) -> None:
    """A misspelt field, or what another service calls it, is answered with ours."""
    assert refusal(name) == f"{name} is not a field that is known here; did you mean {meant}?"


def test_most_helpful() -> None:
    """Of several unknown fields, the one that has a name of ours is answered."""
    with pytest.raises(InvalidRequest, match=r"^instances is"):
        schemas.check(schemas.PredictRequest, {"signature_name": "a", "instances": []}, strict=True)


@pytest.mark.parametrize("name", ["temperature", "prompt", "x"])
def test_like_none(name: str) -> None:
    """A field that resembles none of ours is only named."""
    assert refusal(name) == f"{name} is not a field that is known here."


@pytest.mark.parametrize("name", ["image_url", "images", "url", "inputs"])
def test_image_in_query(name: str) -> None:
    """An image in the query is told where it belongs."""
    assert "belongs in the body" in refusal(name, schemas.Options)


@pytest.mark.parametrize("name", ["api_key", "apikey", "access_token"])
def test_token(name: str) -> None:
    """So is a token."""
    assert "Authorization: Bearer" in refusal(name)


def test_other_requests() -> None:
    """Only fields of the same request are proposed."""
    with pytest.raises(InvalidRequest) as caught:
        schemas.check(model_schemas.ActivateRequest, {"version": 1, "url": "a"}, strict=True)

    assert caught.value.detail == "url is not a field that is known here."


@pytest.mark.parametrize(
    "name",
    [
        " ",
        "a b",
        "<html>",
        "a" * 41,
        "0",
        "Käse",
        "a\n",
        "\0",
        "9j4AAQSkZJRg",
        "data:image/png",
        "a=b",
        "/9j/4AAQ",
    ],
)
def test_hidden(name: str) -> None:
    """A name that is none is not repeated."""
    assert field_faults.shown(name) == "A name in the request"
    assert refusal(name).startswith("A name in the request ")


@pytest.mark.parametrize("name", ["top_k", "images.1", "image[0]", "_id", "a" * 40])
def test_shown(name: str) -> None:
    """A short name of letters, digits and few marks is."""
    assert field_faults.shown(name) == name
