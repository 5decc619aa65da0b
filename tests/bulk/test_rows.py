"""Images become rows, and rows become lines of text, of CSV or of JSON."""

import json
import os

import pytest

from predictor.bulk.rows import FORMS, Row, predicted
from predictor.errors import InvalidImage, NotReady
from predictor.evaluation.images import Picture

CLASSES = [
    {"label": 'cat, "tabby"', "index": 281, "confidence": 0.75, "id": "n02123045"},
    {"label": "dog", "index": 7, "confidence": 0.25},
]
GOOD = Row("a.jpg", CLASSES)
BAD = Row("b.jpg", [], InvalidImage("It is empty."))


def image(name: str) -> Picture:
    """An image whose bytes are its name."""
    return Picture(name, (), lambda: os.fsencode(name))


def test_order_and_errors() -> None:
    """Rows come in the order of the images; what is wrong with one of them stands in its row alone."""

    def predict(data: bytes) -> list[dict[str, object]]:
        if data == b"b":
            raise InvalidImage("It is empty.")
        return [{"label": data.decode(), "index": 0, "confidence": 1.0}]

    rows = list(predicted(map(image, "abc"), predict, 2))

    assert [row.name for row in rows] == ["a", "b", "c"]
    assert [row.problem.detail if row.problem else row.predictions[0]["label"] for row in rows] == [
        "a",
        "It is empty.",
        "c",
    ]


def test_failure_of_the_whole() -> None:
    """What is not about an image ends the work."""

    def predict(data: bytes) -> list[dict[str, object]]:
        raise NotReady(f"No service for {len(data)} bytes.")

    with pytest.raises(NotReady):
        list(predicted(map(image, "abc"), predict, 2))


def test_names_that_are_no_text() -> None:
    """A file name of bytes that are no text can be written."""
    (row,) = predicted([image(os.fsdecode(b"\xff.jpg"))], lambda _: CLASSES, 1)

    assert row.name.encode("utf-8").endswith(b".jpg")


def test_csv() -> None:
    """CSV has a line for each class, and one for an error."""
    form = FORMS["csv"]

    assert form.heading.splitlines() == ["name,rank,label,index,confidence,error"]
    assert [*form.lines(GOOD), *form.lines(BAD)] == [
        'a.jpg,1,"cat, ""tabby""",281,0.75,',
        "a.jpg,2,dog,7,0.25,",
        "b.jpg,,,,,It is empty.",
    ]


def test_json_lines() -> None:
    """A JSON line is an answer of the API with the image's name, or the code and the sentence of an error."""
    form = FORMS["jsonl"]

    assert [json.loads(line) for row in (GOOD, BAD) for line in form.lines(row)] == [
        {"name": "a.jpg", "predicted_label": 'cat, "tabby"', "confidence": 0.75, "predictions": CLASSES},
        {"name": "b.jpg", "error": {"code": "invalid_image", "detail": "It is empty."}},
    ]


def test_text() -> None:
    """Text has the image's name, and its classes below it."""
    form = FORMS["text"]

    assert [*form.lines(GOOD), *form.lines(BAD)] == [
        "a.jpg",
        '   75.0%  cat, "tabby"',
        "   25.0%  dog",
        "b.jpg: It is empty.",
    ]
