"""Images -> rows, and rows -> lines of text, of CSV or of JSON."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from predictor.archives import written
from predictor.client_types import OF_ONE_IMAGE, ServiceError
from predictor.errors import FetchError, ImageError, InvalidRequest, PredictorError

Predict = Callable[[bytes], list[dict[str, Any]]]
"""From the bytes of an image to its classes, the most confident first, each as in the API's `predictions`."""


@dataclass(frozen=True)
class Row:
    """What came of one image.

    Attributes:
        name: the path or URL of the image.
        predictions: the most confident class first; empty if there is a problem or if it abstained.
        problem: why there is no prediction.
        abstained: whether no class reached the threshold; None without one.
    """

    name: str
    predictions: list[dict[str, Any]]
    problem: PredictorError | ServiceError | None = None
    abstained: bool | None = None


@dataclass(frozen=True)
class Work:
    """From the name of an image to its row.

    Attributes:
        read: gives the bytes of the image.
        predict: gives its classes.
        threshold: the confidence that a class needs to be in the row; None for any.
    """

    read: Callable[[str], bytes]
    predict: Predict
    threshold: float | None = None

    def __call__(self, name: str) -> Row:
        """Predict an image.

        Raises:
            PredictorError, ServiceError: nothing can be predicted, whatever the image is.
        """
        try:
            found = self.predict(self.read(name))
        except (ImageError, FetchError, InvalidRequest) as error:
            return Row(written(name), [], error.bare())
        except OF_ONE_IMAGE as error:
            return Row(written(name), [], error)
        if self.threshold is None:
            return Row(written(name), found)
        sure = [one for one in found if one["confidence"] >= self.threshold]
        return Row(written(name), sure, abstained=not sure)


@dataclass(frozen=True)
class Form:
    """A way to write rows.

    Attributes:
        heading: what comes before the first row, with its end of line.
        lines: the lines of a row, without their ends.
        read: from a line to the name in it, to its rank (0 where a row has one line), and to whether it has
            an error; raises ValueError if the line has another form.
        quotes: whether a line may hold ends of lines in quotes.
    """

    heading: str
    lines: Callable[[Row], Iterator[str]]
    read: Callable[[str], tuple[str, int, bool]]
    quotes: bool = False


def _text(row: Row) -> Iterator[str]:
    """The name, and below it a line for each class."""
    said = "" if row.problem is None else f": {row.problem.detail}"
    yield printable(row.name) + (": no class reaches the threshold" if row.abstained else said)
    for one in row.predictions:
        yield f"  {one['confidence']:6.1%}  {printable(one['label'])}"


def printable(value: object) -> str:
    """A text that can neither move the cursor of a terminal nor end a line."""
    text = str(value)
    return text if text.isprintable() else ascii(text)


def _csv(row: Row) -> Iterator[str]:
    """A line for each class, or one with the error; one that is empty if there is neither."""
    if not row.predictions:
        yield _cells(row.name, "", "", "", "", "" if row.problem is None else row.problem.detail)
    for rank, one in enumerate(row.predictions, 1):
        yield _cells(row.name, rank, one["label"], one["index"], one["confidence"], "")


_END = "\r\n"


def _cells(*values: object) -> str:
    out = io.StringIO()
    # Texts with any letter of the line's end are quoted.
    csv.writer(out, lineterminator=_END).writerow(values)
    return out.getvalue().removesuffix(_END)


def _of_csv(line: str) -> tuple[str, int, bool]:
    try:
        (cells,) = csv.reader([line], strict=True)
    except csv.Error as error:
        raise ValueError("It is no line of CSV.") from error
    name, rank, *_, problem = cells
    if len(cells) != len(_COLUMNS):
        raise ValueError("It has other columns.")
    return name, int(rank or 0), bool(problem)


def fields(row: Row) -> dict[str, Any]:
    """A row as JSON: `name` with the fields of the API's answer, or with its `error`."""
    value: dict[str, Any] = {"name": row.name}
    if row.problem is None:
        best = row.predictions[0] if row.predictions else {"label": None, "confidence": None}
        value |= {"predicted_label": best["label"], "confidence": best["confidence"]}
        value["predictions"] = row.predictions
        value |= {} if row.abstained is None else {"abstained": row.abstained}
    else:
        value["error"] = {"code": row.problem.code, "detail": row.problem.detail}
    return value


def _json(row: Row) -> Iterator[str]:
    yield json.dumps(fields(row))


def _of_json(line: str) -> tuple[str, int, bool]:
    match json.loads(line):
        case {"name": str(name), **rest}:
            return name, 0, "error" in rest
    raise ValueError("It has no name.")


def _of_text(line: str) -> tuple[str, int, bool]:
    raise ValueError(f"Text of {len(line)} letters is for people.")


_COLUMNS = ("name", "rank", "label", "index", "confidence", "error")
FORMS = {
    "text": Form("", _text, _of_text),
    "csv": Form(",".join(_COLUMNS) + "\n", _csv, _of_csv, quotes=True),
    "jsonl": Form("", _json, _of_json),
}
"""Each way to write rows, by its name."""
