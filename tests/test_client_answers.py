"""The types of the client's answers are those of the service's own document, and other code can use them."""

from importlib.resources import files
from typing import Any

import pytest
from flask import Flask

from predictor import client_answers

TYPES = {name: kind for name, kind in vars(client_answers).items() if hasattr(kind, "__required_keys__")}
# One type here for the two answers to a deletion.
DELETED = ("Deleted", "DeletedModel")


@pytest.fixture(scope="module")
def schemas(app: Flask) -> dict[str, Any]:
    """The schemas of the service's document."""
    found: dict[str, Any] = app.test_client().get("/openapi.json").get_json()["components"]["schemas"]
    return found


@pytest.mark.parametrize("name", sorted(TYPES.keys() - {"Deleted"}))
def test_fields(name: str, schemas: dict[str, Any]) -> None:
    """A type has the fields of the answer, and says of the same ones that they are always there."""
    kind, schema = TYPES[name], schemas[name]

    assert kind.__required_keys__ | kind.__optional_keys__ == schema["properties"].keys()
    assert kind.__required_keys__ == set(schema["required"])


def test_deletions(schemas: dict[str, Any]) -> None:
    """What both deletions answer is always there, what one of them answers is not."""
    both = [schemas[name] for name in DELETED]

    assert TYPES["Deleted"].__required_keys__ == set.intersection(*(set(one["required"]) for one in both))
    assert (
        TYPES["Deleted"].__optional_keys__
        == {name for one in both for name in one["properties"]} - TYPES["Deleted"].__required_keys__
    )


def test_typed() -> None:
    """The package says that it has types (PEP 561)."""
    assert (files("predictor") / "py.typed").is_file()
