"""Images -> rows, and rows -> lines of text, of CSV or of JSON."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from predictor.errors import FetchError, ImageError, InvalidRequest, PredictorError
from predictor.evaluation.images import Picture
from predictor.evaluation.runner import parallel_map

Predict = Callable[[bytes], list[dict[str, Any]]]
"""From the bytes of an image to its classes, the most confident first, each as in the API's `predictions`."""


@dataclass(frozen=True)
class Row:
    """What came of one image.

    Attributes:
        name: the path or URL of the image.
        predictions: at least one class, the most confident first; empty if there is a problem.
        problem: why there is no prediction.
    """

    name: str
    predictions: list[dict[str, Any]]
    problem: PredictorError | None = None


@dataclass(frozen=True)
class Form:
    """A way to write rows: what comes before the first row, and what makes the lines of each row."""

    heading: str
    lines: Callable[[Row], Iterator[str]]


def predicted(images: Iterable[Picture], predict: Predict, threads: int) -> Iterator[Row]:
    """Predict images, several at a time; their rows in the order of the images.

    Raises:
        PredictorError: nothing can be predicted, whatever the image is.
    """
    return parallel_map(lambda image: _row(image, predict), images, threads)


def _row(image: Picture, predict: Predict) -> Row:
    # A file name may hold bytes that are no text.
    name = image.name.encode(errors="backslashreplace").decode()
    try:
        return Row(name, predict(image.read()))
    except (ImageError, FetchError, InvalidRequest) as error:
        return Row(name, [], error)


def _text(row: Row) -> Iterator[str]:
    """The name, and below it a line for each class."""
    problem = "" if row.problem is None else f": {row.problem.detail}"
    yield _printable(row.name) + problem
    for one in row.predictions:
        yield f"  {one['confidence']:6.1%}  {_printable(one['label'])}"


def _printable(text: str) -> str:
    """A text that cannot move the cursor of a terminal."""
    return text if text.isprintable() else ascii(text)


def _csv(row: Row) -> Iterator[str]:
    """A line for each class, or one with the error."""
    if row.problem is not None:
        yield _cells(row.name, "", "", "", "", row.problem.detail)
    for rank, one in enumerate(row.predictions, 1):
        yield _cells(row.name, rank, one["label"], one["index"], one["confidence"], "")


def _cells(*values: object) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(values)
    return out.getvalue()


def _json(row: Row) -> Iterator[str]:
    """An object with the fields of the API's answer, or with its `error`."""
    value: dict[str, Any] = {"name": row.name}
    if row.problem is None:
        best = row.predictions[0]
        value |= {"predicted_label": best["label"], "confidence": best["confidence"]}
        value["predictions"] = row.predictions
    else:
        value["error"] = {"code": row.problem.code, "detail": row.problem.detail}
    yield json.dumps(value)


FORMS = {
    "text": Form("", _text),
    "csv": Form("name,rank,label,index,confidence,error\n", _csv),
    "jsonl": Form("", _json),
}
"""Each way to write rows, by its name."""
