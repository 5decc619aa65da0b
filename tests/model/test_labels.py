"""Labels are read in the order of their classes."""

import pytest

from predictor.errors import InvalidModel
from predictor.model.labels import Label, numbered, parse


def test_names() -> None:
    """A list of texts gives names."""
    assert parse('["cat", "dog"]') == (Label("cat"), Label("dog"))


def test_objects() -> None:
    """Objects carry an id and synonyms, and come back as they went out."""
    labels = parse('[{"name": "tabby", "id": "n02123045", "synonyms": ["tabby cat"]}, {"name": "dog"}]')

    assert labels == (Label("tabby", "n02123045", ("tabby cat",)), Label("dog"))
    assert [label.to_json() for label in labels] == [
        {"name": "tabby", "id": "n02123045", "synonyms": ["tabby cat"]},
        {"name": "dog"},
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cat", "JSON"),
        ("[" * 100_000, "JSON"),
        ("{}", "list"),
        ("[]", "list"),
        ('["cat", 5]', "Label 1"),
        ('[{"id": "a"}]', "Label 0"),
        ('[{"name": "a", "id": 5}]', "label 0"),
        ('["a", {"name": "a", "synonyms": "b"}]', "label 1"),
        ('[{"name": "a", "synonyms": [1]}]', "label 0"),
    ],
)
def test_malformed(text: str, named: str) -> None:
    """What is not such a list is refused in a sentence that names the entry."""
    with pytest.raises(InvalidModel, match=named):
        parse(text)


def test_numbered() -> None:
    """A model without labels shows its classes' numbers."""
    assert numbered(2) == (Label("class 0"), Label("class 1"))
