"""Images become rows, and rows become lines of text, of CSV or of JSON."""

import json
import os

import pytest

from predictor import client_types
from predictor.bulk.rows import FORMS, Row, Work
from predictor.errors import InvalidImage, NotReady
from predictor.evaluation.runner import parallel_map

CLASSES = [
    {"label": 'cat, "tabby"', "index": 281, "confidence": 0.75, "id": "n02123045"},
    {"label": "dog", "index": 7, "confidence": 0.25},
]
GOOD = Row("a.jpg", CLASSES)
BAD = Row("b.jpg", [], InvalidImage("It is empty."))


def test_order_and_errors() -> None:
    """Rows come in the order of the images; what is wrong with one of them stands in its row alone."""

    def predict(data: bytes) -> list[dict[str, object]]:
        if data == b"b":
            raise InvalidImage("It is empty.")
        if data == b"d":
            raise client_types.FetchFailed("It is gone.", "fetch_failed")
        return [{"label": data.decode(), "index": 0, "confidence": 1.0}]

    rows = list(parallel_map(Work(os.fsencode, predict), "abcd", 2))

    assert [row.name for row in rows] == ["a", "b", "c", "d"]
    assert [row.problem.detail if row.problem else row.predictions[0]["label"] for row in rows] == [
        "a",
        "It is empty.",
        "c",
        "It is gone.",
    ]


@pytest.mark.parametrize("error", [NotReady("No service."), client_types.Unauthorized("No token.")])
def test_failure_of_the_whole(error: Exception) -> None:
    """What is not about an image ends the work."""

    def predict(_: bytes) -> list[dict[str, object]]:
        raise error

    with pytest.raises(type(error)):
        list(parallel_map(Work(os.fsencode, predict), "abc", 2))


def test_threshold() -> None:
    """Classes below the threshold are left out; a row without any says that it abstained, in each form."""
    some, none = (Work(os.fsencode, lambda _: CLASSES, least)("a") for least in (0.75, 0.76))

    assert (some.predictions, some.abstained) == (CLASSES[:1], False)
    assert [list(FORMS[form].lines(none)) for form in ("csv", "text")] == [
        ["a,,,,,"],
        ["a: no class reaches the threshold"],
    ]
    assert [json.loads(line) for line in FORMS["jsonl"].lines(none)] == [
        {"name": "a", "predicted_label": None, "confidence": None, "predictions": [], "abstained": True}
    ]


def test_names_that_are_no_text() -> None:
    """A file name of bytes that are no text can be written."""
    row = Work(os.fsencode, lambda _: CLASSES)(os.fsdecode(b"\xff.jpg"))

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


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize(
    "name", ["a.jpg", 'with "quotes", a comma', "two\nlines", "carriage\rreturn", "{", ""]
)
def test_read_again(form: str, name: str) -> None:
    """Name, rank and error of each line can be read from it."""
    rows = [Row(name, CLASSES), Row(name, [], InvalidImage('No\n"image".'))]

    read = [FORMS[form].read(line) for row in rows for line in FORMS[form].lines(row)]

    good = [(name, 1, False), (name, 2, False)] if form == "csv" else [(name, 0, False)]
    assert read == [*good, (name, 0, True)]
